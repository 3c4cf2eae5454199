"""Build contexts of every kind, through the command line."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import zstandard

from tests.conftest import Done, Jettison
from tests.site import Site, served

COPY_ALL = "FROM scratch\nCOPY . /\n"
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard.compress,
}


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with served(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def jet(empty_jettison: Jettison) -> Iterator[Jettison]:
    """The command; whatever a test does with it, no temporary files are left in its store."""
    yield empty_jettison
    left = empty_jettison.root / "tmp"
    assert not left.exists() or list(left.iterdir()) == []


def tar(files: Mapping[str, str], *more: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(text.encode()), 0o664, 1_000_000_000
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in more:
            archive.addfile(member)
    return out.getvalue()


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    return info


def piped(jet: Jettison, data: bytes, *words: object) -> Done:
    """Run the command with something on standard input."""
    process = jet.start(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(data, timeout=60)
    return Done(process.returncode, out.decode(), err.decode())


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


PROJECT = {"Dockerfile": COPY_ALL, "a": "1", "sub/b": "2"}


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_tar_on_standard_input(jet: Jettison, tmp_path: Path, kind: str) -> None:
    done = piped(jet, COMPRESSIONS[kind](tar(PROJECT)), "build", "-o", tmp_path / "out", "-")
    assert done.code == 0, done.text
    assert files(tmp_path / "out") == PROJECT
    assert (tmp_path / "out/a").stat().st_mode & 0o777 == 0o664
    assert (tmp_path / "out/a").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_an_archive_file(jet: Jettison, tmp_path: Path, kind: str) -> None:
    (tmp_path / "context").write_bytes(COMPRESSIONS[kind](tar(PROJECT)))
    done = jet.ok("build", "--progress", "plain", "-o", tmp_path / "out", tmp_path / "context")
    assert files(tmp_path / "out") == PROJECT
    assert f"context from {tmp_path}/context\n" in done.err


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_a_tar_of_a_server(jet: Jettison, site: Site, tmp_path: Path, kind: str) -> None:
    url = site.file("/some/where", COMPRESSIONS[kind](tar(PROJECT)))
    done = jet.ok("build", "--progress", "plain", "-o", tmp_path / "out", url)
    assert files(tmp_path / "out") == PROJECT
    assert f"context from {url} sha256:" in done.err
    assert jet.ok("build", "--progress", "jsonl", url).events("ContextFetched")[0]["origin"] == url


def test_archives_that_are_built_twice_run_nothing(jet: Jettison, site: Site) -> None:
    url = site.file("/c.tar", tar(PROJECT))
    jet.ok("build", url)
    end = jet.ok("build", "--progress", "jsonl", url).events("BuildFinished")[0]
    assert (end["ran"], end["cached"]) == (0, 1)


def test_a_dockerfile_in_place_of_a_context(jet: Jettison, site: Site, tmp_path: Path) -> None:
    text = b"FROM scratch\nCOPY <<EOF /f\nx\nEOF\n"
    assert piped(jet, text, "build", "-o", tmp_path / "one", "-").code == 0
    jet.ok("build", "-o", tmp_path / "two", site.file("/Dockerfile", text))
    assert files(tmp_path / "one") == files(tmp_path / "two") == {"f": "x\n"}
    done = piped(jet, b"FROM scratch\nCOPY nosuch /\n", "build", "-")
    assert done.code == 1 and "nosuch" in done.err and "   2 | >>> COPY nosuch /" in done.err


def test_a_dockerfile_on_standard_input_with_other_contexts(
    jet: Jettison, site: Site, project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project({"a": "1"}, "FROM nosuch")
    repository = site.repository()
    repository.commit({"a": "1", "Dockerfile": "FROM nosuch"})
    for number, context in enumerate((folder, site.file("/c.tgz", tar({"a": "1"})), repository.url)):
        done = piped(
            jet, b"FROM scratch\nCOPY a /\n", "build", "-f", "-", "-o", tmp_path / f"{number}", context
        )
        assert done.code == 0, done.text
        assert files(tmp_path / f"{number}") == {"a": "1"}


def test_a_file_of_a_remote_context_is_named(
    jet: Jettison, site: Site, project: Callable[..., Path], tmp_path: Path
) -> None:
    """-f never takes a file of this machine then, not even when there is one of that name."""
    project({}, "FROM nosuch\n").joinpath("x.Dockerfile").write_text("FROM nosuch\n")
    inside = {"x.Dockerfile": "FROM scratch\nCOPY a /\n", "a": "1"}
    here = tmp_path / "context"
    url = site.file("/c.tar", tar(inside))
    jet.ok("build", "-f", "x.Dockerfile", "-o", tmp_path / "one", url, cwd=here)
    process = jet.start(
        "build", "-f", "x.Dockerfile", "-o", tmp_path / "two", "-", cwd=here, stdin=subprocess.PIPE
    )
    process.communicate(tar(inside), timeout=60)
    assert files(tmp_path / "one") == files(tmp_path / "two") == {"a": "1"}
    done = jet("build", "-f", here / "x.Dockerfile", url)
    assert done.code == 1 and "-f - <" in done.err


def test_a_git_repository(jet: Jettison, site: Site, tmp_path: Path) -> None:
    repository = site.repository()
    old = repository.commit({**PROJECT, "sub/Dockerfile": "FROM scratch\nCOPY b /\n"})
    new = repository.commit({"a": "changed"})
    done = jet.ok("build", "--progress", "plain", "-o", tmp_path / "one", repository.url)
    assert f"context from {repository.url} at commit {new}\n" in done.err
    assert files(tmp_path / "one")["a"] == "changed" and ".git/HEAD" not in files(tmp_path / "one")
    assert (tmp_path / "one/a").stat().st_mtime == 1_000_000_000
    jet.ok("build", "-o", tmp_path / "two", f"{repository.url}#{old}")
    assert files(tmp_path / "two")["a"] == "1"
    done = jet.ok("build", "--progress", "plain", "-o", tmp_path / "three", f"{repository.url}#main:sub")
    assert files(tmp_path / "three") == {"b": "2"} and f"{repository.url}#main:sub at commit" in done.err
    jet.ok("build", "-o", tmp_path / "four", f"{repository.url}?branch=main&subdir=sub&checksum={new[:12]}")
    assert files(tmp_path / "four") == {"b": "2"}
    keep = ("--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1")
    jet.ok("build", *keep, "-o", tmp_path / "five", repository.url)
    assert (tmp_path / "five/.git/HEAD").exists()
    end = jet.ok("build", "--progress", "jsonl", repository.url).events("BuildFinished")[0]
    assert end["ran"] == 0


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("#nosuch", "nosuch"),
        ("#main:nosuch", "nosuch"),
        ("?checksum=" + "0" * 40, "checksum"),
        ("?what=1", "what"),
    ],
)
def test_what_a_repository_has_not(jet: Jettison, site: Site, more: str, word: str) -> None:
    repository = site.repository()
    repository.commit(PROJECT)
    done = jet("build", repository.url + more)
    assert done.code == 1 and word in done.err and "Traceback" not in done.err


def test_named_contexts(jet: Jettison, site: Site, tmp_path: Path) -> None:
    repository = site.repository()
    repository.commit({"g": "git", ".dockerignore": "hidden", "hidden": "", "deep/d": "deep"})
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/f").write_text("folder")
    (tmp_path / "lib.txz").write_bytes(lzma.compress(tar({"t": "archive"})))
    dockerfile = (
        "FROM folder AS a\nFROM scratch\n"
        "COPY --from=repo . /repo/\nCOPY --from=deep . /deep/\nCOPY --from=web . /web/\n"
        "COPY --from=file . /file/\nCOPY --from=a . /folder/\n"
    )
    (tmp_path / "c").mkdir()
    (tmp_path / "c/Dockerfile").write_text(dockerfile)
    contexts = {
        "folder": tmp_path / "lib",
        "repo": repository.url,
        "deep": f"{repository.url}#main:deep",
        "web": site.file("/w.tar.zst", zstandard.compress(tar({"w": "web"}))),
        "file": tmp_path / "lib.txz",
        "unused": site.url + "/nosuch.tar",
    }
    words = [word for name, value in contexts.items() for word in ("--build-context", f"{name}={value}")]
    done = jet.ok("build", "--progress", "plain", *words, "-o", tmp_path / "out", tmp_path / "c")
    assert files(tmp_path / "out") == {
        "repo/g": "git",
        "repo/.dockerignore": "hidden",
        "repo/deep/d": "deep",
        "deep/d": "deep",
        "web/w": "web",
        "file/t": "archive",
        "folder/f": "folder",
    }
    assert "context repo from" in done.err and "unused" not in done.err
    end = jet.ok("build", "--progress", "jsonl", *words, tmp_path / "c").events("BuildFinished")[0]
    assert end["ran"] == 0


def test_named_contexts_that_are_images(
    jettison: Jettison, busybox_layout: Path, project: Callable[..., Path], tmp_path: Path
) -> None:
    folder = project({}, "FROM one\nCOPY --from=two /bin/busybox /copy\nRUN cmp /bin/busybox /copy\n")
    layout = ("--build-context", f"one=oci-layout://{busybox_layout}")
    jettison.ok("build", *layout, "--build-context", "two=docker-image://busybox", folder)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("target:other", ("target:other", "docker-image://")),
        ("/nosuch", ("/nosuch", "no such folder")),
        ("ftp://host/x", ("ftp://host/x", "kind of context")),
        ("docker-image://", ("names nothing",)),
    ],
)
def test_named_contexts_that_are_none(
    jet: Jettison, project: Callable[..., Path], value: str, words: tuple[str, ...]
) -> None:
    done = jet("build", "--build-context", f"x={value}", project({}, "FROM scratch\n"))
    assert done.code in (1, 2) and all(word in done.err for word in words), done.err


def test_a_named_context_of_a_server_must_be_an_archive(
    jet: Jettison, site: Site, project: Callable[..., Path]
) -> None:
    folder = project({}, "FROM scratch\nCOPY --from=x . /\n")
    done = jet("build", "--build-context", f"x={site.file('/x', b'text')}", folder)
    assert done.code == 2 and "archive" in done.err and "--build-context x=" in done.err


@pytest.mark.parametrize("kind", ["folder", "tar", "http", "git", "stdin"])
def test_the_ignore_file_of_every_kind(jet: Jettison, site: Site, tmp_path: Path, kind: str) -> None:
    """The Dockerfile's own ignore file goes before the general one; neither reaches a named context."""
    inside = {
        "Dockerfile": "FROM scratch\nCOPY . /a/\nCOPY --from=other . /b/\n",
        "Dockerfile.dockerignore": "own\n",
        ".dockerignore": "*\n",
        "own": "",
        "other": "",
    }
    (tmp_path / "other").mkdir()
    (tmp_path / "other/own").write_text("")
    words: list[object] = ["build", "--build-context", f"other={tmp_path}/other", "-o", tmp_path / "out"]
    if kind == "git":
        repository = site.repository()
        repository.commit(inside)
        jet.ok(*words, repository.url)
    elif kind == "http":
        jet.ok(*words, site.file("/x", tar(inside)))
    elif kind == "stdin":
        assert piped(jet, tar(inside), *words, "-").code == 0
    elif kind == "tar":
        (tmp_path / "x.tar").write_bytes(tar(inside))
        jet.ok(*words, tmp_path / "x.tar")
    else:
        (tmp_path / "folder").mkdir()
        for name, text in inside.items():
            (tmp_path / "folder" / name).write_text(text)
        jet.ok(*words, tmp_path / "folder")
    assert {*files(tmp_path / "out")} == {
        "a/Dockerfile", "a/Dockerfile.dockerignore", "a/.dockerignore", "a/other", "b/own",
    }  # fmt: skip


def test_hostile_archives(jet: Jettison, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    climbing = [
        tar({"Dockerfile": COPY_ALL, "../../../../../../.." + f"{victim}/f": "x"}),
        tar({"Dockerfile": COPY_ALL}, member("out", tarfile.SYMTYPE, str(victim))) + b"",
        tar(PROJECT, member("l", tarfile.LNKTYPE, "../../etc/passwd")),
        tar(PROJECT, member("s", tarfile.SYMTYPE, "/etc"), member("h", tarfile.LNKTYPE, "s/passwd")),
        tar(PROJECT, member("s", tarfile.SYMTYPE, str(victim)), member("s/x", tarfile.FIFOTYPE)),
        tar(PROJECT, member("l", tarfile.LNKTYPE, "nosuch")),
    ]
    for number, data in enumerate(climbing):
        done = piped(jet, data, "build", "-o", tmp_path / f"out{number}", "-")
        assert "Traceback" not in done.err and list(victim.iterdir()) == []
        assert done.code == (0 if number == 1 else 1), done.text
    assert (tmp_path / "out1/out").is_symlink()


def test_harmless_oddities_of_archives(jet: Jettison, tmp_path: Path) -> None:
    data = tar(
        {"./Dockerfile": COPY_ALL, "/abs": "absolute", "twice": "old", "d": "file"},
        member("null", tarfile.CHRTYPE),
        member("d", tarfile.DIRTYPE),
        member("hard", tarfile.LNKTYPE, "./abs"),
        member("soft", tarfile.SYMTYPE, "abs"),
    )
    assert piped(jet, data, "build", "-o", tmp_path / "out", "-").code == 0
    out = tmp_path / "out"
    assert files(out) == {"Dockerfile": COPY_ALL, "abs": "absolute", "twice": "old", "hard": "absolute"}
    assert os.readlink(out / "soft") == "abs" and (out / "d").is_dir() and not (out / "null").exists()


def test_a_dockerfile_that_leads_out_of_its_archive(jet: Jettison, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("FROM scratch\nLABEL a=b\n")
    done = piped(jet, tar({}, member("Dockerfile", tarfile.SYMTYPE, f"{tmp_path}/secret")), "build", "-")
    assert done.code == 1 and "leads out" in done.err


_NOISE = os.urandom(1000).hex()
RUBBISH = {
    "noise": (b"\0\1\2\3" * 1000, "neither a tar archive nor a Dockerfile"),
    "gz of text": (gzip.compress(b"no tar" * 1000), "cannot be unpacked"),
    "gz cut off": (gzip.compress(tar({"a": _NOISE}))[:-60], "cannot be unpacked"),
    "bz2 cut off": (bz2.compress(tar({"a": _NOISE}))[:-400], "cannot be unpacked"),
    "xz cut off": (lzma.compress(tar({"a": _NOISE}))[:-60], "cannot be unpacked"),
    "zst cut off": (zstandard.compress(tar({"a": _NOISE}))[:-60], "cannot be unpacked"),
    "zst noise": (b"\x28\xb5\x2f\xfd" + b"rubbish" * 100, "cannot be unpacked"),
    "tar cut off": (tar({"Dockerfile": COPY_ALL, "a": "x" * 10_000})[:5000], "cannot be unpacked"),
    "tar with noise": (tar({"Dockerfile": COPY_ALL})[:1024] + b"rubbish" * 300, "cannot be unpacked"),
    "text": (b"hello there\n", "unknown instruction"),
    "nothing": (b"", "FROM"),
}


@pytest.mark.parametrize("kind", RUBBISH)
def test_rubbish(jet: Jettison, kind: str) -> None:
    data, word = RUBBISH[kind]
    done = piped(jet, data, "build", "-")
    assert done.code == 1 and "Traceback" not in done.err and "internal" not in done.err
    assert word in done.err, done.err


def test_contexts_that_are_not_there(jet: Jettison, site: Site, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for context, word in (
        (tmp_path / "nosuch", "does not exist"),
        (tmp_path / "Dockerfile", "-f"),
        (site.url + "/nosuch", "404"),
        (site.url + "/nosuch.git", "nosuch.git"),
        ("http://127.0.0.1:1/x", "cannot reach"),
    ):
        done = jet("build", context)
        assert done.code in (1, 2) and word in done.err and "Traceback" not in done.err, done.err
    done = jet("build", site.url.replace("//", "//me:secret@") + "/nosuch")
    assert "secret" not in done.text and done.code == 1


def test_a_mistake_in_a_fetched_dockerfile_is_shown(jet: Jettison, site: Site) -> None:
    done = jet("build", site.file("/c.tar", tar({"Dockerfile": "FROM scratch\nCOPPY a /\n"})))
    assert done.code == 1 and "   2 | >>> COPPY a /" in done.err


def test_checks_of_a_fetched_dockerfile(jet: Jettison, site: Site) -> None:
    done = jet("build", "--check", site.file("/c.tar", tar({"Dockerfile": "from scratch AS x\nCOPY . /\n"})))
    assert "FromAsCasing" in done.text and "Traceback" not in done.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["http", "git", "stdin"])
def test_a_stopped_build_does_not_wait(jet: Jettison, site: Site, kind: str, number: int) -> None:
    """Neither for a silent server nor for a pipe; and it leaves nothing behind (see `jet`)."""
    words: list[object] = ["build"]
    if kind == "http":
        words.append(site.silent("/c.tar", b"\0" * 500_000))
    elif kind == "git":
        words.append(site.silent("/x.git/info/refs?service=git-upload-pack").partition("/info")[0])
    else:
        words.append("-")
    process = jet.start(*words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    if kind == "stdin":
        process.stdin.write(tar(PROJECT)[:700] + b"")
        process.stdin.flush()
        tmp = jet.root / "tmp"
        _until(lambda: tmp.exists() and any(tmp.glob("*/context*")))
    else:
        _until(lambda: any(asked.startswith("GET") for asked in site.asked))
    started = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode in (130, 143), process.stderr.read()
    process.stdin.close()
    process.stderr.close()


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_server_that_falls_silent(jet: Jettison, site: Site) -> None:
    done = jet("build", site.silent("/c.tar", b"\0" * 1000), env={"JETTISON_READ_TIMEOUT": "0.3"})
    assert done.code == 1 and "broke off" in done.err
    done = jet("build", site.url + "/c.tar", env={"JETTISON_READ_TIMEOUT": "soon"})
    assert done.code == 2 and "JETTISON_READ_TIMEOUT" in done.err


def test_a_large_stream_is_not_held_in_memory(jet: Jettison, tmp_path: Path) -> None:
    size = 200_000_000
    head = tarfile.TarInfo("big")
    head.size = size
    process = jet.start("build", "-o", tmp_path / "out", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(
        tar({"Dockerfile": "FROM scratch\nCOPY a* /\n", "a": ""})[: 2048 - 512] + head.tobuf()
    )
    for _ in range(size // 1_000_000):
        process.stdin.write(bytes(1_000_000))
    with open(f"/proc/{process.pid}/status") as file:
        peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    process.stdin.write(bytes(-size % 512) + bytes(1024))
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert peak < 120_000

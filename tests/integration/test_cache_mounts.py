"""Cache mounts as things of their own: through builds and the command, and a registry on loopback."""

from __future__ import annotations

import fcntl
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jettison.errors import StoreError
from jettison.store.cache_mounts import empty, in_use, listed, remove
from jettison.store.mount_archive import NAME, unpack
from jettison.store.store import Store
from tests.conftest import Jettison
from tests.registry import needs_registry, running_registry

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and owners need root")

DOCKERFILE = """\
FROM busybox AS builder
RUN --mount=type=cache,id=go,target=/c,mode=0750,uid=7 echo x >>/c/log && wc -l /c/log
RUN --mount=type=cache,target=/p,sharing=private echo x >>/p/log && wc -l /p/log
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "own")) as opened:
        yield opened


def fill(store: Store, mount_id: str, text: str = "kept") -> Path:
    folder = Path(store.cache_mount(mount_id))
    (folder / "sub").mkdir(exist_ok=True)
    (folder / "sub/file").write_text(text)
    return folder


def counts(text: str) -> list[int]:
    """What `wc -l` said in each step."""
    return [
        int(line.split()[-2]) for line in text.splitlines() if line.endswith("/log") and "RUN" not in line
    ]


@needs_root
def test_saved_removed_and_restored(jettison: Jettison, project: Any, tmp_path: Path) -> None:
    folder = project(dockerfile=DOCKERFILE)
    build = ("build", "--no-cache", "--progress", "plain", folder)
    assert counts(jettison.ok(*build).text) == [1, 1]
    lines = jettison.ok("cache-mount", "ls", "--format", "json").out.splitlines()
    assert [(item["ID"], item["Size"], item["Stage"]) for item in map(json.loads, lines)] == [
        ("/p", 2, "builder"), ("go", 2, "builder"),
    ]  # fmt: skip
    go = jettison.root / "cache-mounts/go"
    os.link(go / "log", go / "same")
    os.setxattr(go / "log", "user.note", b"x")
    (go / "link").symlink_to("/etc")
    jettison.ok("cache-mount", "save", "--all", "-o", tmp_path / "m.tar.gz")
    jettison.ok("cache-mount", "rm", "--all")
    assert jettison.ok("cache-mount", "ls", "-q").out == ""
    assert jettison.ok("cache-mount", "restore", tmp_path / "m.tar.gz").out == "restored /p\nrestored go\n"
    at = go.stat()
    assert (at.st_mode & 0o7777, at.st_uid) == (0o750, 7)
    assert os.path.samefile(go / "log", go / "same")
    assert os.readlink(go / "link") == "/etc"
    assert os.getxattr(go / "log", "user.note") == b"x"
    assert counts(jettison.ok(*build).text) == [2, 2]


@needs_root
def test_mounts_that_begin_empty_and_mounts_in_a_folder(
    jettison: Jettison, project: Any, tmp_path: Path
) -> None:
    folder = project(dockerfile=DOCKERFILE + "RUN --mount=type=cache,id=go,target=/c wc -l /c/log\n")
    build = ("build", "--no-cache", "--progress", "plain", folder)
    jettison.ok(*build)
    assert counts(jettison.ok(*build).text) == [2, 2, 2]
    assert counts(jettison.ok(*build, "--no-cache-mounts").text) == [1, 1, 1]
    own = tmp_path / "ci" / "go"
    assert counts(jettison.ok(*build, "--cache-mount", f"id=go,dir={own}").text) == [1, 2, 1]
    assert (own / "log").read_text() == "x\n" and own.stat().st_uid == 7
    done = jettison.ok(*build, "--cache-mount", f"id=gogo,dir={own}")
    assert "--cache-mount id=gogo: no step of this build has such a mount; there are /p, go" in done.text
    assert jettison("build", "--cache-mount", "go", folder).code == 2


@needs_registry
@needs_root
def test_through_a_registry_and_a_layout(empty_jettison: Jettison, tmp_path: Path) -> None:
    with Store.open(str(empty_jettison.root)) as store:
        fill(store, "go")
        fill(store, "/root/.npm", "npm")
    other = Jettison(tmp_path / "other")
    layout = f"oci-layout://{tmp_path}/layout:main"
    with running_registry(tmp_path) as address:
        for place in (f"{address}/ci/mounts:main", layout):
            empty_jettison.ok("cache-mount", "save", "--all", "--to", place)
            assert other.ok("cache-mount", "restore", place).out == "restored /root/.npm\nrestored go\n"
            assert (other.root / "cache-mounts/go/sub/file").read_text() == "kept"
            other.ok("cache-mount", "rm", "--all")
        done = other("cache-mount", "restore", f"{address}/ci/none:main")
        assert done.code == 1 and "Traceback" not in done.text
    [blob] = [
        p for p in (tmp_path / "layout/blobs/sha256").iterdir() if p.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    ][:1]
    blob.write_bytes(blob.read_bytes()[:-3])
    done = other("cache-mount", "restore", layout)
    assert done.code == 1 and "was damaged on its way" in done.err
    assert other.ok("cache-mount", "ls", "-q").out == ""


def test_what_a_step_uses_is_left_alone(store: Store) -> None:
    folder = fill(store, "go")
    with in_use(store, "go") as used:
        assert used == str(folder)
        with pytest.raises(StoreError, match="in use by a build"):
            remove(store, ["go"])
        descriptor = os.open(used, os.O_RDONLY)
        empty(store, "go")
        # The step goes on with what it has, and a new one begins with nothing.
        assert Path(f"/proc/self/fd/{descriptor}/sub/file").read_text() == "kept"
        with in_use(store, "go") as fresh:
            assert os.listdir(fresh) == []
        [aside] = (Path(store.root) / "tmp").glob("mount-*")
    os.close(descriptor)
    with Store.open(store.root) as later:
        later.session.new_folder("any")
        assert not aside.exists()


def test_a_step_waits_while_a_mount_is_saved(store: Store) -> None:
    folder = fill(store, "go")
    fd = os.open(folder, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    began, over = threading.Event(), threading.Event()

    def step() -> None:
        began.set()
        with in_use(store, "go"):
            over.set()

    thread = threading.Thread(target=step)
    thread.start()
    began.wait(10)
    assert not over.wait(0.1)
    os.close(fd)
    thread.join(10)
    assert over.is_set()


def archive(members: list[tuple[tarfile.TarInfo | str, bytes]], ids: tuple[str, ...] = ("go",)) -> bytes:
    out = io.BytesIO()
    document = json.dumps({"version": 1, "mounts": ids}).encode()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for item, data in [(NAME, document), *members]:
            info = tarfile.TarInfo(item) if isinstance(item, str) else item
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, 0o755
    return info, b""


TOP = special("0", tarfile.DIRTYPE)
HOSTILE = {
    "climbs": archive([TOP, ("0/../../x", b"")]),
    "another folder": archive([TOP, ("1/x", b"")]),
    "a mount that is a file": archive([("0", b"")]),
    "a mount that is a symlink": archive([special("0", tarfile.SYMTYPE, "/etc")]),
    "a mount replaced through a symlink": archive(
        [
            TOP,
            special("1", tarfile.DIRTYPE),
            special("0/up", tarfile.SYMTYPE, ".."),
            special("0/up/1", tarfile.SYMTYPE, "/etc"),
        ],
        ("a", "b"),
    ),
    "a device": archive([TOP, special("0/null", tarfile.CHRTYPE)]),
    "a whiteout": archive([TOP, ("0/.wh.x", b"")]),
    "a link to elsewhere": archive([TOP, special("0/x", tarfile.LNKTYPE, "0/../../../etc/passwd")]),
    "no folder": archive([]),
    "no list": archive([TOP])[1024:],
    "the same twice": archive([TOP], ("go", "go")),
    "cut short": archive([TOP, ("0/x", b"y" * 4000)])[:3000],
    "no archive": b"hello" * 400,
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_archive_loses_nothing(store: Store, tmp_path: Path, name: str) -> None:
    folder = fill(store, "go")
    path = tmp_path / "bad.tar"
    path.write_bytes(HOSTILE[name])
    from jettison.sources.cache_mounts import restore_archive

    with pytest.raises(StoreError):
        restore_archive(store, str(path))
    assert (folder / "sub/file").read_text() == "kept"
    assert [mount.id for mount in listed(store)] == ["go"]
    assert not (tmp_path / "x").exists()


def test_a_good_archive_of_tar(store: Store, tmp_path: Path) -> None:
    path, inside = tmp_path / "good.tar", tmp_path / "inside"
    path.write_bytes(archive([TOP, ("0/x", b"y")]))
    inside.mkdir()
    found = unpack(str(path), str(inside))
    assert (Path(found["go"]) / "x").read_bytes() == b"y"


def test_mistakes_are_told(empty_jettison: Jettison, tmp_path: Path) -> None:
    with Store.open(str(empty_jettison.root)) as store:
        fill(store, "go")
    for words, code, told in (
        (("frob",), 2, "ls, save, restore or rm"),
        (("save",), 2, "needs ids, or --all"),
        (("save", "go", "-o", "x.zip"), 2, "let it end with one of"),
        (("save", "gp", "-o", tmp_path / "x.tar"), 1, "did you mean go?"),
        (("rm", "go", "--all"), 2, "needs ids, or --all"),
        (("restore", "none.tar"), 1, "there is no archive none.tar"),
        (("restore", "/etc/passwd"), 1, "no tar archive"),
    ):
        done = empty_jettison("cache-mount", *words)
        assert (done.code, told in done.err) == (code, True), done.text
    assert not (tmp_path / "x.tar").exists()
    assert empty_jettison.ok("cache-mount", "ls", "-q").out == "go\n"


def test_piped_from_store_to_store(empty_jettison: Jettison, tmp_path: Path) -> None:
    with Store.open(str(empty_jettison.root)) as store:
        fill(store, "go")
    other = Jettison(tmp_path / "other")
    save = empty_jettison.start("cache-mount", "save", "go", stdout=subprocess.PIPE)
    restore = other.start("cache-mount", "restore", "-", stdin=save.stdout, stdout=subprocess.DEVNULL)
    assert restore.wait(60) == 0 and save.wait(60) == 0
    assert (other.root / "cache-mounts/go/sub/file").read_text() == "kept"

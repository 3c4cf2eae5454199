"""ADD of URLs and git repositories, and ssh agents, through the command line."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.site import Site, served

BODY = b"content of the file\n"
SHA = hashlib.sha256(BODY).hexdigest()
QUICK = {"JETTISON_READ_TIMEOUT": "0.3"}


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


class Adding:
    """Builds `FROM scratch` with some ADD lines, and looks at what comes out."""

    def __init__(self, jet: Jettison, folder: Path) -> None:
        self.jet = jet
        self.folder = folder
        self.out = folder / "out"
        (folder / "c").mkdir()

    def __call__(self, *lines: str, words: tuple[str, ...] = (), **options: object) -> Done:
        (self.folder / "c/Dockerfile").write_text("\n".join(("FROM scratch", *lines, "")))
        shutil.rmtree(self.out, ignore_errors=True)
        return self.jet("build", *words, "-o", self.out, self.folder / "c", **options)

    def ok(self, *lines: str, **options: object) -> dict[str, str]:
        done = self(*lines, **options)
        assert done.code == 0, done.text
        return {
            str(path.relative_to(self.out)): path.read_text()
            for path in sorted(self.out.rglob("*"))
            if path.is_file() and "/.git/" not in str(path)
        }

    def owners(self, *lines: str) -> dict[str, tuple[int, int, int]]:
        """Mode, user and group of all files and folders."""
        out = self.folder / "out.tar"
        done = self(*lines, words=("-o", f"type=tar,dest={out}"))
        assert done.code == 0, done.text
        with tarfile.open(out) as archive:
            return {item.name.rstrip("/"): (item.mode, item.uid, item.gid) for item in archive}

    def ran(self, *lines: str, **options: object) -> int:
        """How many steps had to run."""
        done = self(*lines, words=("--progress", "jsonl"), **options)
        assert done.code == 0, done.text
        return int(done.events("BuildFinished")[0]["ran"])


@pytest.fixture
def add(jet: Jettison, tmp_path: Path) -> Adding:
    return Adding(jet, tmp_path)


def test_a_file(add: Adding, site: Site) -> None:
    url = site.file("/dir/f.txt", BODY, Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT")
    assert add.ok(f"ADD {url} /", f"ADD {url} /other") == {"f.txt": BODY.decode(), "other": BODY.decode()}
    assert (add.out / "f.txt").stat().st_mode & 0o7777 == 0o600
    assert (add.out / "f.txt").stat().st_mtime == 1_704_067_200
    assert site.gets("/dir/f.txt") == 1


def test_mode_and_owner(add: Adding, site: Site) -> None:
    url = site.file("/f", BODY)
    found = add.owners(f"ADD --chmod=751 --chown=12:34 {url} /a", f"ADD --chmod=u=rw,go=r {url} /b")
    assert found == {"a": (0o751, 12, 34), "b": (0o644, 0, 0)}


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_checksums(add: Adding, site: Site, algorithm: str) -> None:
    url = site.file("/f", BODY)
    right = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    assert add.ok(f"ADD --checksum={right} {url} /") == {"f": BODY.decode()}
    asked = len(site.asked)
    assert add.ran(f"ADD --checksum={right} {url} /") == 0 and len(site.asked) == asked
    wrong = f"{algorithm}:{hashlib.new(algorithm, b'other').hexdigest()}"
    done = add("LABEL a=b", f"ADD --checksum={wrong} {url} /")
    assert done.code == 1 and right in done.err and wrong in done.err and "Dockerfile:3" in done.err
    done = add(f"ADD --checksum=sha256:abc {url} /")
    assert done.code == 1 and "--checksum" in done.err and "Dockerfile:2" in done.err


@pytest.mark.parametrize(("status", "word"), [(404, "404"), (403, "403"), (500, "500")])
def test_what_a_server_refuses(add: Adding, site: Site, status: int, word: str) -> None:
    done = add(f"ADD {site.file('/f', b'', status)} /")
    assert done.code == 1 and word in done.err and "Dockerfile:2" in done.err and "Traceback" not in done.err


def test_a_silent_server(add: Adding, site: Site) -> None:
    done = add(f"ADD {site.silent('/f')} /", env=QUICK)
    assert done.code == 1 and "too long" in done.err and "Dockerfile:2" in done.err
    done = add(f"ADD --checksum=sha256:{SHA} {site.silent('/g', BODY)} /", env=QUICK)
    assert done.code == 1 and "broke off" in done.err and "try again" in done.err


def test_a_truncated_body(add: Adding, site: Site) -> None:
    url = site.file("/f", BODY, Content_Length=str(len(BODY) + 5))
    for line in (f"ADD {url} /", f"ADD --checksum=sha256:{SHA} {url} /"):
        done = add(line)
        assert done.code == 1 and "broke off" in done.err and "Dockerfile:2" in done.err
    site.file("/f", BODY)
    assert add.ok(f"ADD {url} /") == {"f": BODY.decode()}


def test_redirects(add: Adding, site: Site) -> None:
    site.file("/real", BODY)
    url = site.file("/short", b"", 302, Location="/real")
    assert add.ok(f"ADD {url} /") == {"short": BODY.decode()}
    assert add.ran(f"ADD {url} /") == 0
    done = add(f"ADD {site.file('/round', b'', 302, Location='/round')} /")
    assert done.code == 1 and "/round" in done.err


def test_a_strong_etag_saves_the_download(add: Adding, site: Site) -> None:
    url = site.file("/f", BODY, ETag='"one"')
    assert add.ran(f"ADD {url} /") > 0 and site.gets("/f") == 1
    assert add.ran(f"ADD {url} /") == 0 and site.gets("/f") == 1
    site.file("/f", BODY.upper(), ETag='"two"')
    assert add.ok(f"ADD {url} /") == {"f": BODY.decode().upper()} and site.gets("/f") == 2


@pytest.mark.parametrize(
    "headers", [{}, {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}, {"ETag": 'W/"weak"'}]
)
def test_weaker_promises_save_the_step(add: Adding, site: Site, headers: dict[str, str]) -> None:
    """Content of the same length and time is another all the same; it is fetched once for each build."""
    url = site.file("/f", BODY, **headers)
    assert add.ran(f"ADD {url} /") > 0 and site.gets("/f") == 1
    assert add.ran(f"ADD {url} /") == 0 and site.gets("/f") == 2
    site.file("/f", BODY.upper(), **headers)
    assert add.ok(f"ADD {url} /") == {"f": BODY.decode().upper()} and site.gets("/f") == 3


def test_archives(add: Adding, site: Site) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        member = tarfile.TarInfo("d/f")
        member.size = len(BODY)
        archive.addfile(member, io.BytesIO(BODY))
    url = site.file("/x.tgz", data.getvalue())
    assert add.ok(f"ADD --unpack=true {url} /to/") == {"to/d/f": BODY.decode()}
    add(f"ADD {url} /to/")
    assert (add.out / "to/x.tgz").read_bytes() == data.getvalue()


def test_archives_are_decompressed_in_the_store(add: Adding, site: Site, tmp_path: Path) -> None:
    """Not in the folder for temporary files, which may be small."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.addfile(tarfile.TarInfo("f"))
    (tmp_path / "c/x").write_bytes(data.getvalue())
    assert add.ok("ADD x /", env={"TMPDIR": "/nonexistent"}) == {"f": ""}


def test_proxies(add: Adding, site: Site) -> None:
    """A proxy is asked for the whole address; hosts in no_proxy are not its business."""
    url = "http://files.invalid/f"
    site.file(url, BODY)
    assert add.ok(f"ADD {url} /", env={"http_proxy": site.url}) == {"f": BODY.decode()}
    assert site.asked == [f"HEAD {url}", f"GET {url}"]
    done = add(f"ADD {url} /", env={"http_proxy": site.url, "no_proxy": "x.test,.invalid"})
    assert done.code == 1 and len(site.asked) == 2
    local = site.file("/f", BODY)
    add.ok(f"ADD {local} /", env={"http_proxy": "http://127.0.0.1:1"})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["planning", "running"])
def test_a_stopped_build_does_not_wait(
    jet: Jettison, site: Site, project: Callable[..., Path], number: int, when: str
) -> None:
    flag = "" if when == "planning" else f"--checksum=sha256:{SHA}"
    folder = project({}, f"FROM scratch\nADD {flag} {site.silent('/f', BODY)} /\n")
    process = jet.start("build", folder, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while "GET /f" not in site.asked:
        assert time.monotonic() < end
        time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) in (130, 143) and time.monotonic() - started < 5


def test_a_repository(add: Adding, site: Site) -> None:
    repository = site.repository()
    old = repository.commit({"f": "one", "sub/run": "#!/bin/sh"})
    new = repository.commit({"f": "two"})
    url = repository.url
    assert add.ok(f"ADD {url} /r/") == {"r/f": "two", "r/sub/run": "#!/bin/sh"}
    assert not (add.out / "r/.git").exists()
    assert add.ok(f"ADD {url}#{old} /") == {"f": "one", "sub/run": "#!/bin/sh"}
    assert add.ok(f"ADD {url}#main:sub /r") == {"r/run": "#!/bin/sh"}
    assert add.ok(f"ADD {url}?subdir=sub&branch=main /r") == {"r/run": "#!/bin/sh"}
    add.ok(f"ADD --keep-git-dir=true {url} /r")
    assert (add.out / "r/.git/HEAD").read_text().strip() == new
    assert add.owners(f"ADD --chown=5:6 --chmod=700 {url} /r/")["r/f"] == (0o700, 5, 6)


def test_a_branch_that_moves(add: Adding, site: Site) -> None:
    repository = site.repository()
    old = repository.commit({"f": "one"})
    line = f"ADD {repository.url}#main /"
    assert add.ran(line) > 0
    assert add.ran(line) == 0
    repository.commit({"f": "two"})
    assert add.ok(line) == {"f": "two"}
    assert add.ran(f"ADD {repository.url}#{old} /") == 0, "the same commit by another name"


def test_a_pinned_commit(add: Adding, site: Site) -> None:
    repository = site.repository()
    old = repository.commit({"f": "one"})
    assert add.ok(f"ADD --checksum={old} {repository.url}#main /") == {"f": "one"}
    assert add.ok(f"ADD {repository.url}?ref=main&checksum={old[:10]} /") == {"f": "one"}
    new = repository.commit({"f": "two"})
    done = add("LABEL a=b", f"ADD --checksum={old} {repository.url}#main /")
    assert done.code == 1 and old in done.err and new in done.err and "Dockerfile:3" in done.err


def test_repositories_with_mistakes(add: Adding, site: Site) -> None:
    repository = site.repository()
    repository.commit({"f": "one"})
    for more, word in (("#nosuch", "nosuch"), ("#main:nosuch", "nosuch"), ("?x=y", "'x'")):
        done = add(f"ADD {repository.url}{more} /")
        assert done.code == 1 and word in done.err and "Dockerfile:2" in done.err, done.err
    done = add(f"ADD {site.url}/nosuch.git /")
    assert done.code == 1 and "nosuch.git" in done.err and "Traceback" not in done.err
    site.silent("/s.git/info/refs?service=git-upload-pack")
    done = add(f"ADD {site.url}/s.git /", env=QUICK)
    assert done.code == 1 and "s.git" in done.err


def test_a_server_of_files_only(add: Adding, site: Site) -> None:
    """The dumb protocol: no server program, no shallow clones."""
    repository = site.repository()
    repository.commit({"f": "one"})
    subprocess.run(["git", "repack", "-adq"], cwd=repository.bare, check=True)
    subprocess.run(["git", "update-server-info"], cwd=repository.bare, check=True)
    for path in repository.bare.rglob("*"):
        if path.is_file():
            site.file(f"/dumb.git/{path.relative_to(repository.bare)}", path.read_bytes())
    site.answers["/dumb.git/info/refs?service=git-upload-pack"] = site.answers["/dumb.git/info/refs"]
    assert add.ok(f"ADD {site.url}/dumb.git /") == {"f": "one"}


AGENT = [shutil.which(name) for name in ("ssh-agent", "ssh-add", "ssh-keygen")]


@pytest.mark.skipif(not all(AGENT), reason="needs ssh-agent, ssh-add and ssh-keygen (package openssh-client)")
def test_a_real_ssh_agent(jettison: Jettison, project: Callable[..., Path], tmp_path: Path) -> None:
    """A step asks the caller's agent for its keys; nothing of that stays in the image."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "our-key", "-f", key], check=True)
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        environment = {"SSH_AUTH_SOCK": str(socket)}
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, **environment}, check=True)
        tool = shutil.which("ssh-add")
        listed = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout
        libraries = [word for word in listed.split() if word.startswith("/")]
        loader = next(name for name in libraries if "/ld-" in name)
        files = {f"lib/{os.path.basename(name)}": Path(name).read_bytes() for name in libraries}
        folder = project(
            {**files, "ssh-add": Path(tool or "").read_bytes()},
            "FROM busybox\nCOPY --chmod=755 . /t/\n"
            "RUN --mount=type=ssh,required=true"
            f" /t/lib/{os.path.basename(loader)} --library-path /t/lib /t/ssh-add -l >/keys\n"
            'RUN cat /keys && grep our-key /keys && test -z "$SSH_AUTH_SOCK"\n',
        )
        done = jettison("build", folder)
        assert done.code == 1 and "--ssh default" in done.err
        done = jettison("build", "--ssh", "default", folder, env={"SSH_AUTH_SOCK": ""})
        assert done.code == 2 and "SSH_AUTH_SOCK is not set" in done.err
        jettison.ok("build", "--ssh", "default", folder, env=environment)
        jettison.ok("build", "--no-cache", "--ssh", f"default={socket}", folder)
    finally:
        agent.terminate()
        agent.wait()


def test_a_redirect_to_a_file(add: Adding, site: Site) -> None:
    """A server must not make the build read this machine's files."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/passwd")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    site.answers["/f"] = answer
    done = add(f"ADD {site.url}/f /")
    assert done.code == 1 and "Traceback" not in done.err and "root:" not in done.text

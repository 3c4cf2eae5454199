"""What the Dockerfile reference says of other sources: standard input, servers, repositories and agents."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.e2e.test_reference import site
from tests.site import Site

__all__ = ["site"]
Project = Callable[..., Path]


def test_without_a_context_only_other_sources_can_be_copied(jettison: Jettison, site: Site) -> None:
    url = site.file("/remote", b"remote")

    def piped(text: str) -> Done:
        process = jettison.start(
            "build", "-t", "app", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = process.communicate(text.encode(), timeout=60)
        return Done(process.returncode, out.decode(), err.decode())

    for word in ("COPY", "ADD"):
        done = piped(f"FROM scratch\n{word} f /f\n")
        assert done.code == 1 and "f" in done.err and "Traceback" not in done.err
    assert piped(f"FROM busybox\nCOPY --from=busybox /etc/group /g\nADD {url} /\n").code == 0
    assert jettison.ok("run", "app", "cat", "/remote").out == "remote"


def test_modes_of_a_git_context(jettison: Jettison, site: Site, tmp_path: Path) -> None:
    repository = site.repository()
    (repository.work / "sub").mkdir()
    (repository.work / "sub/run").write_text("#!/bin/sh\n")
    (repository.work / "sub/run").chmod(0o700)
    (repository.work / "plain").write_text("x")
    (repository.work / "plain").chmod(0o600)
    repository.commit({"Dockerfile": f"FROM scratch\nCOPY . /c/\nADD {repository.url} /a/\n"})
    jettison.ok("build", "-o", f"type=tar,dest={tmp_path}/out.tar", repository.url)
    with tarfile.open(tmp_path / "out.tar") as archive:
        modes = {m.name.rstrip("/"): m.mode for m in archive}
    for top in ("c", "a"):
        found = [modes[f"{top}/{name}"] for name in ("plain", "sub", "sub/run")]
        assert found == [0o644, 0o755, 0o755], top


def test_a_url_without_a_name_needs_one(jettison: Jettison, project: Project, site: Site) -> None:
    site.file("/", b"index")
    done = jettison("build", project(dockerfile=f"FROM scratch\nADD {site.url}/ /dir/\n"))
    assert done.code == 1 and "no name" in done.err and "Dockerfile:2" in done.err
    jettison.ok("build", project(dockerfile=f"FROM scratch\nADD {site.url}/ /dir/index.html\n"))


def test_secrets_open_a_server(jettison: Jettison, project: Project, site: Site) -> None:
    """Each kind goes to its host only, also when that host sends elsewhere."""
    seen: list[tuple[str, str]] = []

    def closed(handler: BaseHTTPRequestHandler) -> None:
        shown = handler.headers.get("Authorization", "")
        seen.append((handler.path, shown))
        body = b"opened" if shown in ("Bearer geheim", "Basic abc") else b""
        handler.send_response(200 if body else 401)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)

    def away(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", site.url.replace("127.0.0.1", "localhost") + "/closed")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    site.answers |= {"/closed": closed, "/away": away}
    folder = project(dockerfile=f"FROM busybox\nADD {site.url}/closed /f\nCMD cat /f\n")
    done = jettison("build", folder)
    assert done.code == 1 and "401" in done.err and "HTTP_AUTH_TOKEN" in done.err
    env = {"TOKEN": "geheim", "HEADER": "Basic abc"}
    token = ("--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN")
    jettison.ok("build", "-t", "app", *token, folder, env=env)
    assert jettison.ok("run", "app").out == "opened"
    header = ("--secret", "id=HTTP_AUTH_HEADER_127.0.0.1,env=HEADER")
    jettison.ok("build", "--no-cache", *header, folder, env=env)
    assert seen[-1] == ("/closed", "Basic abc")
    elsewhere = project(dockerfile=f"FROM busybox\nADD {site.url}/away /f\n")
    assert jettison("build", *token, elsewhere, env=env).code == 1
    assert seen[-1] == ("/closed", "")


AGENT = all(shutil.which(name) for name in ("ssh-agent", "ssh-add", "ssh-keygen"))
needs_ssh = pytest.mark.skipif(not AGENT, reason="needs the OpenSSH client (package openssh-client)")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "our-key", "-f", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def agent(key: Path, tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent that holds `key`."""
    socket = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while not socket.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(socket)}, check=True)
        yield socket
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def asking(project: Project) -> Callable[[str], Path]:
    """Writes a context whose Dockerfile may call /t/keys, which lists the keys of the agent."""
    tool = shutil.which("ssh-add") or ""
    listed = subprocess.run(["ldd", tool], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    loader = os.path.basename(next(name for name in libraries if "/ld-" in name))
    files: dict[str, str | bytes] = {
        f"t/lib/{os.path.basename(name)}": Path(name).read_bytes() for name in libraries
    }
    files["t/ssh-add"] = Path(tool).read_bytes()
    files["t/keys"] = f"#!/bin/sh\nexec /t/lib/{loader} --library-path /t/lib /t/ssh-add -l\n"
    return lambda lines: project(files, f"FROM busybox\nCOPY --chmod=755 t /t/\n{lines}")


@needs_ssh
def test_an_agent_is_reached_from_a_step(
    jettison: Jettison, asking: Callable[[str], Path], agent: Path
) -> None:
    folder = asking(
        "RUN --mount=type=ssh --mount=type=ssh,id=default"
        ' test "$SSH_AUTH_SOCK" = /run/buildkit/ssh_agent.0 && /t/keys >/keys'
        " && SSH_AUTH_SOCK=/run/buildkit/ssh_agent.1 /t/keys >>/keys\n"
        "RUN --mount=type=ssh,id=other,target=/there SSH_AUTH_SOCK=/there /t/keys >>/keys\n"
        "CMD grep -c our-key /keys\n"
    )
    jettison.ok("build", "-t", "app", "--ssh", f"default={agent}", "--ssh", f"other={agent}", folder)
    assert jettison.ok("run", "app").out == "3\n"


@needs_ssh
def test_an_agent_for_another_user(jettison: Jettison, asking: Callable[[str], Path], agent: Path) -> None:
    """An agent talks to nobody but its own user and root; a step of another user reaches it all the same."""
    folder = asking(
        "RUN --mount=type=ssh stat -c '%a %u %g' $SSH_AUTH_SOCK >/default\n"
        "RUN mkdir -m 777 /w\nUSER 1000:50\n"
        "RUN --mount=type=ssh,uid=1000,gid=50,mode=0660"
        " stat -c '%a %u %g' $SSH_AUTH_SOCK >/w/given && /t/keys >/w/keys\n"
        "RUN --mount=type=ssh ! /t/keys\n"
        "CMD cat /default /w/given; grep -c our-key /w/keys\n"
    )
    jettison.ok("build", "-t", "app", "--ssh", f"default={agent}", folder)
    assert jettison.ok("run", "app").out == "600 0 0\n660 1000 50\n1\n"


@needs_ssh
def test_a_key_in_place_of_an_agent(
    jettison: Jettison, asking: Callable[[str], Path], key: Path, tmp_path: Path
) -> None:
    folder = asking("RUN --mount=type=ssh /t/keys >/keys\nCMD grep -c our-key /keys\n")
    jettison.ok("build", "-t", "app", "--ssh", f"default={key}", folder)
    assert jettison.ok("run", "app").out == "1\n"
    (tmp_path / "no-key").write_text("nothing")
    (tmp_path / "no-key").chmod(0o600)
    done = jettison("build", "--no-cache", "--ssh", f"default={tmp_path}/no-key", folder)
    assert done.code in (1, 2) and "no-key" in done.err and "Traceback" not in done.err
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "ssh-agent -D -a 3" not in processes, processes


def test_a_repository_over_ssh_uses_the_agent(
    jettison: Jettison, project: Project, site: Site, tmp_path: Path
) -> None:
    """In place of ssh stands a program that notes what it is given and runs git's command here."""
    repository = site.repository()
    repository.commit({"f": "over ssh\n"})
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(
        f'#!/bin/sh\necho "$SSH_AUTH_SOCK $*" >>{tmp_path}/log\n'
        'for word; do last=$word; done\nexec sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    folder = project(dockerfile=f"FROM busybox\nADD git@host.invalid:{repository.bare} /r/\nCMD cat /r/f\n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        jettison.ok("build", "-t", "app", "--ssh", f"default={tmp_path}/agent", folder, env=env)
    assert jettison.ok("run", "app").out == "over ssh\n"
    assert (tmp_path / "log").read_text().startswith(f"{tmp_path}/agent ")
    (tmp_path / "log").unlink()
    (tmp_path / "a key").touch()
    jettison.ok("build", "--no-cache", "--ssh", f"default={tmp_path}/a key", folder, env=env)
    assert f"-i {tmp_path}/a key" in (tmp_path / "log").read_text()

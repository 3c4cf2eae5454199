from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jettison.container import ContainerRequest, arguments, environment
from jettison.errors import UsageError
from jettison.oci.config import ImageConfig

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def config(**values: Any) -> ImageConfig:
    return ImageConfig("linux", "amd64", config=values)


@pytest.mark.parametrize(
    ("image", "request_", "expected"),
    [
        ({"Cmd": ["a", "b"]}, ContainerRequest(), ("a", "b")),
        ({"Cmd": ["a"]}, ContainerRequest(("c", "d")), ("c", "d")),
        ({"Entrypoint": ["e"], "Cmd": ["a"]}, ContainerRequest(), ("e", "a")),
        ({"Entrypoint": ["e"], "Cmd": ["a"]}, ContainerRequest(("c",)), ("e", "c")),
        ({"Entrypoint": ["e"], "Cmd": ["a"]}, ContainerRequest(entrypoint=("f",)), ("f",)),
        ({"Entrypoint": ["e"]}, ContainerRequest(("c",), entrypoint=()), ("c",)),
        ({"Entrypoint": None, "Cmd": ["a"]}, ContainerRequest(), ("a",)),
    ],
)
def test_arguments(image: dict[str, Any], request_: ContainerRequest, expected: tuple[str, ...]) -> None:
    assert arguments(config(**image), request_) == expected


def test_an_image_without_a_command_needs_one() -> None:
    with pytest.raises(UsageError):
        arguments(config(), ContainerRequest())


def test_the_callers_variables_win() -> None:
    got = environment(config(Env=["A=1", "PATH=/x"]), ContainerRequest(env=("A=2", "B=a=b")), "/home/u", "h")
    assert dict(item.split("=", 1) for item in got) == {
        "A": "2",
        "B": "a=b",
        "PATH": "/x",
        "HOME": "/home/u",
        "HOSTNAME": "h",
    }
    bare = environment(config(), ContainerRequest(terminal=True), "/", "h")
    assert any(item.startswith("PATH=/usr/local/sbin") for item in bare) and "TERM=xterm" in bare


@root_only
def test_streams_and_status_pass(jettison: Any) -> None:
    done = jettison("run", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, "out\n", "err\n")
    process = jettison.start("run", "-i", "busybox", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.communicate(b"in\x00\xff", timeout=60) == (b"in\x00\xff", None)


@root_only
@pytest.mark.parametrize("runtime", [name for name in ("crun", "runc") if shutil.which(name)])
def test_a_program_that_is_not_there(jettison: Any, tmp_path: Path, runtime: str) -> None:
    """One line and not a second one of the runtime."""
    words = ("run", "--runtime", runtime)
    for program, code, line in (
        ("nosuch", 127, 'exec: "nosuch": not found in PATH of the image\n'),
        ("/bin/nosuch", 127, 'exec: "/bin/nosuch": not found in the image\n'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": not an executable file\n'),
        ("/etc", 126, 'exec: "/etc": not an executable file\n'),
    ):
        done = jettison(*words, "busybox", program)
        assert (done.code, done.err) == (code, line)
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\necho mine\n")
    mine.chmod(0o755)
    assert jettison.ok(*words, "-v", f"{mine}:/bin/mine", "busybox", "mine").out == "mine\n"
    assert jettison.ok(*words, "-v", f"{tmp_path}:/o", "-w", "/o", "busybox", "./mine").out == "mine\n"
    assert jettison.ok(*words, "-w", "/bin", "busybox", "./busybox", "echo", "x").out == "x\n"


@root_only
def test_a_host_entry_that_makes_no_sense(jettison: Any) -> None:
    done = jettison("run", "--add-host", "db:nonsense", "busybox", "true")
    assert done.code == 2 and "db:nonsense" in done.err


@root_only
def test_without_i_there_is_no_input(jettison: Any) -> None:
    process = jettison.start("run", "busybox", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.communicate(b"in", timeout=60) == (b"", None)


@root_only
def test_volumes_variables_and_folders(jettison: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    words = ("run", "-v", f"{tmp_path}:/new/data", "-w", "/new/data", "-e", "A=1", "busybox", "sh", "-c")
    assert jettison.ok(*words, "cat file; echo $A $PWD; echo w > made").out == "content1 /new/data\n"
    assert (tmp_path / "made").read_text() == "w\n"
    read_only = jettison("run", "-v", f"{tmp_path}:/data:ro", "busybox", "touch", "/data/x")
    assert read_only.code != 0


@root_only
def test_declared_volumes_are_folders(jettison: Any, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nVOLUME /var/x /var/x/y /etc ../out /file\n")
    (tmp_path / "file").write_text("content")
    jettison.ok("build", "-t", "declared", tmp_path)
    words = ("run", "-v", f"{tmp_path}/file:/file", "declared", "sh", "-c")
    assert jettison.ok(*words, "touch /var/x/y/f && test -d /out && cat /file").out == "content"


@root_only
def test_what_a_container_writes_is_gone(jettison: Any) -> None:
    jettison.ok("run", "busybox", "touch", "/mark")
    assert jettison("run", "busybox", "test", "-e", "/mark").code == 1


@root_only
def test_network_none_has_no_way_out(jettison: Any) -> None:
    assert jettison.ok("run", "--network", "none", "busybox", "sh", "-c", "ls /sys/class/net").out == "lo\n"


def started(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"


@root_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_process_that_catches_a_signal_gets_it(jettison: Any, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 5' {name}; echo started; while :; do sleep 0.05; done"
    process = jettison.start("run", "busybox", "sh", "-c", script, stdout=subprocess.PIPE)
    started(process)
    process.send_signal(number)
    assert process.wait(30) == 5
    assert process.stdout.read() == b"caught\n"


@root_only
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_process_that_does_not_is_ended(jettison: Any, number: signal.Signals, status: int) -> None:
    words = ("run", "busybox", "sh", "-c", "echo started; exec sleep 1000")
    process = jettison.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started(process)
    process.send_signal(number)
    assert process.wait(30) == status
    assert process.stderr.read() == b""


@root_only
def test_a_terminal(jettison: Any, on_terminal: Callable[..., tuple[int, bytes]]) -> None:
    script = "test -t 0 && tty; read -r -t 20 _; exit 3"
    status, screen = on_terminal("run", "-it", "busybox", "sh", "-c", script)
    assert (status, screen.strip()[:5]) == (3, b"/dev/"), screen
    refused = jettison("run", "-t", "busybox", "true")
    assert refused.code == 2 and "terminal" in refused.err


@pytest.fixture
def on_terminal(jettison: Any) -> Callable[..., tuple[int, bytes]]:
    def run(*words: str) -> tuple[int, bytes]:
        # The terminal stays open here until all is read: closing its last user may lose what is under way.
        own, its = os.openpty()
        process = jettison.start(*words, stdin=its, stdout=its, stderr=its, start_new_session=True)
        screen, answered = b"", False
        while True:
            over = process.poll() is not None
            if select.select([own], [], [], 0.05)[0]:
                screen += os.read(own, 4096)
                if not answered:
                    # A runtime may lose what is written just before the end: so the end waits for this.
                    answered = bool(os.write(own, b"\n"))
            elif over:
                break
        os.close(own)
        os.close(its)
        return process.wait(30), screen

    return run

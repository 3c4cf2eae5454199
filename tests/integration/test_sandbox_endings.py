"""How steps end: by themselves, cancelled, or with a builder that was killed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from jettison.errors import Cancelled
from jettison.sandbox import oci
from jettison.sandbox.base import Sandbox
from tests.integration.containers import NEEDS, Shell, cgroups, processes, run, shell, within_seconds

pytestmark = NEEDS


def test_children_of_the_first_process_do_not_hold_the_step(sh: Shell) -> None:
    began = time.monotonic()
    assert sh("sleep 100 & echo done").out == b"done\n"
    assert time.monotonic() - began < 10


def test_cancel_kills_all_and_leaves_nothing(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    marker = "7357.25"
    script = f"trap '' TERM INT; sleep {marker} & (sleep {marker} & ) ; echo up; wait"
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, script), tmp_path / "work", cancel, lambda data: cancel.set())
    assert time.monotonic() - began < 5
    assert processes(marker) == []


def test_without_the_tools_for_a_pid_namespace(
    sandbox: Sandbox, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_tools", "_wrapper"):
        monkeypatch.setattr(oci, name, lambda: ())
    assert run(sandbox, shell(rootfs, "echo out; exit 7"), tmp_path / "first").status == 7
    cancel = threading.Event()
    script = "trap '' TERM INT; sleep 7357.9 & echo up; wait"
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, script), tmp_path / "second", cancel, lambda data: cancel.set())
    assert processes("7357.9") == []


def test_cancel_before_the_start(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        run(sandbox, shell(rootfs, "touch /ran"), tmp_path / "work", cancel)
    assert not (rootfs / "ran").exists()


def test_output_that_raises_ends_the_step(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    def watch(data: bytes) -> None:
        raise BrokenPipeError("gone")

    with pytest.raises(BrokenPipeError):
        run(sandbox, shell(rootfs, "echo up; sleep 7357.5"), tmp_path / "work", None, watch)
    assert processes("7357.5") == []


BUILDER = """
import os, sys, threading
from jettison import kernel
from tests.integration.containers import choose
from jettison.sandbox.base import ProcessSpec
spec = ProcessSpec(sys.argv[2], ("/bin/sh", "-c", sys.argv[4]), ("PATH=/bin",))
show = lambda stream, data: print(data.decode(), end="", flush=True)
output = show if sys.argv[5] == "shown" else None
run = lambda: choose(sys.argv[1]).run(spec, output, threading.Event(), sys.argv[3])
sys.exit(kernel.private_mounts(run))
"""


def removed(cgroup: Path) -> bool:
    try:
        cgroup.rmdir()
    except OSError:
        return False
    return True


def test_step_dies_with_a_killed_builder(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    script = "echo up; sleep 7357.75; echo"
    command = [sys.executable, "-c", BUILDER, sandbox.name, str(rootfs), str(work), script, "shown"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as builder:
        assert builder.stdout is not None
        try:
            assert builder.stdout.readline() == b"up\n"
            assert within_seconds(10, lambda: bool(processes("7357.75")))
        finally:
            builder.send_signal(signal.SIGKILL)
    assert within_seconds(10, lambda: not processes("7357.75"))
    assert list(work.iterdir()) == []
    for left in cgroups(builder.pid):
        # The kernel lets go of a cgroup some time after the last process in it is gone.
        assert within_seconds(10, lambda left=left: removed(left))


def test_own_streams(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    """Without `output`, the process has the streams of its builder, input included."""
    work = tmp_path / "work"
    work.mkdir()
    command = [sys.executable, "-c", BUILDER, sandbox.name, str(rootfs), str(work), "cat; exit 3", "own"]
    result = subprocess.run(command, input=b"typed", capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (3, b"typed"), result.stderr


def test_secrets_do_not_reach_the_disk(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    """Whoever looks from outside the step's mount namespace sees an empty folder."""
    work = tmp_path / "work"
    seen: list[list[str]] = []
    with ThreadPoolExecutor(1) as outside:
        outside.submit(int).result()
        spec = replace(shell(rootfs, "echo up"), env=("PATH=/bin", "TOKEN=hush"))
        look = lambda data: seen.append(outside.submit(os.listdir, work).result())  # noqa: E731
        run(sandbox, spec, work, None, look)
    assert seen == [[]]


TERMINAL = """
import os, sys, threading, fcntl, termios
os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from jettison import kernel
from tests.integration.containers import choose
from jettison.sandbox.base import ProcessSpec
spec = ProcessSpec(sys.argv[2], ("/bin/sh", "-c", "tty; read line; echo <$line>; exit 4"), ("PATH=/bin",),
    terminal=True)
run = lambda: choose(sys.argv[1]).run(spec, None, threading.Event(), sys.argv[3])
status = kernel.private_mounts(run)
os._exit(status)
"""


def test_terminal(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    controller, terminal = pty.openpty()
    code = TERMINAL.replace("<$line>", "'<'$line'>'")
    command = [sys.executable, "-c", code, sandbox.name, str(rootfs), str(tmp_path / "work")]
    seen = b""
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal) as builder:
        os.close(terminal)
        try:
            typed = False
            while b"<typed>" not in seen:
                seen += os.read(controller, 4096)
                if b"/dev/" in seen and not typed:
                    os.write(controller, b"typed\n")
                    typed = True
        except OSError:
            pass  # the other end was closed
        status = builder.wait(timeout=30)
    os.close(controller)
    assert (status, b"<typed>" in seen, b"/dev/" in seen) == (4, True, True), seen


def test_a_missing_program_is_always_called_so(sh: Shell) -> None:
    """Runtimes that do something else meanwhile may lose the reason."""
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: sh("", args=("/nosuch",)), range(40)))
    assert {result.status for result in results} == {127}

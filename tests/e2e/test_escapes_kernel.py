"""What of the kernel is not apart for containers: a step that asks for it is refused."""

from __future__ import annotations

import errno
import os
import platform
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Jettison
from tests.e2e.test_bad_input import Project
from tests.syscalls import Call, program

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="the rung with most to lose is root's"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls by the numbers of x86-64"),
]

RUNGS = [
    pytest.param(
        ("--runtime", name), id=name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"no {name}")
    )
    for name in ("crun", "runc")
] + [pytest.param(("--isolation", name), id=name) for name in ("builtin", "chroot")]

NAME = b"jettison-probe\0"
DENIED = [
    Call("add_key", 248, (b"user\0", NAME, b"x", 1, -3)),
    Call("request_key", 249, (b"user\0", NAME, 0, -3)),
    Call("keyctl GET_KEYRING_ID session", 250, (0, -3, 0)),
    Call("keyctl JOIN_SESSION_KEYRING", 250, (1, 0)),
    Call("bpf", 321, (0, bytes(72), 72)),
    Call("userfaultfd", 323, (0,)),
    Call("perf_event_open", 298, (bytes(112), 0, -1, -1, 0)),
    Call("io_uring_setup", 425, (8, bytes(120))),
    Call("open_by_handle_at", 304, (-100, struct.pack("II", 8, 1) + bytes(8), 0)),
    Call("socket vsock", 41, (40, 1, 0)),
    Call("init_module", 175, (bytes(8), 8, b"\0")),
    Call("finit_module", 313, (0, b"\0", 0)),
    Call("delete_module", 176, (NAME, 0)),
    Call("kexec_load", 246, (0, 0, 0, 0)),
    Call("iopl", 172, (3,)),
    Call("ioperm", 173, (0x80, 1, 1)),
    Call("acct", 163, (b"/acct\0",)),
    Call("swapon", 167, (b"/swap\0", 0)),
    Call("syslog", 103, (3, bytes(64), 64)),
    Call("clock_settime", 227, (0, bytes(16))),
    Call("quotactl", 179, (0x800001 << 8, 0, 0, 0)),
    Call("fanotify_init", 300, (0, 0)),
    Call("lookup_dcookie", 212, (1, bytes(64), 64)),
    Call("fsopen", 430, (b"tmpfs\0", 0)),
    Call("open_tree", 428, (-100, b"/\0", 1)),
    Call("unshare user", 272, (0x10000000,)),
    Call("userfaultfd by x32", 0x40000000 | 323, (0,)),
    Call("add_key by x32", 0x40000000 | 248, (b"user\0", NAME, b"x", 1, -3)),
    Call("old add_key", 286, (b"user\0", NAME, b"x", 1, -3), old=True),
    Call("old keyctl", 288, (0, -3, 0), old=True),
    Call("old bpf", 357, (0, bytes(72), 72), old=True),
    Call("old socket vsock", 359, (40, 1, 0), old=True),
    Call("old vm86", 113, (0, 0), old=True),
]

NO = (-errno.EPERM, -errno.ENOSYS)


def build_probe(jettison: Jettison, project: Project, calls: list[Call], *words: str) -> list[int]:
    """What a step gets for its calls: a number, or a negative errno."""
    text = "FROM busybox AS probed\nCOPY --chmod=755 probe /\n"
    text += "RUN /probe | od -A n -v -t d8 -w8 | sed 's/ */=/'"
    done = jettison.ok("build", "--progress", "plain", *words, project({"probe": program(calls)}, text))
    found = re.findall(r"^#\d+ [\d.]+ =(-?\d+)$", done.err, re.M)
    assert len(found) == len(calls), done.err
    return list(map(int, found))


@pytest.mark.parametrize("rung", RUNGS)
def test_what_is_not_apart_is_denied(jettison: Jettison, project: Project, rung: tuple[str, str]) -> None:
    """Keyrings among it: all containers of a user share them, and the builder's may hold passwords."""
    answers = build_probe(jettison, project, DENIED, *rung)
    wrong = [(call.name, got) for call, got in zip(DENIED, answers, strict=True) if got not in NO]
    assert wrong == []


PACKETS = [Call("packet", 41, (17, 3, 0x300)), Call("raw", 41, (2, 3, 1))]


@pytest.mark.parametrize("rung", RUNGS)
def test_nobody_listens_on_the_network_of_the_machine(
    jettison: Jettison, project: Project, rung: tuple[str, str]
) -> None:
    """Raw sockets are for a step with a network of its own."""
    words = (*rung, "--network", "host", "--allow", "network.host")
    assert build_probe(jettison, project, PACKETS, *words) == [-errno.EPERM] * 2


TYPED = b"GOT\n"


@pytest.mark.parametrize("rung", RUNGS)
def test_nothing_is_typed_into_the_terminal_of_the_caller(
    jettison: Jettison, project: Project, rung: tuple[str, str]
) -> None:
    """TIOCSTI puts letters where the caller's own shell reads them when the step is over."""
    calls = [Call("open", 2, (b"/dev/tty\0", 2)), Call("TIOCLINUX", 16, (0, 0x541C, b"\3"))]
    calls += [Call("TIOCSTI", 16, (0, 0x5412, bytes([letter]))) for letter in TYPED]
    calls += [Call("TIOCSTI", 16, (0, 0x5412, bytes([letter])), answer_of=0) for letter in TYPED]
    build_probe(jettison, project, calls, *rung)
    command = [sys.executable, "-m", "jettison", "shell", *rung, "probed", ".", "--", "/probe"]
    script = f'{shlex.join(command)} > probed; read -r -t 0.1 line; echo "then: $line."'
    seen = in_terminal(["bash", "-c", script], project(), {**os.environ, "JETTISON_ROOT": str(jettison.root)})
    assert "then: ." in seen, seen
    assert len((project() / "probed").read_bytes()) == 8 * len(calls)


def in_terminal(argv: list[str], cwd: Path, environment: dict[str, str]) -> str:
    """What a program shows in a terminal of its own."""
    child, terminal = pty.fork()
    if not child:
        os.chdir(cwd)
        os.execvpe(argv[0], argv, environment)
    seen = b""
    ends = time.monotonic() + 60
    try:
        while select.select([terminal], [], [], max(ends - time.monotonic(), 0))[0]:
            seen += os.read(terminal, 4096)
    except OSError:
        pass  # its other end is closed
    finally:
        os.close(terminal)
        os.kill(child, signal.SIGKILL) if time.monotonic() > ends else None
        os.waitpid(child, 0)
    return seen.decode()

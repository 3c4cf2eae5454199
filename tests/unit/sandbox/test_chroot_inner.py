"""The filter that keeps a step's hands off the builder, in a process that has it on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jettison.sandbox import chroot_inner

PROGRAM = """
import fcntl, os, resource, struct, sys
from jettison.sandbox import chroot_inner
parent = os.getppid()
chroot_inner._filter(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000), chroot_inner._ancestors())
def refused(what):
    try:
        what()
    except PermissionError:
        return True
    return False
own = os.fork()
if own == 0:
    os.read(0, 1)
    os._exit(0)
print([
    refused(lambda: os.kill(parent, 0)),
    refused(lambda: os.kill(-1, 0)),
    refused(lambda: os.kill(1, 0)),
    refused(lambda: os.killpg(os.getpgid(parent), 0)),
    refused(lambda: os.pidfd_open(parent)),
    refused(lambda: resource.prlimit(parent, resource.RLIMIT_CPU)),
    refused(lambda: fcntl.fcntl(0, fcntl.F_SETOWN, parent)),
    refused(lambda: os.kill(own, 0)),
    refused(lambda: fcntl.fcntl(0, fcntl.F_GETFD)),
    refused(lambda: resource.prlimit(0, resource.RLIMIT_CPU)),
    refused(lambda: os.kill(own, 9)),
])
"""


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="no filter for this architecture")
def test_what_reaches_the_builder_is_refused_and_nothing_else() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == f"{[True] * 7 + [False] * 4}\n", done.stderr


def test_jumps_stay_within_reach() -> None:
    lines = chroot_inner.guard(list(range(2, 400)))
    assert all(line[1] < 256 and line[2] < 256 for line in lines)
    for at, (code, true, false, operand) in enumerate(lines):
        far = operand if code == 0x05 else max(true, false)
        assert at + far < len(lines), "a jump leads beyond the guard"

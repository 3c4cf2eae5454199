"""Devices of a step: the harmless ones of the host, and no way to open any other.

A process with CAP_MKNOD can make the node of every device, and a layer may hold it: what keeps the host's
disks from being read is that all its mounts are `nodev`. No cgroup limits devices here.

crun takes that flag from the mount of a root filesystem, unless the kernel does not let it. So what starts
it may remount nothing without the flag; where no such filter can be had, a hook gives the flag back, which
costs each step the start of three programs.
"""

from __future__ import annotations

import functools
import os
import sys
from typing import Any

from jettison import kernel
from jettison.sandbox.seccomp import (
    ALLOW,
    ARCHITECTURE,
    AUDIT,
    ENOSYS,
    EPERM,
    ERRNO,
    FIRST_ARGUMENT,
    JUMP_EQUAL,
    JUMP_SET,
    LOAD,
    NUMBER,
    RETURN,
    Instruction,
    packed,
)

DEVICES = tuple(f"/dev/{name}" for name in ("null", "zero", "full", "tty", "random", "urandom"))
"""The harmless ones."""

_HEARD = ("-c", 'cat >/dev/null; exec "$@"', "shutting")
"""A shell that goes on once it has read its input: a runtime cannot start a step whose hook has not.

Its own `read` would take a byte at a time.
"""

_REMOUNT = (
    "import ctypes, os, sys\n"
    "sys.stdin.buffer.read()\n"
    "c = ctypes.CDLL(None, use_errno=True)\n"
    "sys.exit(c.mount(None, os.fsencode(sys.argv[1]), None, ctypes.c_ulong(32 | 4096 | 4), None) and 1)\n"
)

_MOUNT = {
    "x86_64": ((AUDIT["x86_64"], 165), (AUDIT["i386"], 21)),
    "aarch64": ((AUDIT["aarch64"], 40), (AUDIT["arm"], 21)),
}
"""The number of mount(2) for all programs that a machine runs, the runtime may be one of either kind."""

_SET_ATTRIBUTES = (442, 467)
"""mount_setattr and open_tree_attr: a filter cannot see their flags, and older kernels have neither."""

_MS_RDONLY = 1
_HARMLESS_FLAGS = _MS_RDONLY | kernel.MS_NODEV | kernel.MS_NOEXEC
"""What is remounted with one of these is no root filesystem that can be written to."""


@functools.cache
def keeping() -> bytes:
    """The filter under which no mount that can be written to loses `nodev`; b"" where there can be none."""
    if not os.path.exists("/proc/sys/kernel/seccomp/actions_avail"):
        return b""
    return packed(program(os.uname().machine))


def are_shut(rootfs: str) -> bool:
    """Whether the mount at `rootfs` is `nodev`."""
    return bool(os.statvfs(rootfs).f_flag & os.ST_NODEV)


def program(machine: str) -> list[Instruction]:
    """That filter. Who gets EPERM takes the flags that a mount has, as user namespaces ask for it as well."""
    out: list[Instruction] = [(LOAD, 0, 0, ARCHITECTURE)]
    for architecture, mount in _MOUNT.get(machine, ()):
        part = _part(mount)
        out += [(JUMP_EQUAL, 0, len(part), architecture), *part]
    return [*out, (RETURN, 0, 0, ALLOW)] if len(out) > 1 else []


def _part(mount: int) -> list[Instruction]:
    allowed: Instruction = (RETURN, 0, 0, ALLOW)
    out: list[Instruction] = [(LOAD, 0, 0, NUMBER)]
    for number in _SET_ATTRIBUTES:
        out += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | ENOSYS)]
    out += [(JUMP_EQUAL, 1, 0, mount), allowed, (LOAD, 0, 0, FIRST_ARGUMENT + 8 * 3)]
    out += [(JUMP_SET, 1, 0, kernel.MS_REMOUNT), allowed]
    return [*out, (JUMP_SET, 0, 1, _HARMLESS_FLAGS), allowed, (RETURN, 0, 0, ERRNO | EPERM)]


def device_mounts() -> list[dict[str, Any]]:
    """The harmless devices as mounts of an OCI configuration; runtimes leave alone what they find in /dev.

    Read-only: a device may be written to all the same, but its owner and mode, which are the host's, stay.
    """
    options = ["bind", "ro", "nosuid", "noexec"]
    return [{"destination": path, "type": "bind", "source": path, "options": options} for path in DEVICES]


def shutting(rootfs: str, shell: str, mount: str) -> tuple[str, ...]:
    """The command that makes the mount at `rootfs` nodev; `mount` is util-linux's program, or "" for none."""
    if shell and mount:
        return (shell, *_HEARD, mount, "-o", "remount,bind,nodev", rootfs)
    return (sys.executable, "-I", "-S", "-c", _REMOUNT, rootfs)

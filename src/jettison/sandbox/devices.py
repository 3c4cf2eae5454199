"""Devices of a step: the harmless ones of the host, and no way to open any other.

A process with CAP_MKNOD can make the node of every device, and a layer may hold it: what keeps the host's
disks from being read is that all its mounts are `nodev`. No cgroup limits devices here.
"""

from __future__ import annotations

import sys
from typing import Any

_HARMLESS = ("null", "zero", "full", "tty", "random", "urandom")

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


def device_mounts() -> list[dict[str, Any]]:
    """The harmless devices as mounts of an OCI configuration; runtimes leave alone what they find in /dev.

    Read-only: a device may be written to all the same, but its owner and mode, which are the host's, stay.
    """
    options = ["bind", "ro", "nosuid", "noexec"]
    return [
        {"destination": f"/dev/{name}", "type": "bind", "source": f"/dev/{name}", "options": options}
        for name in _HARMLESS
    ]


def shutting(rootfs: str, shell: str, mount: str) -> tuple[str, ...]:
    """The command that makes the mount at `rootfs` nodev; `mount` is util-linux's program, or "" for none."""
    if shell and mount:
        return (shell, *_HEARD, mount, "-o", "remount,bind,nodev", rootfs)
    return (sys.executable, "-I", "-S", "-c", _REMOUNT, rootfs)

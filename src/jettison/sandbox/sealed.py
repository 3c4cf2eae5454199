"""A copy of the runtime that nobody can write to, as runtimes want to be started.

A container could write to the program that started it, through /proc; so runtimes copy themselves to sealed
memory and start anew from there, unless that is where they are already. One copy for all steps of a
build saves each of them that.
"""

from __future__ import annotations

import fcntl
import functools
import os

_EXECUTABLE = 0x10
"""MFD_EXEC (Linux 6.3), which some machines insist on and older kernels do not know."""

_LOWEST = 10
"""Numbers below are what a child knows its files by."""


def program(path: str) -> int:
    """The descriptor of a sealed copy of a program, closed on exec; -1 where none can be made.

    It stays open as long as this process lives, and is made anew when the file has changed.
    """
    try:
        there = os.stat(path)
        return _copy(path, (there.st_dev, there.st_ino, there.st_size, there.st_ctime_ns))
    except OSError:
        return -1


@functools.cache
def _copy(path: str, _: tuple[int, ...]) -> int:
    memory = _memory()
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return -1  # a script may look for what lies beside it
            at, size = 0, os.fstat(file.fileno()).st_size
            while at < size:
                moved = os.sendfile(memory, file.fileno(), at, size - at)
                if not moved:
                    return -1
                at += moved
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        return fcntl.fcntl(memory, fcntl.F_DUPFD_CLOEXEC, _LOWEST)
    finally:
        os.close(memory)


def _memory() -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create("runtime", flags | _EXECUTABLE)
    except OSError:
        return os.memfd_create("runtime", flags)

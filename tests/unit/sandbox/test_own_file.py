"""The answers that the supervisor of a chroot gives to steps about their own file."""

from __future__ import annotations

import _socket
import ctypes
import os
import threading
from collections.abc import Callable

from jettison.sandbox import chroot_inner

READLINKAT = {"x86_64": 267, "aarch64": 78}[os.uname().machine]
ROOT, SLASH, NAME = os.readlink("/proc/self/exe").rpartition("/")
OWN = f"{SLASH}{NAME}".encode()
_libc = ctypes.CDLL(None, use_errno=True)


def asked(ask: Callable[[], bytes]) -> bytes:
    """What a process finds out that is answered as if `ROOT` were its root."""
    ours, theirs = _socket.socketpair()
    hears, tells = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            chroot_inner._prctl(chroot_inner._NO_NEW_PRIVS, 1)
            chroot_inner._ask(theirs)
            os.write(tells, ask())
        finally:
            os._exit(0)
    os.close(tells)
    theirs.close()
    words = (ours, ROOT, os.getuid(), os.getgid())
    answering = threading.Thread(target=chroot_inner._answer, args=words, daemon=True)
    answering.start()
    with open(hears, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    answering.join(10)
    assert not answering.is_alive(), "nobody is left to ask, and it goes on"
    return answer


def read(path: bytes | int, size: int = 100, buffer: int | None = None) -> bytes:
    """readlinkat(2), with a path or an address in its place."""
    room = ctypes.create_string_buffer(120)
    where = path if isinstance(path, bytes) else ctypes.c_void_p(path)
    at = ctypes.c_void_p(ctypes.addressof(room) if buffer is None else buffer)
    length = _libc.syscall(ctypes.c_long(READLINKAT), -100, where, at, ctypes.c_size_t(size))
    return room.raw[:length] if length >= 0 else os.strerror(ctypes.get_errno()).encode()


def test_a_process_is_told_its_own_file() -> None:
    assert asked(lambda: read(b"/proc/self/exe")) == OWN
    assert asked(lambda: read(b"/proc/%d/exe" % os.getpid())) == OWN
    assert asked(lambda: read(b"/proc/self/exe", size=3)) == OWN[:3]


def test_other_links_are_left_to_the_kernel() -> None:
    assert asked(lambda: read(b"/proc/%d/exe" % os.getppid())) == f"{ROOT}/{NAME}".encode()
    assert asked(lambda: read(b"/proc/self/cwd")) == os.getcwd().encode()
    assert asked(lambda: read(b"/no/such")) == b"No such file or directory"


def test_addresses_that_are_none_keep_nobody_waiting() -> None:
    def all_of_them() -> bytes:
        found = []
        for address in (0, 1, 1 << 47, (1 << 63) + 7, (1 << 64) - 1):
            found += [read(address), read(b"/proc/self/exe", buffer=address)]
        return b",".join([*found, read(b"/proc/self/exe", size=0), read(b"/proc/self/exe")])

    assert asked(all_of_them).split(b",") == [b"Bad address"] * 10 + [b"Invalid argument", OWN]

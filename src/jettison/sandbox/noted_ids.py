"""Where there is one id only: chown and mknod are noted, so that the layer tells what the step wanted.

The kernel holds a call until this process has answered it. The answer is a success where a real call of
root would be one, and the file gets an extended attribute that says whose it is (`user.jettison.owner`), or
which device (`user.jettison.device`, on an empty file), for the store to read. Only files in the step's own
root filesystem can be named: paths are resolved as the kernel would do for the step, by a thread that has
gone to the step's root. It follows no link of /proc that leads to an open file, a root or a working folder:
in an outer /proc those are this process's. A call by way of one only seems to succeed, as do all of them
before Linux 5.6.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import os
import re
import select
import socket
import stat
import struct
import threading
from collections.abc import Callable

from jettison import kernel
from jettison.sandbox.seccomp import AUDIT

_RECEIVE, _SEND, _STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102
_AT_FDCWD, _AT_NO_FOLLOW, _AT_EMPTY_PATH = -100, 0x100, 0x1000
_LONGEST_PATH = 4096
_UNKNOWN = (errno.ELOOP, errno.ENOSYS)
"""What is said of a path that goes by way of such a link, and of all paths where nobody can tell."""
_KINDS = {stat.S_IFCHR: b"char", stat.S_IFBLK: b"block"}

_OWN_FILE = re.compile(r"/(?:proc/self|dev)/fd/(\d{1,9})")

Arguments = tuple[int, ...]


class Place:
    """Finds what a process means by a path. `proc` is our own /proc.

    `check` raises OSError when the process has ended: its number may be another one's then.
    """

    def __init__(self, proc: int, pid: int, check: Callable[[], None]) -> None:
        self._proc = proc
        self._folder = f"{pid}"
        self._check = check

    def text(self, address: int) -> str:
        """The path at an address of the process's memory. Raises OSError."""
        memory = os.open(f"{self._folder}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            data = b""
            while b"\0" not in data and len(data) < _LONGEST_PATH:
                at = address + len(data)
                # Not beyond a page: the next one may not be there.
                more = os.pread(memory, 4096 - at % 4096, at)
                if not more:
                    raise OSError(errno.ESRCH, "it has ended")
                data += more
        finally:
            os.close(memory)
        self._check()
        path, end, _ = data.partition(b"\0")
        if not end:
            raise OSError(errno.ENAMETOOLONG, "path")
        return os.fsdecode(path)

    def umask(self) -> int:
        """What the process takes from the modes of new files."""
        status = os.open(f"{self._folder}/status", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return int(os.read(status, 1 << 12).partition(b"Umask:")[2].split(maxsplit=1)[0], 8)
        finally:
            os.close(status)

    def enter(self, folder: int = _AT_FDCWD) -> None:
        """Go to the root of the process, and in there to its working folder or an open one."""
        flags = os.O_PATH | os.O_CLOEXEC
        root = os.open(f"{self._folder}/root", flags, dir_fd=self._proc)
        try:
            name = "cwd" if folder == _AT_FDCWD else f"fd/{folder}"
            here = os.open(f"{self._folder}/{name}", flags | os.O_DIRECTORY, dir_fd=self._proc)
        except BaseException:
            os.close(root)
            raise
        try:
            self._check()
            os.fchdir(root)
            os.chroot(".")
            os.fchdir(here)
        finally:
            os.close(root)
            os.close(here)

    def open_file(self, number: int) -> int:
        """An O_PATH descriptor of one of the process's open files. Raises OSError."""
        found = os.open(f"{self._folder}/fd/{number}", os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            self._check()
        except OSError:
            os.close(found)
            raise
        return found

    def name_of(self, number: int) -> bytes:
        """The name of one of the process's open files, without its folder. Raises OSError."""
        path = os.readlink(os.fsencode(f"{self._folder}/fd/{number}"), dir_fd=self._proc)
        return os.path.basename(path)

    def readable(self, found: int) -> int:
        """The same file opened for reading."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(f"self/fd/{found}", flags, dir_fd=self._proc)


def _chown(place: Place, found: int, uid: int, gid: int, name: bytes = b"") -> None:
    """Note the owner of a file or folder; other kinds of files can have no note. Closes `found`.

    `name` is that of a file which is given to root while it is open. Who does that saw root as the owner of
    an older file, whoever that is in truth, and wants the same for the new one: so a note of somebody else
    stays, and without one the name is noted for the store (`store/upper.py`).
    """
    try:
        mode = os.fstat(found).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return
        file = place.readable(found)
    finally:
        os.close(found)
    try:
        before = _owner(file)
        as_seen = bool(name) and stat.S_ISREG(mode)
        if not (as_seen and before != (0, 0)):
            wanted = [new if new != 0xFFFFFFFF else old for new, old in zip((uid, gid), before, strict=True)]
            note = b"%d:%d" % tuple(wanted)
            os.setxattr(file, "user.jettison.owner", note + b":" + name if as_seen else note)
        # As the kernel does: a program must not gain the rights of its new owner.
        dropped = stat.S_ISUID | (stat.S_ISGID if mode & stat.S_IXGRP else 0)
        if stat.S_ISREG(mode) and mode & dropped:
            os.fchmod(file, stat.S_IMODE(mode) & ~dropped)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    finally:
        os.close(file)


def _owner(file: int) -> tuple[int, int]:
    try:
        uid, gid = os.getxattr(file, "user.jettison.owner").split(b":")[:2]
        return int(uid), int(gid)
    except (OSError, ValueError):
        return 0, 0


def _by_path(follow: bool) -> Callable[[Place, Arguments], None]:
    def call(place: Place, words: Arguments) -> None:
        _chown(place, _look_up(place, _AT_FDCWD, words[0], follow), words[1], words[2])

    return call


def _by_file(place: Place, words: Arguments) -> None:
    name = place.name_of(words[0]) if words[1:3] == (0, 0) else b""
    _chown(place, place.open_file(words[0]), words[1], words[2], name)


def _by_folder(place: Place, words: Arguments) -> None:
    folder, flags = _signed(words[0]), words[4]
    if flags & _AT_EMPTY_PATH and not place.text(words[1]):
        if folder == _AT_FDCWD:
            place.enter()
            _chown(place, os.open(".", os.O_PATH | os.O_CLOEXEC), words[2], words[3])
        else:
            _by_file(place, (folder, words[2], words[3]))
        return
    _chown(place, _look_up(place, folder, words[1], not flags & _AT_NO_FOLLOW), words[2], words[3])


def _look_up(place: Place, folder: int, address: int, follow: bool) -> int:
    path = place.text(address)
    place.enter(_AT_FDCWD if path.startswith("/") else folder)
    try:
        return kernel.open_by_names(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    except OSError:
        own = _own_file(path) if follow else None
        if own is None:
            raise
    return place.open_file(own)


def _own_file(path: str) -> int | None:
    """Which of its open files a process means by a path, as by /dev/stdout or a log that is a link to it."""
    for _ in range(8):
        if found := _OWN_FILE.fullmatch(path):
            return int(found[1])
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            break
    return None


def _node(place: Place, words: Arguments) -> None:
    _node_at(place, (_AT_FDCWD, *words))


def _node_at(place: Place, words: Arguments) -> None:
    """An empty file with a note stands for the device."""
    mode, device = words[2], words[3]
    path, umask = place.text(words[1]), place.umask()
    place.enter(_AT_FDCWD if path.startswith("/") else _signed(words[0]))
    file = kernel.open_by_names(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(file, stat.S_IMODE(mode) & ~umask)
        numbers = (_KINDS[stat.S_IFMT(mode)], os.major(device), os.minor(device))
        os.setxattr(file, "user.jettison.device", b"%s:%d:%d" % numbers)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    finally:
        os.close(file)


def _signed(word: int) -> int:
    return word - (1 << 32) if word & 1 << 31 else word


NOTED: dict[str, dict[int, Callable[[Place, Arguments], None]]] = {
    "x86_64": {92: _by_path(True), 93: _by_file, 94: _by_path(False), 260: _by_folder},
    "i386": {212: _by_path(True), 207: _by_file, 198: _by_path(False), 298: _by_folder},
    "aarch64": {54: _by_folder, 55: _by_file},
}
"""The calls that are noted, by their numbers. The 16-bit ones of old i386 programs are only faked."""

NODES: dict[str, dict[int, Callable[[Place, Arguments], None]]] = {
    "x86_64": {133: _node, 259: _node_at},
    "i386": {14: _node, 297: _node_at},
    "aarch64": {33: _node_at},
}
"""mknod and mknodat; only devices of them are noted."""


def serve(heard: int) -> str:
    """Answer calls of the step whose child says on the socket `heard` that it will ask; until it has ended.

    Gives what it said why it could not start the step, or "". To be called in a thread
    that may change its root.
    """
    complaint, asked = "", -1
    poll = select.poll()
    poll.register(heard, select.POLLIN)
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    try:
        while True:
            for ready, events in poll.poll():
                if ready == asked and events & select.POLLIN:
                    _answer_one(asked, proc)
                elif ready == asked:
                    poll.unregister(asked)  # nobody is left who could ask
                if ready == heard:
                    with socket.socket(fileno=os.dup(heard)) as listening:
                        data, descriptors, _, _ = socket.recv_fds(listening, 1 << 12, 1)
                    if descriptors:
                        asked = descriptors[0]
                        poll.register(asked, select.POLLIN)
                    elif data:
                        complaint = data.decode(errors="replace")
                    else:
                        return complaint
    finally:
        os.close(proc)
        if asked >= 0:
            os.close(asked)


def _answer_one(asked: int, proc: int) -> None:
    """Carry out one call and let its caller go on."""
    call = bytearray(80)
    try:
        fcntl.ioctl(asked, _RECEIVE, call)
    except OSError:
        return  # the caller was killed meanwhile
    number, pid, _, name, architecture = struct.unpack_from("QIIiI", call)
    words = struct.unpack_from("6Q", call, 32)
    problem = 0
    home = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        machine = next(key for key, value in AUDIT.items() if value == architecture)
        place = Place(proc, pid, functools.partial(_still_asked, asked, number))
        addresses = 1 << (32 if machine == "i386" else 64)
        action = {**NOTED[machine], **NODES[machine]}[name]
        path_at = 1 if action in (_by_folder, _node_at) else 0
        action(
            place,
            tuple(word % addresses if at == path_at else word & 0xFFFFFFFF for at, word in enumerate(words)),
        )
    except Exception as error:
        # Whatever went wrong: its caller waits.
        problem = (error.errno if isinstance(error, OSError) else 0) or errno.EPERM
        if problem in _UNKNOWN:
            problem = 0
    finally:
        os.fchdir(home)
        os.chroot(".")
        os.close(home)
    try:
        fcntl.ioctl(asked, _SEND, struct.pack("Qqii", number, 0, -problem, 0))
    except OSError:
        pass  # it was killed meanwhile


def _still_asked(asked: int, number: int) -> None:
    """Raises OSError if the caller has ended."""
    fcntl.ioctl(asked, _STILL_VALID, struct.pack("Q", number))


class Notary:
    """A thread that serves one step. `complaint` waits for its end, which comes with that of the step."""

    def __init__(self, heard: int) -> None:
        self._heard = os.dup(heard)
        self._complaint = ""
        self._thread = threading.Thread(target=self._body, name="owners of a step", daemon=True)
        self._thread.start()

    def _body(self) -> None:
        kernel.unshare(kernel.CLONE_FS)  # root and working folder are this thread's own now
        try:
            self._complaint = serve(self._heard)
        finally:
            os.close(self._heard)

    def complaint(self) -> str:
        """What the child has said why the step could not be started."""
        self._thread.join()
        return self._complaint

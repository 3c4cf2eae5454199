"""The root filesystem of the built-in sandbox's child program: what is mounted in it, and how safely.

Part of `inner.py`, and as that one nothing but the standard library: see there. Every
module that is imported costs each step some milliseconds; so `Part` is no dataclass.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

TYPE_CHECKING = False  # importing it from typing takes longer than all else here
if TYPE_CHECKING:
    from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MS_STRICTATIME = 4096, 1 << 14, 1 << 18, 1 << 24
QUIET = MS_NOSUID | MS_NOEXEC | MS_NODEV
_FLAG_NAMES = {MS_RDONLY: "ro", MS_NOSUID: "nosuid", MS_NODEV: "nodev", MS_NOEXEC: "noexec"}
_MNT_DETACH = 2

_OPENAT2, _MOUNT_SETATTR = 437, 442
_NO_MAGIC_LINKS, _IN_ROOT = 0x02, 0x10
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}

_LIBC = ctypes.CDLL(None, use_errno=True)


def call(what: str, name: str, *arguments: int | bytes | None) -> int:
    """Call a function of the C library. Raises OSError, which says `what` could not be done."""
    words = [ctypes.c_long(item) if isinstance(item, int) else item for item in arguments]
    result: int = getattr(_LIBC, name)(*words)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


class Root:
    """The root filesystem to be, by an open folder: whatever is looked up in it stays in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.folder = os.open(path, os.O_PATH | os.O_CLOEXEC)

    def enter_mount(self) -> None:
        """Go on with what has been mounted over the folder since."""
        os.close(self.folder)
        self.folder = os.open(self.path, os.O_PATH | os.O_CLOEXEC)

    def open(self, target: str) -> int:
        """An O_PATH descriptor. Symlinks are followed inside the root only. Raises OSError."""
        how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, _NO_MAGIC_LINKS | _IN_ROOT)
        name = os.fsencode(target) or b"/"
        for _ in range(100):
            try:
                return call(target, "syscall", _OPENAT2, self.folder, name, how, len(how))
            except OSError as error:
                if error.errno in (errno.ENOSYS, errno.EPERM):
                    return self._walk(target)
                if error.errno != errno.EAGAIN:
                    raise
        raise OSError(errno.EAGAIN, f"{target}: changes all the time")

    def _walk(self, target: str) -> int:
        """The same for kernels before 5.6: no symlink is followed at all."""
        here = os.dup(self.folder)
        for name in target.split("/"):
            if name in ("", "."):
                continue
            if name == "..":
                raise OSError(errno.EPERM, f"{target}: .. in the name of a mount point")
            above, here = here, os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(above)
        return here

    def open_or_make(self, target: str, *, folder: bool) -> int:
        """The same; what is missing is made. (That leaves a trace only in what was mounted for the step: the
        caller sees to it that all else is there.)"""
        try:
            return self.open(target)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        above, _, name = target.rpartition("/")
        parent = self.open_or_make(above, folder=True)
        if folder:
            os.mkdir(name, 0o755, dir_fd=parent)
        else:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=parent))
        os.close(parent)
        return self.open(target)


class Part:
    """One thing that is put into the root filesystem: it can do it, and describe itself. Never changed."""

    __slots__ = ("data", "flags", "kind", "source", "target")

    def __init__(self, kind: str, target: str, source: str = "", flags: int = 0, data: str = "") -> None:
        for name, value in zip(Part.__slots__, (data, flags, kind, source, target), strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} is not to be changed")

    if TYPE_CHECKING:
        kind: str
        target: str
        source: str
        flags: int
        data: str

    def __str__(self) -> str:
        options = [name for flag, name in _FLAG_NAMES.items() if self.flags & flag]
        options += [self.data] if self.data else []
        source = f" from {self.source}" if self.source else ""
        return f"{self.kind} on {self.target}{source}" + (f" ({','.join(options)})" if options else "")

    def put(self, root: Root) -> None:
        """Do it. Raises OSError."""
        _HOW[self.kind](self, root)


def _filesystem(part: Part, root: Root) -> None:
    """A new filesystem; where the kernel lets nobody mount a new /proc or /sys, the outer one, read-only.

    In an outer /proc a step reads little of processes that have more capabilities, as its builder has, or
    are outside of the user namespace: neither their variables, memory and files nor their working folder.
    """
    place = root.open_or_make(part.target, folder=True)
    name = part.kind.encode()
    try:
        call(str(part), "mount", name, _of(place), name, part.flags, part.data.encode() or None)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES) or part.kind not in ("proc", "sysfs"):
            raise
        _attach(part.target, part.target, root, QUIET | MS_RDONLY)
    finally:
        os.close(place)


def _bind(part: Part, root: Root) -> None:
    _attach(part.target, part.source, root, part.flags)


def _attach(target: str, source: str, root: Root, flags: int) -> None:
    """Mount a file or folder of the outer root with all that is mounted below it."""
    place = root.open_or_make(target, folder=os.path.isdir(source))
    call(f"bind {source} on {target}", "mount", os.fsencode(source), _of(place), None, MS_BIND | MS_REC, None)
    os.close(place)
    if flags:
        _restrict(target, root, flags)


def _restrict(target: str, root: Root, flags: int) -> None:
    """Make what is mounted there, and below, read-only and the like."""
    place = root.open(target)
    attributes = struct.pack("QQQQ", flags, 0, 0, 0)
    try:
        call(target, "syscall", _MOUNT_SETATTR, place, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, 32)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        # Linux before 5.12 does so for one mount only. What an outer user namespace has set has to stay.
        flags |= os.fstatvfs(place).f_flag & (QUIET | MS_RDONLY)
        call(f"remount {target}", "mount", None, _of(place), None, MS_REMOUNT | MS_BIND | flags, None)
    finally:
        os.close(place)


def _mask(part: Part, root: Root) -> None:
    """Cover a file by /dev/null and a folder by an empty one; what is not there needs none."""
    try:
        place = root.open(part.target)
    except OSError:
        return
    if os.path.isdir(_of(place)):
        call(str(part), "mount", b"tmpfs", _of(place), b"tmpfs", QUIET | MS_RDONLY, b"size=0,nr_inodes=2")
    else:
        null = root.open("/dev/null")
        call(str(part), "mount", _of(null), _of(place), None, MS_BIND, None)
        os.close(null)
    os.close(place)


def _read_only(part: Part, root: Root) -> None:
    """Make a part of /proc read-only, by mounting it on itself; what is not there needs not."""
    try:
        place = root.open(part.target)
    except OSError:
        return
    call(str(part), "mount", _of(place), _of(place), None, MS_BIND | MS_REC, None)
    os.close(place)
    _restrict(part.target, root, QUIET | MS_RDONLY)


def _device(part: Part, root: Root) -> None:
    """Mount a device node of its own, so that /dev itself needs to allow none.

    Where none can be made, as in a user namespace, it is the machine's, with owner and mode out of reach.
    """
    name = part.target.rpartition("/")[2]
    made = f"{part.source}/{name}"
    try:
        os.mknod(made, 0o20666, os.makedev(*DEVICES[name]))
        os.chmod(made, 0o666)
        flags = 0
    except OSError:
        made, flags = part.target, MS_RDONLY
    _attach(part.target, made, root, flags)


def _link(part: Part, root: Root) -> None:
    above, _, name = part.target.rpartition("/")
    place = root.open(above)
    os.symlink(part.source, name, dir_fd=place)
    os.close(place)


_HOW = {
    **dict.fromkeys(("proc", "sysfs", "tmpfs", "devpts", "mqueue"), _filesystem),
    "bind": _bind,
    "mask": _mask,
    "read-only": _read_only,
    "device": _device,
    "link": _link,
}


def _of(descriptor: int) -> bytes:
    return b"/proc/self/fd/%d" % descriptor


def parts(spec: dict[str, Any]) -> list[Part]:
    """All that is mounted and made in the root filesystem, in this order."""
    out = [
        Part("proc", "/proc", flags=QUIET),
        Part("tmpfs", "/dev", flags=MS_NOSUID | MS_NODEV | MS_STRICTATIME, data="mode=755,size=65536k"),
        Part("devpts", "/dev/pts", flags=MS_NOSUID | MS_NOEXEC, data=spec["devpts"]),
        Part("tmpfs", "/dev/shm", flags=QUIET, data="mode=1777,size=65536k"),
        Part("mqueue", "/dev/mqueue", flags=QUIET),
        *(Part("device", f"/dev/{name}", spec["work"]) for name in DEVICES),
        *(Part("link", f"/dev/{name}", source) for name, source in LINKS.items()),
    ]
    if spec["bind_sys"]:
        out.append(Part("bind", "/sys", "/sys", QUIET | MS_RDONLY))
    else:
        out.append(Part("sysfs", "/sys", flags=QUIET | (0 if spec["privileged"] else MS_RDONLY)))
    shut = 0 if spec["privileged"] else MS_NODEV
    for kind, target, source, read_only, data in spec["mounts"]:
        extra = MS_NOSUID | MS_NODEV if kind == "tmpfs" else shut
        out.append(Part(kind, target, source, extra | (MS_RDONLY if read_only else 0), data))
    out += [Part("mask", path) for path in spec["masked"]]
    out += [Part("read-only", path) for path in spec["read_only_paths"]]
    return out


def set_up_root(spec: dict[str, Any]) -> None:
    """Fill the root filesystem and make it this process's own; the old one is out of reach then."""
    call("make mounts private", "mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    root = Root(spec["root"])
    top = _of(root.folder)
    call("bind the root filesystem", "mount", top, top, None, MS_BIND | MS_REC, None)
    root.enter_mount()
    call("tmpfs for devices", "mount", b"tmpfs", os.fsencode(spec["work"]), b"tmpfs", MS_NOSUID, b"size=64k")
    if not spec["privileged"]:
        # Whoever may make device nodes must not reach the machine's disks by them.
        _restrict("/", root, MS_NODEV)
    for part in parts(spec):
        part.put(root)
    if spec["read_only"]:
        place = root.open("/")
        kept = 0 if spec["privileged"] else MS_NODEV
        kept |= os.fstatvfs(place).f_flag & QUIET
        call("read-only root", "mount", None, _of(place), None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept, None)
        os.close(place)
    os.fchdir(root.folder)
    os.close(root.folder)
    call("pivot_root", "pivot_root", b".", b".")
    call("leave the old root", "umount2", b".", _MNT_DETACH)
    os.chdir("/")

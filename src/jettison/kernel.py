"""The few system calls that Python 3.11 has no function for: mounts and namespaces.

ctypes is imported by the first call only; a build that mounts nothing never pays for it.
"""

from __future__ import annotations

import errno
import functools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    import ctypes

T = TypeVar("T")

MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_SLAVE = 1 << 19

MNT_DETACH = 2

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000
CLONE_NEWCGROUP = 0x2000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

CAP_SYS_CHROOT = 18
CAP_SYS_ADMIN = 21

_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2

_GET_FLAGS = 0x80086601
_SET_FLAGS = 0x40086602
_TOP_FOLDER = 0x20000

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_RENAME_EXCHANGE = 2
_STATX_BTIME = 0x800
_OPENAT2, _NO_MAGIC_LINKS = 437, 0x02

_CGROUPS = "/sys/fs/cgroup"
_ASIDE = "/sys/kernel"
"""A folder that every machine has, and nobody needs for a moment."""


@functools.cache
def _libc() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def _fail(what: str) -> OSError:
    import ctypes

    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). `fstype` and `data` may be empty. Raises OSError."""
    import ctypes

    arguments = (
        os.fsencode(source) or b"none",
        os.fsencode(target),
        fstype.encode() or None,
        ctypes.c_ulong(flags),
        os.fsencode(data) or None,
    )
    if _libc().mount(*arguments) != 0:
        raise _fail(f"mount {fstype or source} on {target}")


def umount(target: str, flags: int = 0) -> None:
    """umount2(2). Raises OSError."""
    if _libc().umount2(os.fsencode(target), flags) != 0:
        raise _fail(f"unmount {target}")


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread. Raises OSError."""
    if _libc().unshare(flags) != 0:
        raise _fail("unshare")


def prctl(option: int, value: int) -> None:
    """prctl(2) with one argument. Raises OSError."""
    import ctypes

    if _libc().prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) != 0:
        raise _fail("prctl")


def filter_calls(program: bytes) -> None:
    """Let a program of the kernel's filter machine decide on all further system calls of the calling thread,
    and of its children. Raises OSError.
    """
    import ctypes
    import struct

    code = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    if _libc().prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), described, None, None) != 0:
        raise _fail("seccomp")


def exchange(first: str, second: str) -> None:
    """Let two files swap their names at once (renameat2(2)). Raises OSError."""
    try:
        swap = _libc().renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, "this C library has no renameat2") from None
    if swap(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) != 0:
        raise _fail(f"exchange {first} and {second}")


def birth_ns(path: str) -> int:
    """When a file was made (statx(2)), in ns since the epoch; 0 where nobody knows. Raises OSError."""
    import ctypes
    import struct

    answer = ctypes.create_string_buffer(256)
    try:
        statx = _libc().statx
    except AttributeError:
        return 0
    if statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, answer) != 0:
        raise _fail(f"statx {path}")
    (mask,) = struct.unpack_from("I", answer)
    seconds, ns = struct.unpack_from("qI", answer, 80)
    return seconds * 10**9 + ns if mask & _STATX_BTIME else 0


def open_by_names(path: str, flags: int, mode: int = 0) -> int:
    """Open a file, but by no link of /proc, which leads anywhere whatever the root is. Not inherited.

    Raises OSError: ELOOP for such a link, ENOSYS before Linux 5.6.
    """
    import ctypes
    import struct

    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, _NO_MAGIC_LINKS)
    numbers = (_OPENAT2, _AT_FDCWD, os.fsencode(path), how, len(how))
    words = [ctypes.c_long(item) if isinstance(item, int) else item for item in numbers]
    found: int = _libc().syscall(*words)
    if found < 0:
        raise _fail(path)
    return found


def write_back(descriptor: int) -> None:
    """Begin to write a file's changed pages to the disk, without waiting for its end.

    Whoever has the file mapped changes its times with the next write to each page. Raises OSError.
    """
    import ctypes

    # 3: what is on its way is waited for, as it may have changed since; the rest is sent.
    if _libc().sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), 3) != 0:
        raise _fail("sync_file_range")


def spread_folders(path: str) -> None:
    """Let a filesystem that cares (ext4) put each new folder in this one into another part of the disk.

    Where many files were removed within the last minutes ext4 takes long to make new ones: it passes by
    all of those, for each anew. What cannot be done is left.
    """
    import fcntl
    import struct

    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (flags,) = struct.unpack("i", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(4)))
        if not flags & _TOP_FOLDER:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("i", flags | _TOP_FOLDER))
    except OSError:
        pass
    finally:
        os.close(descriptor)


def private_mounts(fn: Callable[[], T]) -> T:
    """Run `fn` in a fresh thread with a mount namespace of its own; give its result or raise its exception.

    Mounts made inside vanish with the thread, and so with a killed process; working folder and umask are
    private to the thread too. Children started inside share the namespace. Where this process may
    not make one, `fn` runs in a thread that cannot mount anything (`may_mount` says so), and its working
    folder may be everybody's. Raises OSError when making one fails for another reason.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            if _leave_mounts():
                _hide_old_cgroups()
            results.append(fn())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body, name=threading.current_thread().name + "/mounts")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def may_mount() -> bool:
    """Whether the calling thread has CAP_SYS_ADMIN. Inside `private_mounts`: whether mounts are private."""
    return bool(capabilities() >> CAP_SYS_ADMIN & 1)


def refuses_programs(folder: str) -> bool:
    """Whether no program can be started from a folder's file system. Raises OSError."""
    return bool(os.statvfs(folder).f_flag & os.ST_NOEXEC)


def capabilities(mask: Literal["CapEff", "CapPrm", "CapBnd"] = "CapEff") -> int:
    """The calling thread's capabilities, a bit for each; 0 where there is no /proc."""
    try:
        with open("/proc/thread-self/status", "rb") as file:
            return int(file.read().partition(f"\n{mask}:\t".encode())[2][:16], 16)
    except (OSError, ValueError):
        return 0


def _leave_mounts() -> bool:
    """Give the calling thread its own mount namespace, or take from it what it could mount with."""
    try:
        unshare(CLONE_NEWNS | CLONE_FS)
        # Slave, not private: nothing leaks out, yet a disk unmounted outside is not held here.
        mount("none", "/", "", MS_REC | MS_SLAVE)
        return True
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EACCES, errno.ENOSYS):
            raise
    # Where system calls are filtered, even what takes no right may be refused.
    with suppress(OSError):
        unshare(CLONE_FS)
    if may_mount():
        _give_up_mounting()
    return False


def _give_up_mounting() -> None:
    """Take CAP_SYS_ADMIN from the calling thread and its children: what they mount would be the machine's."""
    import ctypes

    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    if _libc().capget(header, sets) != 0:
        raise _fail("capget")
    for lower_half in range(3):
        sets[lower_half] &= ~(1 << CAP_SYS_ADMIN)
    # Root's children get all of the bounding set when they execute a program.
    prctl(_PR_CAPBSET_DROP, CAP_SYS_ADMIN)
    if _libc().capset(header, sets) != 0:
        raise _fail("capset")


def _hide_old_cgroups() -> None:
    """Take cgroup version 1 and mixed layouts out of sight: no OCI runtime works there with cgroups off.

    crun wants anything but the mixed layout, runc wants a cgroup2 that it can see.
    """
    if not os.path.isdir(_CGROUPS) or os.path.exists(_CGROUPS + "/cgroup.controllers"):
        return
    try:
        if os.path.exists(_CGROUPS + "/unified/cgroup.controllers"):
            # The cgroup2 of a mixed layout: mounting another one makes the kernel change settings of all.
            mount(_CGROUPS + "/unified", _ASIDE, "", MS_MOVE)
            umount(_CGROUPS, MNT_DETACH)
            mount(_ASIDE, _CGROUPS, "", MS_MOVE)
            return
        while os.path.ismount(_CGROUPS):
            umount(_CGROUPS, MNT_DETACH)
    except OSError:
        pass  # locked by an outer user namespace; covering it is enough for crun
    quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("cgroup2", _CGROUPS, "cgroup2", quiet)
    except OSError:
        mount("tmpfs", _CGROUPS, "tmpfs", quiet, "size=64k,mode=755")

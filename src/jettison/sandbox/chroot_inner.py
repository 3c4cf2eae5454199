"""Runs one process in a folder as its root, where there are no namespaces, and ends all that it leaves.

    python3 -I -S chroot_inner.py

A program of its own that imports nothing of jettison. Open as number 5 it expects a file that can be
written, with a JSON document: {root, cwd, args, env, uid, gid, groups, capabilities, filter, session,
builder}; and as number 6 a pipe through which something comes when it may begin.

It stays as the supervisor of the process: whatever descends from that ends with it, or when SIGTERM
comes, which the kernel also sends when the builder dies. Its exit status is that of the process. What goes
wrong before the process begins is left in the file: {"problem", "program"}. While the process runs it
answers readlink("/proc/self/exe"): go, java and others look for their own file, though there is no /proc.
"""

from __future__ import annotations

import _socket
import _thread
import array
import base64
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import stat
import struct
import time
from collections.abc import Sequence
from typing import Any, NoReturn

DOCUMENT, GATE = 5, 6

_PDEATHSIG, _BOUNDING_DROP, _NO_NEW_PRIVS, _SUBREAPER, _AMBIENT = 1, 24, 38, 36, 47
_SECCOMP, _FILTER_MODE = 22, 2
_AMBIENT_CLEAR = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

_PATIENCE = 30.0
"""Seconds that processes may take to die of SIGKILL; those that the kernel holds take longer."""
_BREATH = 0.002

_LOAD, _JUMP, _JUMP_EQUAL, _RETURN = 0x20, 0x05, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
_SENDING = (8, 15, 10, 0x8901, 0x8902, 0x5412, 0x541C)
"""F_SETOWN, F_SETOWN_EX, F_SETSIG, FIOSETOWN, SIOCSPGRP; TIOCSTI, TIOCLINUX, to type into a terminal."""
_DENY = 0x00050000 | errno.EPERM

_CALLS = {
    # ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise perf_event_open;
    # those whose first argument is a process: kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo
    # pidfd_open prlimit64; fcntl and ioctl, which have files send signals
    0xC000003E: ((101, 310, 311, 312, 438, 440, 298), (62, 200, 234, 129, 297, 434, 302), (72, 16)),
    0x40000003: ((26, 347, 348, 349, 438, 440, 336), (37, 238, 270, 178, 335, 434, 340), (55, 221, 54)),
    0xC00000B7: ((117, 270, 271, 272, 438, 440, 241), (129, 130, 131, 138, 240, 434, 261), (25, 29)),
}

_READING_LINKS = {0xC000003E: (89, 267), 0x40000003: (85, 305), 0xC00000B7: (0xFFFFFFFF, 78)}
"""readlink, whose first argument is the path, and readlinkat, whose second is it."""
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_SET_FILTER, _NEW_LISTENER, _ASK, _ALLOW = 1, 8, 0x7FC00000, 0x7FFF0000
_RECEIVE, _SEND, _STILL_VALID, _CONTINUE = 0xC0502100, 0xC0182101, 0x40082102, 1

_libc = ctypes.CDLL(None, use_errno=True)


class Problem(Exception):
    """Why the process could not be started; `program` says that the program is at fault."""

    def __init__(self, text: str, program: bool = False) -> None:
        super().__init__(text)
        self.program = program


def main() -> NoReturn:
    document = json.loads(os.pread(DOCUMENT, os.fstat(DOCUMENT).st_size, 0))
    os.ftruncate(DOCUMENT, 0)  # secrets are in it
    os.set_inheritable(DOCUMENT, False)
    _prctl(_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != document["builder"]:
        os._exit(128 + signal.SIGKILL)
    if not os.read(GATE, 1):
        os._exit(128 + signal.SIGKILL)
    _prctl(_SUBREAPER, 1)
    waited = {signal.SIGCHLD, signal.SIGTERM}
    # What a terminal sends is for the process, which decides what becomes of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*waited, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
    _close_others()
    hears, tells = os.pipe()
    guarded = _ancestors()
    ours, theirs = _socket.socketpair()
    child = os.fork()
    if child == 0:
        _become(document, guarded, tells, theirs)
    os.close(tells)
    theirs.close()
    root = os.path.realpath(document["root"])
    _thread.start_new_thread(_answer, (ours, root, document["uid"], document["gid"]))
    with open(hears, "rb") as pipe:
        problem = pipe.read()
    status = 0 if problem else _wait(child, waited)
    if not _end_all():
        problem = json.dumps({"problem": "processes of the step do not end", "program": False}).encode()
    os.pwrite(DOCUMENT, problem, 0)
    os._exit(status)


def _wait(child: int, waited: set[signal.Signals]) -> int:
    """The exit status of the process; 137 when it was told to end."""
    while signal.sigwait(waited) != signal.SIGTERM:
        for pid, status in _reaped():
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
    return 128 + signal.SIGKILL


def _reaped() -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    try:
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            out.append(found)
    except ChildProcessError:
        pass
    return out


def _end_all() -> bool:
    """Kill what descends from this process until nothing is left. False: something does not die."""
    ends = time.monotonic() + _PATIENCE
    while time.monotonic() < ends:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return True
        for pid in _descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(_BREATH)
    return False


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(_parent(name), []).append(int(name))
    out: list[int] = []
    todo = [os.getpid()]
    while todo:
        found = children.get(todo.pop(), [])
        out += found
        todo += found
    return out


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name, in brackets, may hold anything.
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError):
        return 0


def _ancestors() -> list[int]:
    """This process, those above it and their groups: what a step must not send signals to."""
    pid, out = os.getpid(), [-1]
    while pid > 0:
        out += [pid, -pid]
        try:
            out.append(-os.getpgid(pid))
        except OSError:
            pass
        pid = _parent(str(pid))
    return [*dict.fromkeys(number for number in out if number not in (0, 1)), 1]


def _close_others() -> None:
    """Close what the builder may have left open: a folder outside would be a way out."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != DOCUMENT:
            try:
                os.close(int(name))
            except OSError:
                pass


def _become(document: dict[str, Any], guarded: list[int], tells: int, supervisor: _socket.socket) -> NoReturn:
    """Turn this process into the step's."""
    try:
        _enter(document, guarded, supervisor)
    except Problem as problem:
        os.write(tells, json.dumps({"problem": str(problem), "program": problem.program}).encode())
    except OSError as error:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
        os.write(tells, json.dumps({"problem": text, "program": False}).encode())
    os._exit(1)


def _enter(document: dict[str, Any], guarded: list[int], supervisor: _socket.socket) -> None:
    if document["session"]:
        os.setsid()
    os.chroot(document["root"])
    os.chdir("/")
    try:
        os.makedirs(document["cwd"], exist_ok=True)
        os.chdir(document["cwd"])
    except OSError as error:
        raise Problem(f"chdir to {document['cwd']}: {error.strerror}") from error
    os.umask(0o22)
    _take_identity(document)
    if document["filter"]:
        _prctl(_NO_NEW_PRIVS, 1)
        _ask(supervisor)
        _filter(base64.b64decode(document["filter"]), guarded)
    environment = dict(item.partition("=")[::2] for item in document["env"])
    program = _find(document["args"][0], environment.get("PATH", ""))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execve(program, document["args"], environment)
    except OSError as error:
        text = "exec format error" if error.errno == errno.ENOEXEC else error.strerror
        raise Problem(f"exec container process {text}", program=True) from error


def _take_identity(document: dict[str, Any]) -> None:
    uid, gid, capabilities = document["uid"], document["gid"], document["capabilities"]
    for number in range(_MOST_CAPABILITIES):
        if not capabilities >> number & 1:
            try:
                _prctl(_BOUNDING_DROP, number)
            except OSError as error:
                if error.errno != errno.EINVAL:  # the kernel knows no more of them
                    raise
                break
    try:
        os.setgroups(document["groups"])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise Problem(f"cannot become user {uid}, group {gid}: {error.strerror}") from error
    own = capabilities if uid == 0 else 0
    low, high = own & 0xFFFFFFFF, own >> 32
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if _libc.capset(header, (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)) != 0:
        raise OSError(ctypes.get_errno(), "cannot give up capabilities")
    _prctl(_AMBIENT, _AMBIENT_CLEAR)


def _find(program: str, search_path: str) -> str:
    """The file to execute."""
    if "/" not in program:
        for folder in search_path.split(":"):
            path = os.path.join(folder, program)
            if folder and _is_program(path):
                return path
        raise Problem("executable file not found", program=True)
    if not os.path.exists(program):
        raise Problem("executable file not found", program=True)
    if not _is_program(program):
        raise Problem("open executable: permission denied", program=True)
    return program


def _is_program(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and os.access(path, os.X_OK)
    except OSError:
        return False


def _filter(program: bytes, guarded: list[int]) -> None:
    """Let no system call through that would reach the builder, nor any that `program` refuses."""
    filter_ = _Filter(guard(guarded), program)
    if _libc.prctl(_SECCOMP, ctypes.c_ulong(_FILTER_MODE), filter_.pointer, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot install the filter of system calls")


class _Filter:
    """Instructions, and ready ones behind them, where the kernel finds them."""

    def __init__(self, lines: list[tuple[int, int, int, int]], more: bytes = b"") -> None:
        code = b"".join(struct.pack("=HBBI", *line) for line in lines) + more
        self._code = ctypes.create_string_buffer(code, len(code))
        self.pointer = ctypes.c_char_p(struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(self._code)))


def _ask(supervisor: _socket.socket) -> None:
    """Have the kernel ask the supervisor before this process reads a link; or not, where it is too old."""
    number = _SECCOMP_CALL.get(os.uname().machine)
    release = os.uname().release.split(".")[:2]
    if number is None or [int(word) for word in release if word.isdigit()] < [5, 5]:
        return
    lines = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for architecture, calls in _READING_LINKS.items():
        part = [line for call in calls for line in ((_JUMP_EQUAL, 0, 1, call), (_RETURN, 0, 0, _ASK))]
        lines += [(_JUMP_EQUAL, 0, len(part) + 2, architecture), (_LOAD, 0, 0, _NUMBER), *part]
        lines.append((_RETURN, 0, 0, _ALLOW))
    filter_ = _Filter([*lines, (_RETURN, 0, 0, _ALLOW)])
    asked = _libc.syscall(*map(ctypes.c_long, (number, _SET_FILTER, _NEW_LISTENER)), filter_.pointer)
    if asked >= 0:
        supervisor.sendmsg([b"!"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [asked]))])
        os.close(asked)


def _answer(child: _socket.socket, root: str, uid: int, gid: int) -> None:
    """Answer the questions of `_ask` for as long as there is a step of a user. To be called in a thread."""
    # For files this thread is that user from here on: else it takes CAP_SYS_PTRACE to see its processes.
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
    rights = child.recvmsg(1, _socket.CMSG_SPACE(4))[1]
    if not rights:
        return
    (asked,) = array.array("i", rights[0][2])
    poll = select.poll()
    poll.register(asked, select.POLLIN)
    while poll.poll() == [(asked, select.POLLIN)]:  # else nobody is left who could ask
        call = bytearray(80)
        try:
            fcntl.ioctl(asked, _RECEIVE, call)
            try:
                length = _own_file(asked, call, root)
            except Exception:  # whatever it is, who asked must not wait for ever
                length = None
            answer = struct.pack("8sqiI", call[:8], length or 0, 0, _CONTINUE if length is None else 0)
            fcntl.ioctl(asked, _SEND, answer)
        except OSError:
            pass  # who asked was killed meanwhile
    os.close(asked)


def _own_file(asked: int, call: bytearray, root: str) -> int | None:
    """Tell a process its own file if it is that which it asks for. None: it asks for another link."""
    number, pid, _, name, architecture = struct.unpack_from("QIIiI", call)
    words = struct.unpack_from("6Q", call, 32)
    at = _READING_LINKS[architecture].index(name)
    path, buffer, size = words[at : at + 3]
    memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        text = os.pread(memory, 32, path).partition(b"\0")[0]
        if text not in (b"/proc/self/exe", b"/proc/thread-self/exe", b"/proc/%d/exe" % pid):
            return None
        own = os.readlink(f"/proc/{pid}/exe")
        # From here on the number may be another process's.
        fcntl.ioctl(asked, _STILL_VALID, struct.pack("Q", number))
        if not own.startswith(f"{root}/") or not 0 < size < 1 << 31:
            return None
        return os.pwrite(memory, os.fsencode(own[len(root) :])[:size], buffer)
    finally:
        os.close(memory)


def guard(pids: list[int]) -> list[tuple[int, int, int, int]]:
    """A filter, to be followed by another one: no looking into processes, no signals to some of them."""
    out = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for architecture, (denied, addressed, sending) in _CALLS.items():
        part = [(_LOAD, 0, 0, _NUMBER)]
        for number in denied:
            part += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _DENY)]
        part += _refuse(sending, _SECOND_ARGUMENT, _SENDING)
        part += _refuse(addressed, _FIRST_ARGUMENT, pids)
        out += [(_JUMP_EQUAL, 1, 0, architecture), (_JUMP, 0, 0, len(part)), *part]
        out.append((_LOAD, 0, 0, _ARCHITECTURE))
    return out


def _refuse(calls: Sequence[int], argument: int, values: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Refuse some calls when an argument has one of some values.

    The number of the call has to be loaded, and is so for all other calls afterwards.
    """
    check = [(_LOAD, 0, 0, argument)]
    for value in values:
        check += [(_JUMP_EQUAL, 0, 1, value & 0xFFFFFFFF), (_RETURN, 0, 0, _DENY)]
    check.append((_LOAD, 0, 0, _NUMBER))
    # Conditional jumps reach 255 lines; there may be more values.
    return [
        *((_JUMP_EQUAL, len(calls) - at, 0, number) for at, number in enumerate(calls)),
        (_JUMP, 0, 0, len(check)),
        *check,
    ]


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    main()

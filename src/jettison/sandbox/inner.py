"""Sets up one process in one root filesystem, and becomes it: the built-in sandbox's child program.

With `inner_root` and `inner_terminal` it stands alone: Python's standard library and the kernel, no other
part of jettison, no other program. `BuiltinSandbox` hands over its code, starts it as the first process of
a PID namespace, and gives it a document of what to do (`sandbox/builtin.py`). It makes the other namespaces
and a second child, the step, and waits for that one: whenever this process is gone, the kernel ends all
that the step has started. `python -m jettison.sandbox.inner --print SPEC.json` shows what it would do.

The numbers of its open files: 3 and 4 are the gate of `sandbox/process.py`, 7 is where it says why
the step could not be started. Every module that is imported costs each step some milliseconds: so there is
no json, no enum, no signal here.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

from jettison.sandbox.inner_root import call, parts, set_up_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_GATE_ANSWER, _GATE_QUESTION, _REPORT, _NETWORK = 3, 4, 7, 8

_NEW_MOUNTS, _NEW_CGROUP, _NEW_UTS, _NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
_NEW_USER, _NEW_PIDS, _NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000

_SIGPIPE, _SIGXFSZ = 13, 25


def loopback_up() -> None:
    """Bring `lo` up in a network namespace that has nothing else."""
    import fcntl

    socket = call("socket", "socket", 2, 2 | os.O_CLOEXEC, 0)
    fcntl.ioctl(socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
    os.close(socket)


def become_user(spec: dict[str, Any], proc: int) -> None:
    """Take on ids and capabilities, and have the kernel filter system calls.

    A filter needs the right to administer, or the promise that nothing will get new privileges. With a single
    id there are none to get; and the filter, which then fakes what is done here, has to come last.
    """
    uid, gid, single = spec["uid"], spec["gid"], spec["single_id"]
    if not single:
        install(spec["filters"])
    elif uid or gid:
        _nest(uid, gid, proc)  # which gives all capabilities anew
    for number in spec["dropped"]:
        try:
            call("bounding set", "prctl", 24, number, 0, 0, 0)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break  # this kernel knows none from here on
    if not single:
        os.setgroups(spec["groups"])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    call("ambient set", "prctl", 47, 4, 0, 0, 0)
    low, high = spec["effective"] & 0xFFFFFFFF, spec["effective"] >> 32
    sets = struct.pack("6I", low, low, 0, high, high, 0)
    call("capabilities", "capset", struct.pack("Ii", 0x20080522, 0), sets)
    if single:
        call("no new privileges", "prctl", 38, 1, 0, 0, 0)
        install(spec["filters"])
        fake_ids(*spec["fakes"])


def _nest(uid: int, gid: int, proc: int) -> None:
    """A further user namespace, in which the only id that there is has the number of the step's user."""
    call("dumpable", "prctl", 4, 1, 0, 0, 0)  # else its files in /proc would belong to root
    call("user namespace", "unshare", _NEW_USER)
    for name, text in (("setgroups", b"deny"), ("uid_map", b"%d 0 1" % uid), ("gid_map", b"%d 0 1" % gid)):
        file = os.open(f"self/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        os.write(file, text)
        os.close(file)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def install(filters: list[bytes]) -> None:
    """Give the kernel's filter machine its programs, for this process and all that come of it."""
    for program in filters:
        code = ctypes.create_string_buffer(program, len(program))
        described = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
        call("seccomp", "prctl", 22, 2, described)


def fake_ids(faking: bytes, noting: bytes, seccomp: int) -> None:
    """Let what needs other ids seem to succeed, and the builder take notes of it if the kernel lets it."""
    if not faking:
        return
    code = ctypes.create_string_buffer(noting, len(noting))
    described = struct.pack("HxxxxxxQ", len(noting) // 8, ctypes.addressof(code))
    try:
        asks = call("seccomp", "syscall", seccomp, 1, 8, described)  # 8: give the file by which it asks
    except OSError:
        install([faking])
        return
    import socket

    socket.send_fds(socket.socket(fileno=os.dup(_REPORT)), [b"n"], [asks])


def execute(args: list[str], variables: dict[bytes, bytes]) -> NoReturn:
    """Become the program. Raises OSError with the words of `sandbox/complaints.py`."""
    name = args[0]
    places = (
        [name]
        if "/" in name
        else [f"{folder or '.'}/{name}" for folder in os.fsdecode(variables.get(b"PATH", b"")).split(":")]
    )
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK, effective_ids=True):
            break
    else:
        if "/" in name and os.path.lexists(name):
            raise OSError(errno.EACCES, "open executable: Permission denied")
        raise OSError(errno.ENOENT, "executable file not found")
    try:
        os.execve(path, args, variables)
    except OSError as error:
        what = (
            "exec format error"
            if error.errno == errno.ENOEXEC
            else f"exec container process `{path}`: {error.strerror}"
        )
        raise OSError(error.errno, what) from None


def go_to(folder: str) -> None:
    """Make a folder the working folder; as root, for the step's user may be kept from it.

    It is the step's choice: /proc/self/fd/3 would be what is open here, and other links there lead to the
    folders of other processes. None of these can be reached from the root, which the kernel tells.
    """
    try:
        os.chdir(folder)
        os.getcwd()
    except OSError as error:
        raise OSError(error.errno, f"chdir to {folder}: {error.strerror}") from None


def _apt_file() -> str:
    """Settings for apt, which insists on being another user once it has switched to it: it stays root."""
    path = "/dev/apt.conf"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    os.write(file, b'APT::Sandbox::User "root";\n')
    os.close(file)
    return path


def step(spec: dict[str, Any], waiting: int) -> NoReturn:
    """The first process of the step's own PID namespace, from its beginning to the step's program."""
    os.setsid()
    os.umask(0o22)
    if spec["own_network"]:
        loopback_up()
    host = os.fsencode(spec["hostname"])
    call("host name", "sethostname", host, len(host))
    proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
    if spec["single_id"]:
        import socket  # noqa: F401  for fake_ids, later
    # From here on a module would be looked for in the image: code of a stranger, run with all rights.
    sys.meta_path.clear()
    set_up_root(spec)
    if spec["terminal"]:
        from jettison.sandbox.inner_terminal import open_terminal

        open_terminal(waiting)
    for number in (_SIGPIPE, _SIGXFSZ):  # Python ignores these; a step must not inherit that
        call("signal", "signal", number, None)
    go_to(spec["cwd"])
    become_user(spec, proc)
    os.close(proc)  # it leads out of the root, and the program's name is the step's choice too
    variables = dict(os.fsencode(item).partition(b"=")[::2] for item in spec["env"])
    if spec["single_id"] and os.path.isdir("/etc/apt"):
        variables.setdefault(b"APT_CONFIG", _apt_file().encode())
    execute(spec["args"], variables)


def pass_gate() -> None:
    """Ask the builder to be let on, having told the kernel to end this process with it."""
    call("death signal", "prctl", 1, 9, 0, 0, 0)
    os.write(_GATE_QUESTION, b"\n")
    if os.read(_GATE_ANSWER, 1) != b"\n":
        os._exit(1)
    os.close(_GATE_QUESTION)
    os.close(_GATE_ANSWER)


def close_all_else() -> None:
    """Close what is not for us: the program itself, and whatever the builder was started with."""
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in (_REPORT, _NETWORK):
            try:
                os.close(number)
            except OSError:
                pass  # what the list was read from
    for number in (_REPORT, _NETWORK):
        try:
            os.set_inheritable(number, False)
        except OSError:
            pass  # there is no network to join


def launch(spec: dict[str, Any]) -> NoReturn:
    """Make the namespaces and the step in them; wait for it and end as it did."""
    pass_gate()
    close_all_else()
    theirs = ours = -1
    if spec["terminal"]:
        import socket

        theirs, ours = (end.detach() for end in socket.socketpair())
    try:
        kinds = _NEW_MOUNTS | _NEW_CGROUP | _NEW_UTS | _NEW_IPC | _NEW_PIDS
        if spec["joins_network"]:
            call("join the network", "setns", _NETWORK, _NEW_NETWORK)
        call("make namespaces", "unshare", kinds | (_NEW_NETWORK if spec["own_network"] else 0))
        pid = os.fork()
        if not pid:
            step(spec, theirs)
    except Exception as error:
        os.write(_REPORT, _reason(error).encode(errors="replace"))
        os._exit(125)
    if spec["terminal"]:
        from jettison.sandbox.inner_terminal import relay

        os.close(theirs)
        relay(ours)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _reason(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return f"{type(error).__name__}: {error}"
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def describe(spec: dict[str, Any]) -> str:
    """What would be done, a line for each thing. Values of variables are left out: they may be secrets."""
    lines = [f"namespaces: mount pid ipc uts cgroup{' network' * spec['own_network']}"]
    lines += ["network: the build's own"] * spec["joins_network"]
    lines += [f"root: {spec['root']}", *map(str, parts(spec))]
    lines += [f"host name {spec['hostname']}, user {spec['uid']}:{spec['gid']}, groups {spec['groups']}"]
    lines += [f"capabilities: effective {spec['effective']:#x}, dropped for good {spec['dropped']}"]
    lines += [f"system call filters: {len(spec['filters'])}", f"in {spec['cwd']}: {spec['args']}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__" and sys.argv[1:2] == ["--print"]:
    import json

    with open(sys.argv[2], "rb") as document:
        os.write(1, describe(json.load(document)).encode(errors="surrogateescape"))

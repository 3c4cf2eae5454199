"""Root without being root: this process goes on as a child inside a user namespace of its own.

The child has uid 0 there, mapped to the user who started it, and the user's
subordinate ids (subuid(5), subgid(5)) from 1 on, written by newuidmap and newgidmap. It has
a mount and a cgroup namespace too. The parent stays to pass signals in and the exit status out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import NoReturn

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.errors import SandboxError

MARK = "JETTISON_ROOTLESS"
"""The variable that tells the child, and programs it starts, that this was done already."""

_SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class Range:
    """`count` subordinate ids from `start` on."""

    start: int
    count: int


def enter(argv: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run `argv` instead of this program, as root in a user namespace, marked by JETTISON_ROOTLESS=1.

    Never returns, but for root, where there is nothing to do. `environment` is this process's own
    by default. Raises SandboxError, in this process, when it cannot be done. To be called before
    there are threads.
    """
    if os.geteuid() == 0:
        return
    become_root(marked=bool(environment and environment.get(MARK)))
    try:
        if environment is None:
            os.putenv(MARK, "1")
            os.execv(argv[0], list(argv))
        os.execve(argv[0], list(argv), {**environment, MARK: "1"})
    except OSError as error:
        os.write(2, f"jettison: {argv[0]}: {error.strerror}\n".encode())
        os._exit(127)


def become_root(*, marked: bool = False) -> None:
    """Come back as root in a user namespace, in a child of this process; this process never comes back.

    Faster than `enter`, as no program starts anew. `marked` says that JETTISON_ROOTLESS is set
    already: one level is all there is. Raises SandboxError, in this process.
    """
    if os.geteuid() == 0:
        return
    if marked:
        raise SandboxError(f"{MARK} is set, but this process is not root", hint=f"unset {MARK}")
    if threading.active_count() > 1:
        raise SandboxError("cannot enter a user namespace: this process has threads")
    tools = [_tool("newuidmap"), _tool("newgidmap")]
    maps = _maps(os.geteuid(), os.getegid())
    _fork(tools, maps)


def _tool(name: str) -> str:
    for folder in _SEARCH_PATH.split(":"):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK):
            return path
    raise SandboxError(
        f"building as an ordinary user needs {name}",
        hint="install the package uidmap (Debian, Ubuntu) or shadow-utils (Fedora, RHEL, SUSE: shadow)",
    )


def _maps(uid: int, gid: int) -> list[list[str]]:
    """The arguments of newuidmap and newgidmap after the process id."""
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    maps = []
    for path, own, flag in (("/etc/subuid", uid, "--add-subuids"), ("/etc/subgid", gid, "--add-subgids")):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                ranges = parse_ranges(file.read(), name, uid)
        except OSError:
            ranges = ()
        if not ranges:
            raise SandboxError(
                f"{path} gives the user {name} no subordinate ids",
                hint=f"as root, add the line {name}:100000:65536 to {path}, "
                f"or run: usermod {flag} 100000-165535 {name}",
            )
        maps.append(map_arguments(own, ranges))
    return maps


def parse_ranges(text: str, name: str, uid: int) -> tuple[Range, ...]:
    """A user's ranges in the text of /etc/subuid or /etc/subgid; lines go by name or number."""
    ranges = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if owner in (name, str(uid)) and start.isdigit() and count.isdigit() and int(count) > 0:
            ranges.append(Range(int(start), int(count)))
    return tuple(dict.fromkeys(ranges))


def map_arguments(own: int, ranges: Sequence[Range]) -> list[str]:
    """0 for the user's own id, then the subordinate ids one after the other."""
    words = ["0", str(own), "1"]
    inside = 1
    for item in ranges:
        words += [str(inside), str(item.start), str(item.count)]
        inside += item.count
    return words


def _fork(tools: Sequence[str], maps: Sequence[Sequence[str]]) -> None:
    """Come back in the child. The two speak through pipes: an empty line of the child means ready."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, _passed_on() | {signal.SIGCHLD})
    child_says, to_parent = os.pipe()
    parent_says, to_child = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(child_says)
        os.close(to_child)
        _set_up(parent, to_parent, parent_says)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os.close(to_parent)
    os.close(parent_says)
    try:
        _expect_ready(child_says)
        for tool, words in zip(tools, maps, strict=True):
            _write_map(tool, child, words)
        os.write(to_child, b"\n")
        _expect_ready(child_says)
    except BaseException:
        os.close(to_child)
        os.waitpid(child, 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    os.close(child_says)
    os.close(to_child)
    _stand_by(child)


def _set_up(parent: int, to_parent: int, parent_says: int) -> None:
    """In the child: make the namespaces, wait for the maps, become root. Exits when something fails."""
    try:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWCGROUP)
        # The change of credentials made /proc/self root's, where newuidmap has to write.
        kernel.prctl(_PR_SET_DUMPABLE, 1)
        os.write(to_parent, b"\n")
        if os.read(parent_says, 1) != b"\n":
            os._exit(1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
        kernel.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        os.write(to_parent, b"\n")
    except OSError as error:
        os.write(to_parent, f"{error.strerror}\n".encode())
        os._exit(1)
    os.close(to_parent)
    os.close(parent_says)


def _expect_ready(child_says: int) -> None:
    text = b""
    while not text.endswith(b"\n"):
        data = os.read(child_says, 4096)
        if not data:
            break
        text += data
    if text == b"\n":
        return
    why = text.decode(errors="replace").strip() or "it ended"
    raise SandboxError(
        f"cannot make a user namespace: {why}",
        hint="the kernel may forbid them to ordinary users: see the settings user.max_user_namespaces, "
        "kernel.unprivileged_userns_clone (1) and kernel.apparmor_restrict_unprivileged_userns (0)",
    )


def _write_map(tool: str, child: int, words: Sequence[str]) -> None:
    from jettison.sandbox import process

    said: list[bytes] = []
    started = process.start([tool, str(child), *words], {"PATH": _SEARCH_PATH}, piped=True, own_pids=False)
    ending = process.finish(
        started,
        lambda stream, data: said.append(data),
        threading.Event(),
        process.kill,
        lambda data: False,
    )
    if ending.status != 0:
        text = b"".join(said).decode(errors="replace").strip()
        raise SandboxError(
            f"{os.path.basename(tool)} failed: {text or f'exit status {ending.status}'}",
            hint=f"{tool} must be setuid root (or have the capability for it), and the lines in /etc/subuid "
            "and /etc/subgid must not overlap",
        )


def _passed_on() -> set[int]:
    import signal

    return {
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGWINCH,
    }


def _stand_by(child: int) -> NoReturn:
    """In the parent: pass signals on until the child ends, then end in the same way."""
    import signal

    waited = _passed_on() | {signal.SIGCHLD}
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        info = signal.sigwaitinfo(waited)
        # What the terminal sends (si_code above 0) goes to the whole process group, child included.
        if info.si_signo != signal.SIGCHLD and info.si_code <= 0:
            os.kill(child, info.si_signo)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _die_of(-code)
    os._exit(code)


def _die_of(number: int) -> NoReturn:
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)

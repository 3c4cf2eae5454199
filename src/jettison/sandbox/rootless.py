"""Root without being root: this process goes on as a child inside a user namespace of its own.

The child has uid 0 there. Which ids it has beside that depends on who this process is:

- a user with subordinate ids (subuid(5), subgid(5)) has those, from 1 on, written by newuidmap and newgidmap;
- any user can have its own id as 0, and no other;
- root that lacks the right to mount can have all ids that it has, under their own numbers.

The child has a mount and a cgroup namespace too. The parent stays to pass signals in and the exit status out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
    tools = [_tool("newuidmap"), _tool("newgidmap")]
    maps = _maps(os.geteuid(), os.getegid())

    def write(child: int) -> None:
        for tool, words in zip(tools, maps, strict=True):
            _write_map(tool, child, words)

    _fork(write)


def become_single() -> None:
    """As `become_root`, but with one id alone: no program and no setting is needed. Raises SandboxError."""
    uid, gid = os.geteuid(), os.getegid()
    _fork(lambda child: _write_own_maps(child, f"0 {uid} 1\n", f"0 {gid} 1\n", groups=False))


def become_root_of_all() -> None:
    """As `become_root`, for root without the right to mount: all ids that there are stay what they are.

    Takes CAP_SETUID, CAP_SETGID and CAP_SETFCAP. Raises SandboxError.
    """
    uids, gids = same_ids(_read("/proc/self/uid_map")), same_ids(_read("/proc/self/gid_map"))
    _fork(lambda child: _write_own_maps(child, uids, gids, groups=True))


def same_ids(own_map: str) -> str:
    """The map that gives a child of this namespace all of its ids, from this namespace's own map.

    The first id stands alone, so that the map never looks like the one of no namespace.
    """
    lines = []
    for line in own_map.splitlines():
        first, _, count = map(int, line.split())
        lines.append(f"{first} {first} 1\n")
        if count > 1:
            lines.append(f"{first + 1} {first + 1} {count - 1}\n")
    return "".join(lines)


def subordinate_problems(uid: int, gid: int) -> list[SandboxError]:
    """Why a user cannot have subordinate ids, as far as files tell."""
    out: list[SandboxError] = []
    for name in ("newuidmap", "newgidmap"):
        try:
            _tool(name)
        except SandboxError as error:
            out.append(error)
            break
    try:
        _maps(uid, gid)
    except SandboxError as error:
        out.append(error)
    return out


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
        raise SandboxError(
            f"the user {uid} has no name, and newuidmap serves no user without one",
            hint=f"add a line for the user {uid} to /etc/passwd, then its ids to /etc/subuid and /etc/subgid",
        ) from None
    maps = []
    for path, own, flag in (("/etc/subuid", uid, "--add-subuids"), ("/etc/subgid", gid, "--add-subgids")):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            text = ""
        ranges = parse_ranges(text, name, uid)
        if not ranges:
            start = first_free(text)
            raise SandboxError(
                f"{path} gives the user {name} no subordinate ids",
                hint=f"as root, add the line {name}:{start}:65536 to {path}, "
                f"or run: usermod {flag} {start}-{start + 65535} {name}",
            )
        maps.append(map_arguments(own, ranges))
    return maps


def parse_ranges(text: str, name: str, uid: int) -> tuple[Range, ...]:
    """A user's ranges in the text of /etc/subuid or /etc/subgid; lines go by name or number."""
    return tuple(dict.fromkeys(found for owner, found in _lines(text) if owner in (name, str(uid))))


def first_free(text: str) -> int:
    """The first number behind all ranges of the text: users who share ids could use each other's files."""
    return max([100_000, *(found.start + found.count for _, found in _lines(text))])


def _lines(text: str) -> Iterator[tuple[str, Range]]:
    """Each range with its owner's name or number."""
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if start.isdigit() and count.isdigit() and int(count) > 0:
            yield owner, Range(int(start), int(count))


def map_arguments(own: int, ranges: Sequence[Range]) -> list[str]:
    """0 for the user's own id, then the subordinate ids one after the other."""
    words = ["0", str(own), "1"]
    inside = 1
    for item in ranges:
        words += [str(inside), str(item.start), str(item.count)]
        inside += item.count
    return words


def _fork(write_maps: Callable[[int], None]) -> None:
    """Come back in the child. The two speak through pipes: an empty line of the child means ready.

    `write_maps` gets the child's process id. Raises SandboxError in this process, which is as it was then.
    """
    import signal

    if threading.active_count() > 1:
        raise SandboxError("cannot enter a user namespace: this process has threads")

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
        write_maps(child)
        os.write(to_child, b"\n")
        _expect_ready(child_says)
    except BaseException:
        os.close(to_child)
        os.close(child_says)
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


def _write_own_maps(child: int, uids: str, gids: str, *, groups: bool) -> None:
    """Write the maps without help. The kernel wants setgroups(2) forbidden where one has no right to it."""
    files = [("uid_map", uids), ("gid_map", gids)]
    if not groups:
        files.insert(0, ("setgroups", "deny"))
    for name, text in files:
        try:
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise SandboxError(
                f"cannot write the {name} of a user namespace: {error.strerror}",
                hint="root needs CAP_SETUID, CAP_SETGID and CAP_SETFCAP for it"
                if os.geteuid() == 0
                else "a security module (AppArmor, SELinux) may forbid it",
            ) from error


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


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

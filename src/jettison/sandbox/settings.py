"""Settings of the machine that decide on isolation: read, and named with the value that would help."""

from __future__ import annotations

import os

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.sandbox import rootless
from jettison.sandbox.isolated import way_out

_FILTERED = (
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
    "Kubernetes: securityContext.seccompProfile.type: Unconfined and appArmorProfile.type: Unconfined",
)
_PRIVILEGED = (
    "docker run --privileged",
    "Kubernetes: securityContext.privileged: true; or hostUsers: false with capabilities.add: [SYS_ADMIN]",
)
_PROC = (
    "docker run --security-opt systempaths=unconfined",
    "Kubernetes: securityContext.procMount: Unmasked, which takes hostUsers: false",
)
_ROOT = ("run jettison as root", "docker run --user 0; Kubernetes: securityContext.runAsUser: 0")
_ESCALATION = (
    "docker run without --security-opt no-new-privileges",
    "Kubernetes: securityContext.allowPrivilegeEscalation: true",
)
_RUNTIME = "install the package crun (or runc)"
NOEXEC = "the store's disk is noexec: no program can be started from the copies that steps work in"
ELSEWHERE = "--root DIR, or JETTISON_ROOT, names another place; docker run --tmpfs FOLDER:exec"
_CHROOT = "capabilities.add: [SYS_CHROOT, SETUID, SETGID, CHOWN, DAC_OVERRIDE, FOWNER, KILL, MKNOD]"

_SYSCTLS = (
    ("user.max_user_namespaces", "0", "15000", False),
    ("user.max_mnt_namespaces", "0", "15000", False),
    ("kernel.unprivileged_userns_clone", "0", "1", True),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0", True),
)
"""Name, the value that forbids user namespaces, one that allows them; whether only ordinary users care."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that matters to a build: what it is about, whether all is well, what was found."""

    name: str
    well: bool
    found: str
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """What was read of this machine and this process. `sysctls` would have to change for user namespaces."""

    root: bool
    may_mount: bool
    no_new_privileges: bool
    filtered: bool
    sysctls: tuple[str, ...]


def read() -> Machine:
    """Read the settings."""
    root = os.geteuid() == 0
    status = dict(line.split(":\t", 1) for line in text_of("/proc/self/status").splitlines() if ":\t" in line)
    wrong = [
        f"sysctl -w {name}={good}"
        for name, bad, good, ordinary in _SYSCTLS
        if not (ordinary and root) and text_of(f"/proc/sys/{name.replace('.', '/')}").strip() == bad
    ]
    return Machine(
        root, kernel.may_mount(), status.get("NoNewPrivs") == "1", status.get("Seccomp") == "2", tuple(wrong)
    )


def changes(rung: str, problem: str, hint: str, machine: Machine) -> tuple[str, ...]:
    """What to change so that RUN works on a rung whose trial ended with a problem."""
    if not problem:
        return ()
    if problem == NOEXEC:
        return (hint,)
    out: list[str] = []
    if "OCI runtime" in problem:
        out.append(_RUNTIME)
    if "/proc" in problem:
        out += _PROC
    elif rung == "root":
        out += _ROOT if not machine.root else () if machine.may_mount else _PRIVILEGED
    elif "_map of" in problem:
        out.append(hint)
    elif "namespace" in problem or "mount" in problem:
        out += machine.sysctls or (_FILTERED if machine.filtered or not machine.may_mount else ())
    if rung == "rootless" and not machine.root:
        missing = rootless.subordinate_problems(os.geteuid(), os.getegid())
        out += [error.hint for error in missing if error.hint]
        out += _ESCALATION if machine.no_new_privileges else ()
    if rung == "chroot":
        out += (f"docker run --cap-add, Kubernetes: securityContext.{_CHROOT}",) if machine.root else _ROOT
    return tuple(dict.fromkeys(out or [hint] if hint else out))


def facts() -> tuple[Fact, ...]:
    """What else matters: network, limits, filters of system calls."""
    return _network(), _limits(), _filters()


def _network() -> Fact:
    program, found = way_out()
    if program:
        return Fact("network", True, f"RUN has a network of its own through {program} ({found})")
    hint = "load the module tun (or give the container /dev/net/tun), and chmod 666 /dev/net/tun"
    if not found.endswith("tun"):
        hint = "install the package slirp4netns"
    return Fact("network", False, f"{found}: RUN has this machine's network, or none", (hint,))


def _limits() -> Fact:
    """Whether control groups can hold a step's memory, processes and CPU time."""
    folder = "/sys/fs/cgroup"
    if os.path.exists(f"{folder}/cgroup.controllers"):
        own = next(
            (line[3:] for line in text_of("/proc/self/cgroup").splitlines() if line.startswith("0::")), "/"
        )
        folder = os.path.normpath(f"{folder}/{own}")
        has = set(text_of(f"{folder}/cgroup.controllers").split())
        writable = os.access(folder, os.W_OK)
    else:
        names = ("memory", "pids", "cpu")
        has = {name for name in names if os.path.isdir(f"{folder}/{name}")}
        writable = bool(has) and all(os.access(f"{folder}/{name}", os.W_OK) for name in has)
    wanted = [name for name in ("memory", "pids", "cpu") if name in has]
    if writable and wanted:
        return Fact("limits", True, f"control groups for {', '.join(wanted)} ({folder})")
    delegate = ("systemd-run --user --scope -p Delegate=yes jettison build …",) if os.geteuid() else ()
    return Fact("limits", False, f"no control group that this process may divide ({folder})", delegate)


def _filters() -> Fact:
    actions = text_of("/proc/sys/kernel/seccomp/actions_avail").split()
    if "errno" not in actions:
        return Fact("seccomp", False, "the kernel filters no system calls")
    kind = "errno, user_notif" if "user_notif" in actions else "errno"
    return Fact("seccomp", True, f"the kernel filters system calls ({kind})")


def filesystem(folder: str) -> str:
    """The kind of filesystem that a folder is on; "unknown" where /proc does not tell."""
    device = os.stat(folder).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    best = ("", "unknown")
    for line in text_of("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        number, place = left.split()[2], left.split()[4]
        if number == wanted or f"{folder}/".startswith(f"{place.rstrip('/')}/"):
            best = max(best, (place, right.split()[0]), key=lambda item: len(item[0]))
    return best[1]


def text_of(path: str) -> str:
    """The text of a file of the kernel's, "" when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

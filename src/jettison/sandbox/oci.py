"""Runs a process with an OCI runtime, crun or runc, in the foreground."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable

from jettison import kernel
from jettison.dataclass import dataclass, replace
from jettison.errors import Cancelled, SandboxError
from jettison.sandbox import complaints, devices, process, sealed
from jettison.sandbox.base import ProcessSpec, Sandbox
from jettison.sandbox.spec import config_json

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TRIES = 10
"""How often a process is started whose runtime does not say why it could not be."""

_ENVIRONMENT = {"PATH": SEARCH_PATH}
"""Of the runtime itself: nothing of this process's environment gets near a step."""


def choose(runtime: str = "", search_path: str = SEARCH_PATH) -> Sandbox:
    """The sandbox to use: a runtime by name or path, or crun, else runc, whichever is there.

    Never fails; what is wrong comes from `check`.
    """
    for name in [runtime] if runtime else ["crun", "runc"]:
        path = find_program(name, search_path)
        if path:
            return OciSandbox(os.path.basename(path), path)
    return OciSandbox(runtime or "crun", "")


@dataclass(frozen=True, slots=True)
class _Way:
    """How a process is started: with a filter of system calls or not; and whether a hook shuts its devices
    again, in place of the filter that keeps them shut.
    """

    seccomp: bool
    hooked: bool = False
    tries: int = _TRIES

    def other(self, complaint: str) -> _Way | None:
        """What to try where this has not worked; None if there is nothing."""
        if self.seccomp and complaints.lacks_seccomp(complaint):
            return replace(self, seccomp=False)
        if self.tries > 1 and complaints.lost(complaint):
            return replace(self, tries=self.tries - 1)
        if not self.hooked and complaints.refused(complaint):
            # Other versions of the runtime may not get on with the filter.
            return replace(self, hooked=True)
        return None


@dataclass(frozen=True, slots=True)
class OciSandbox:
    """An OCI runtime. `path` is "" when there is none."""

    name: str
    path: str

    def check(self) -> str:
        """See Sandbox.check."""
        if not self.path:
            return (
                f"no OCI runtime: {self.name} was not found. Install the package crun (or runc), "
                "or name another one with --runtime"
            )
        if os.geteuid() != 0:
            return "mounting needs root, or a user namespace in which this user is root"
        held = held_capabilities()
        missing = [
            name for name, bit in (("CAP_SYS_ADMIN", 21), ("CAP_SYS_CHROOT", 18)) if not held >> bit & 1
        ]
        if missing:
            return f"this process lacks {' and '.join(missing)}; {self.name} cannot make a container"
        if _tools() and not _wrapper():
            return f"parts of /proc are covered, so {self.name} cannot mount the one that a container needs"
        return ""

    def run(
        self,
        spec: ProcessSpec,
        output: Callable[[int, bytes], None] | None,
        cancel: threading.Event,
        work: str,
    ) -> int:
        """See Sandbox.run."""
        process.may_start(cancel, self.check())
        _keep_off_disk(work)
        try:
            return self._run(spec, output, cancel, work, _Way(seccomp=not spec.privileged))
        finally:
            kernel.umount(work, kernel.MNT_DETACH)

    def _run(
        self,
        spec: ProcessSpec,
        output: Callable[[int, bytes], None] | None,
        cancel: threading.Event,
        work: str,
        way: _Way,
    ) -> int:
        calls = b"" if way.hooked else self._keeping(spec)
        config = config_json(
            _with_network(spec, work),
            held=held_capabilities(),
            user_namespace=in_user_namespace(),
            seccomp=way.seccomp,
            raw_filter=self.name.startswith("crun"),
            hook=() if calls else self._hook(spec),
        )
        container = f"jettison-{os.getpid()}-{os.urandom(6).hex()}"
        _write(os.path.join(work, "config.json"), config)
        log = os.path.join(work, "log")
        _write(log, b"")
        own_pids = bool(_wrapper())
        copy = sealed.program(self.path)
        argv = [*_wrapper(), *self._command(work, log, copy), "run", "--bundle", work]
        argv += ["--pid-file", os.path.join(work, "pid"), container]
        emit = output or own_stream
        piped = output is not None and not spec.terminal
        try:
            child = process.start(
                argv, _ENVIRONMENT, piped=piped, own_pids=own_pids, program=copy, started=spec.started,
                calls=calls,
            )  # fmt: skip
        except OSError as error:
            raise SandboxError(f"cannot start {self.name}: {error}") from error
        try:
            ending = process.finish(child, emit, cancel, lambda pid: _kill(pid, work), complaints.suspect)
        finally:
            _remove_cgroup(container)
        if ending.cancelled:
            raise Cancelled("the build was cancelled")
        if ending.status == 0:
            if ending.held:
                emit(2, ending.held)
            return 0
        complaint = complaints.find(ending.held, _read(log))
        if complaint is None:
            if ending.held:
                emit(2, ending.held)
            return ending.status
        if other := way.other(complaint):
            return self._run(spec, output, cancel, work, other)
        status, message = complaints.explain(complaint, spec.args[0])
        if not status:
            raise SandboxError(f"{self.name} could not start the process: {message}")
        emit(2, message.encode() + b"\n")
        return status

    def _opens_devices(self, spec: ProcessSpec) -> bool:
        """Whether what crun does to a mount's flags matters.

        In a user namespace the kernel opens no devices, and who is privileged may open all.
        """
        return self.name.startswith("crun") and not spec.privileged and not in_user_namespace()

    def _keeping(self, spec: ProcessSpec) -> bytes:
        """The filter that keeps the devices of the root filesystem shut; b"" where it would not."""
        # What is made read-only is remounted with that flag alone, which the filter has to allow.
        if not self._opens_devices(spec) or spec.read_only or not _wrapper():
            return b""
        return devices.keeping() if devices.are_shut(spec.rootfs) else b""

    def _hook(self, spec: ProcessSpec) -> tuple[str, ...]:
        """What shuts the devices of the root filesystem again, where nothing keeps them shut."""
        if not self._opens_devices(spec):
            return ()
        return devices.shutting(os.path.abspath(spec.rootfs), find_program("sh"), find_program("mount"))

    def _command(self, work: str, log: str, copy: int) -> list[str]:
        path = self.path if copy < 0 else process.PROGRAM
        command = [path, "--root", os.path.join(work, "state"), "--log", log, "--log-format=json"]
        if self.name.startswith("crun"):
            command.append("--cgroup-manager=disabled")
        elif in_user_namespace():
            command.append("--rootless=true")
        return command


def find_program(name: str, search_path: str = SEARCH_PATH) -> str:
    """The path of a program, by name or path; "" when there is none."""
    if "/" in name:
        path = os.path.abspath(name)
        return path if os.access(path, os.X_OK) and os.path.isfile(path) else ""
    for folder in search_path.split(":"):
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return ""


@functools.cache
def _tools() -> tuple[str, ...]:
    """The wrapper of `_wrapper`, empty where the tools (util-linux) are missing."""
    setpriv, unshare, shell = (find_program(name) for name in ("setpriv", "unshare", "sh"))
    if not setpriv or not unshare or not shell:
        return ()
    return (setpriv, "--pdeathsig=KILL", shell, *process.GATE, unshare, "--mount-proc")


@functools.cache
def _wrapper() -> tuple[str, ...]:
    """What goes in front of the runtime: it dies with us, and sees the /proc of its own PID namespace.

    Empty where the tools or the right to mount /proc are missing.
    """
    wrapper = _tools()
    if not wrapper or not in_user_namespace():
        return wrapper
    # Where parts of /proc are covered, as in other containers, no new one may be mounted.
    try:
        child = process.start([*wrapper, "/bin/true"], _ENVIRONMENT, piped=True, own_pids=True)
    except OSError:
        return ()
    ending = process.finish(
        child, lambda stream, data: None, threading.Event(), process.kill, lambda data: False
    )
    return wrapper if ending.status == 0 else ()


@functools.cache
def held_capabilities() -> int:
    """The mask of the capabilities that this process may use."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    return 0


@functools.cache
def in_user_namespace() -> bool:
    """Whether root here is root of a user namespace only."""
    with open("/proc/self/uid_map") as file:
        return file.read().split() != ["0", "0", "4294967295"]


def _with_network(spec: ProcessSpec, work: str) -> ProcessSpec:
    """The runtime has a /proc of its own, in which the path of a network namespace means something else."""
    if not spec.network.startswith("/"):
        return spec
    path = os.path.join(work, "network")
    if not os.path.exists(path):
        _write(path, b"")
        kernel.mount(spec.network, path, "", kernel.MS_BIND)
    return replace(spec, network=path)


def _keep_off_disk(work: str) -> None:
    """Secrets in the environment end up in config.json: hold it in memory, seen by this thread only."""
    try:
        kernel.mount("tmpfs", work, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=700,size=32m")
    except OSError as error:
        # On the disk it might stay behind, and no runtime gets far without a tmpfs.
        raise SandboxError(
            "the configuration of a container may hold secrets, and cannot be kept in memory: "
            f"mounting a tmpfs: {error.strerror}",
            hint="--isolation chroot mounts nothing; jettison doctor tells what it keeps apart",
        ) from error


def _kill(pid: int, work: str) -> None:
    """End the runtime. Without a PID namespace around it, end the container, which it would leave behind."""
    if not _wrapper():
        text = _read(os.path.join(work, "pid")).strip()
        if text.isdigit():
            process.kill(int(text))
            return
        # The process may run before the runtime has written down which one it is.
        for child in _children(pid):
            process.kill(child)
    process.kill(pid)


def _children(pid: int) -> list[int]:
    """The children of a process, which is stopped first, so that there will be no others."""
    try:
        os.kill(pid, signal.SIGSTOP)
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    return [
        int(child) for thread in threads for child in _read(f"/proc/{pid}/task/{thread}/children").split()
    ]


def _remove_cgroup(container: str) -> None:
    """runc makes a cgroup, and leaves it behind when killed."""
    try:
        os.rmdir(os.path.join("/sys/fs/cgroup", container))
    except OSError:
        pass


def own_stream(stream: int, data: bytes) -> None:
    """An `output` that writes to this process's own streams."""
    os.write(stream, data)


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""

"""`jettison run`: a process in an image's root filesystem, with RUN's sandbox and this machine's network.

What it writes goes to a layer that is thrown away at the end.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Literal

from jettison.dataclass import dataclass, field, replace
from jettison.errors import SandboxError, StoreError, UsageError
from jettison.executor.failed import reasons
from jettison.executor.run import read_file
from jettison.kernel import MS_NOEXEC, MS_NOSUID, may_mount, mount, private_mounts
from jettison.oci.config import ImageConfig
from jettison.request import Limits
from jettison.sandbox import network, users
from jettison.sandbox.base import PLAIN, Mount, ProcessSpec, Sandbox
from jettison.sandbox.limits import run_within
from jettison.store.base import FileTree
from jettison.store.resolve import resolve
from jettison.store.snapshot import Stub, mounted
from jettison.store.store import Store

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RUNTIME_FOLDERS = ("proc", "dev", "sys")


@dataclass(frozen=True, slots=True)
class Volume:
    """A file or folder of this machine (`source`, absolute; "" for a tmpfs) at `target` of the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ContainerRequest:
    """What to run. None and "" mean what the image's configuration says; `env` holds NAME=value.

    Without `terminal` the process has this process's streams.
    """

    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    volumes: tuple[Volume, ...] = ()
    cwd: str = ""
    user: str = ""
    terminal: bool = False
    network: Literal["host", "none"] = "host"
    hosts: tuple[str, ...] = ()
    hostname: str = ""
    privileged: bool = False
    read_only: bool = False
    limits: Limits = field(default_factory=Limits)


def run(
    store: Store,
    config: ImageConfig,
    request: ContainerRequest,
    sandbox: Sandbox,
    cancel: threading.Event,
    note: Callable[[str], None] = lambda text: None,
) -> int:
    """Run to the end and give the exit status. `note` is told what there is to say of limits.

    Raises SandboxError, StoreError, Cancelled and UsageError.
    """
    if problem := sandbox.check():
        raise SandboxError(problem)
    args = arguments(config, request)
    layers = layer_ids(store, config)
    view = store.view(layers)
    user = users.lookup(
        request.user or config.config.get("User") or "",
        read_file(view, "etc/passwd"),
        read_file(view, "etc/group"),
    )
    hostname = request.hostname or os.uname().nodename
    places, stubs = _places(request.volumes, config.config.get("Volumes") or (), view)
    spec = ProcessSpec(
        rootfs="",
        args=args,
        env=environment(config, request, user.home, hostname),
        cwd=request.cwd or config.config.get("WorkingDir") or "/",
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        hostname=hostname,
        network=request.network,
        privileged=request.privileged,
        terminal=request.terminal,
        read_only=request.read_only,
    )
    status, complaint = _program_problem(view, spec, [volume.target for volume in request.volumes])
    if status:
        # The runtime would complain on the same stream, in its own words and beside ours.
        os.write(2, complaint.encode() + b"\n")
        return status
    # It may run for weeks, in which all else may be removed.
    store.session.need_only(layers)
    status, exceeded = run_within(
        request.limits,
        cancel,
        sandbox.name,
        note,
        lambda stop, started: _run(
            store, layers, replace(spec, started=started), request, sandbox, stop, places, stubs
        ),
    )
    if exceeded is not None:
        why, hint = reasons(status, request.limits, exceeded)
        note(why or hint)
    return status


def _run(
    store: Store,
    layers: Sequence[str],
    spec: ProcessSpec,
    request: ContainerRequest,
    sandbox: Sandbox,
    cancel: threading.Event,
    places: dict[str, str],
    stubs: Sequence[Stub],
) -> int:
    with store.new_work_dir() as work:

        def inside() -> int:
            with ExitStack() as stack:
                rootfs = stack.enter_context(
                    mounted(store, layers, work.upper, work.work, stubs, overlay=sandbox.name != PLAIN)
                )
                files = f"{work.path}/files"
                _make_files_folder(files, sandbox)
                mounts = (
                    *_network_files(files, places, request, spec.hostname),
                    *_volumes(request.volumes, places),
                )
                runtime = f"{work.path}/runtime"
                os.mkdir(runtime, 0o700)
                return sandbox.run(_with(spec, rootfs, mounts), None, cancel, runtime)

        return private_mounts(inside)


def _make_files_folder(path: str, sandbox: Sandbox) -> None:
    os.mkdir(path, 0o755)
    if may_mount() and sandbox.name != PLAIN:
        mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m")


def _program_problem(view: FileTree, spec: ProcessSpec, covered: Sequence[str]) -> tuple[int, str]:
    """Exit status and message for a program that the image has not, or that is no program; else 0.

    What lies in one of the `covered` places is left to the runtime.
    """
    from jettison.sandbox.complaints import explain

    program = spec.args[0]
    variables = dict(item.partition("=")[::2] for item in spec.env)
    folders = [spec.cwd] if "/" in program else variables.get("PATH", "").split(":")
    denied = False
    for folder in folders:
        path = os.path.normpath(os.path.join("/", folder, program))
        found = "/" + resolve(view, path.lstrip("/"))
        if any(f"{place}/".startswith(f"{target}/") for target in covered for place in (path, found)):
            return 0, ""
        node = view.lookup(found.lstrip("/"))
        if node is not None and node.kind == "file" and node.mode & 0o111:
            return 0, ""
        denied = denied or (node is not None and "/" in program)
    return explain("open executable: permission denied" if denied else "executable file not found", program)


def _with(spec: ProcessSpec, rootfs: str, mounts: tuple[Mount, ...]) -> ProcessSpec:
    return replace(spec, rootfs=rootfs, mounts=tuple(sorted(mounts, key=lambda m: m.target.count("/"))))


def arguments(config: ImageConfig, request: ContainerRequest) -> tuple[str, ...]:
    """What is executed: the entrypoint, then the command. Another entrypoint drops the image's command."""
    entrypoint = request.entrypoint
    command: Sequence[str] = request.command
    if entrypoint is None:
        entrypoint = tuple(config.config.get("Entrypoint") or ())
        command = command or tuple(config.config.get("Cmd") or ())
    out = (*entrypoint, *command)
    if not out:
        raise UsageError(
            "the image says no command to run", hint="give one: jettison run IMAGE COMMAND [ARGUMENTS]"
        )
    return out


def environment(config: ImageConfig, request: ContainerRequest, home: str, hostname: str) -> tuple[str, ...]:
    """The process's variables: the image's, then the caller's; PATH, HOME and HOSTNAME where nobody says."""
    first = [PATH, f"HOSTNAME={hostname}"]
    if request.terminal:
        first.append("TERM=xterm")
    env = dict(item.partition("=")[::2] for item in (*first, *(config.config.get("Env") or ()), *request.env))
    env.setdefault("HOME", home)
    return tuple(f"{name}={value}" for name, value in env.items())


def layer_ids(store: Store, config: ImageConfig) -> list[str]:
    """The ids of an image's layers. Raises StoreError for one that is not there."""
    out = []
    for diff_id in config.diff_ids:
        layer = store.layers.claim(diff_id)
        if layer is None:
            raise StoreError(
                f"the store lacks the layer {diff_id}", hint="build, pull or load the image again"
            )
        out.append(layer.id)
    return out


def _places(
    volumes: Sequence[Volume], declared: Iterable[str], view: FileTree
) -> tuple[dict[str, str], list[Stub]]:
    """Where things get mounted, behind the image's symlinks; and which of those places must be made.

    The volumes that an image has `declared` are folders, though nothing is mounted there.
    """
    wanted: list[tuple[str, Literal["file", "dir"]]] = [(f"/{name}", "dir") for name in _RUNTIME_FOLDERS]
    wanted += [("/etc/resolv.conf", "file"), ("/etc/hosts", "file"), ("/etc/hostname", "file")]
    for volume in volumes:
        folder = not volume.source or os.path.isdir(volume.source)
        wanted.append((volume.target, "dir" if folder else "file"))
    given = {volume.target.rstrip("/") for volume in volumes}
    wanted += [(path, "dir") for path in declared if path.rstrip("/") not in given]
    places: dict[str, str] = {}
    stubs: list[Stub] = []
    covered = [f"{name}/" for name in _RUNTIME_FOLDERS]
    for target, kind in wanted:
        found = resolve(view, target.strip("/"))
        places[target] = "/" + found
        if not any(found.startswith(above) for above in covered) and view.lookup(found) is None:
            stubs.append(Stub(found, kind))
    return places, stubs


def _network_files(
    folder: str, places: dict[str, str], request: ContainerRequest, hostname: str
) -> list[Mount]:
    mode = network.NONE if request.network == "none" else network.HOST
    taken = {places[volume.target] for volume in request.volumes}
    texts = {
        "/etc/resolv.conf": network.resolv_text(_own_resolv_conf()),
        "/etc/hosts": network.hosts_text(hostname, request.hosts, mode),
        "/etc/hostname": hostname + "\n",
    }
    out = []
    for target, text in texts.items():
        path = f"{folder}/{os.path.basename(target)}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o644)
        if places[target] not in taken:
            out.append(Mount("bind", places[target], path))
    return out


def _own_resolv_conf() -> bytes | None:
    try:
        with open("/etc/resolv.conf", "rb") as file:
            return file.read()
    except OSError:
        return None


def _volumes(volumes: Sequence[Volume], places: dict[str, str]) -> list[Mount]:
    return [
        Mount("bind" if volume.source else "tmpfs", places[volume.target], volume.source, volume.read_only)
        for volume in volumes
    ]


def forwarder(cancel: threading.Event, mine: Callable[[int], bool]) -> Callable[[int], bool]:
    """What to do with a signal that this process gets while a container runs.

    The function given takes the signal's number. It passes the signal on to the container's process, unless
    `mine(number)` says that the terminal did that already. A process that does not
    catch it would, as the first of its PID namespace, just go on: it is ended by setting `cancel`. A
    second SIGTERM, and a third of any kind, ends it too. False: nothing runs yet.
    """
    seen: list[int] = []

    def forward(number: int) -> bool:
        runtimes = _children(os.getpid())
        if not runtimes:
            return False
        seen.append(number)
        first = [pid for runtime in runtimes for pid in _children(runtime)]
        if not any(_catches(pid, number) for pid in first) or len(seen) > 2:
            cancel.set()
        elif not mine(number):
            for pid in first:
                _send(pid, number)
        return True

    return forward


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _children(pid: int) -> list[int]:
    out: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                out += map(int, file.read().split())
    except OSError:
        pass
    return out


def _catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, or blocks it to take it in later (proc(5), SigCgt)."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            masks = dict(line.split(":\t", 1) for line in file if line.startswith(("SigCgt", "SigBlk")))
    except OSError:
        return False
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks.values())

"""What is mounted while a RUN runs: binds, caches, tmpfs, secrets, agents, and the network's files."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from jettison.dataclass import dataclass, field
from jettison.errors import NotFound, SourceError
from jettison.graph.ops import MountOp, RunOp
from jettison.graph.vertex import Vertex
from jettison.kernel import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REMOUNT, may_mount, mount
from jettison.sandbox import network
from jettison.sandbox.base import PLAIN, Mount
from jettison.sandbox.network import Network
from jettison.store.base import FileTree
from jettison.store.owners import give
from jettison.store.resolve import resolve
from jettison.store.snapshot import Stub, mounted
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.executor.run import RunSettings

_RUNTIME_FOLDERS = ("proc", "dev", "sys")
_NETWORK_FILES = ("etc/resolv.conf", "etc/hosts")
PIPES = "/dev/pipes"


@dataclass(frozen=True, slots=True)
class Targets:
    """Where things get mounted. `paths` maps what the Dockerfile says to where that is behind symlinks.

    `missing` are mount points that the root filesystem has not, with what has to be there.
    """

    paths: dict[str, str]
    missing: list[Stub]


def mount_targets(
    store: Store,
    vertex: Vertex,
    op: RunOp,
    inputs: Mapping[str, tuple[str, ...]],
    settings: RunSettings,
    view: FileTree,
) -> Targets:
    """Resolve all mount points inside the root filesystem, and find those that are not there.

    Optional secrets and agents that nobody gave have none.
    """
    wanted: list[tuple[str, Literal["file", "dir"]]] = [(f"/{name}", "dir") for name in _RUNTIME_FOLDERS]
    wanted += [(f"/{name}", "file") for name in _NETWORK_FILES]
    for item in op.mounts:
        if item.type in ("secret", "ssh"):
            given = settings.secrets.value(item.id) if item.type == "secret" else settings.ssh.get(item.id)
            if item.target and given is not None:
                wanted.append((item.target, "file"))
        elif item.type == "bind" and _is_file(store, vertex, inputs, item):
            wanted.append((item.target, "file"))
        else:
            wanted.append((item.target, "dir"))
    paths: dict[str, str] = {}
    missing: list[Stub] = []
    covered = [f"/{name}/" for name in _RUNTIME_FOLDERS]
    for target, kind in sorted(wanted, key=lambda item: item[0].count("/")):
        found = resolve(view, target.strip("/"))
        paths[target] = "/" + found
        hidden = any(f"/{found}/".startswith(above) and f"/{found}/" != above for above in covered)
        if not hidden:
            node = view.lookup(found)
            if node is None:
                missing.append(Stub(found, kind))
            elif (node.kind == "dir") != (kind == "dir"):
                raise _unlike(target, kind, vertex)
        if kind == "dir" and target not in [f"/{name}" for name in _RUNTIME_FOLDERS]:
            covered.append(f"/{found}/")
    return Targets(paths, missing)


def _unlike(target: str, kind: str, vertex: Vertex) -> SourceError:
    here, there = ("a directory", "a file") if kind == "dir" else ("a file", "a directory")
    return SourceError(
        f"cannot mount {here} at {target}: that is {there} in the image",
        hint="choose another target",
        location=vertex.location,
    )


def _is_file(store: Store, vertex: Vertex, inputs: Mapping[str, tuple[str, ...]], item: MountOp) -> bool:
    if item.input < 0:
        return False
    tree = store.view(inputs[vertex.inputs[item.input]])
    node = tree.lookup(resolve(tree, item.source.strip("/")))
    return node is not None and node.kind != "dir"


@dataclass(slots=True)
class StepMounts:
    """Prepares the mounts of one RUN inside its private mount namespace; `stack` undoes them.

    `folder` is a path of the step's own that may be made.
    """

    store: Store
    vertex: Vertex
    op: RunOp
    inputs: Mapping[str, tuple[str, ...]]
    settings: RunSettings
    folder: str
    stack: ExitStack
    cancel: threading.Event
    network: Network = network.HOST
    _variables: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def secret_variables(self) -> dict[str, str]:
        """The environment variables that carry secrets and agent addresses."""
        out: dict[str, str] = {}
        for item in self.op.mounts:
            if item.type == "secret" and item.env:
                value = self._secret(item)
                if value is not None:
                    out[item.env] = _variable(item, value, self.vertex)
            if item.type == "ssh" and self._agent(item):
                out.setdefault("SSH_AUTH_SOCK", item.target)
        return out

    def all(self, targets: Targets) -> tuple[Mount, ...]:
        """Every mount of the step, outer ones first."""
        self._lock_caches()
        os.mkdir(self.folder, 0o700)
        if self._mounts():
            # Secrets and network files live in memory only, and are gone with the namespace.
            mount("tmpfs", self.folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755")
        out = [
            self._file("/etc/resolv.conf", self._resolv_conf(), targets),
            self._file("/etc/hosts", self._hosts().encode(), targets),
        ]
        for item in self.op.mounts:
            made = self._mount(item, targets)
            if made is not None:
                out.append(made)
        if self.op.files:
            out.append(self._pipes())
        return tuple(sorted(out, key=lambda made: made.target.count("/")))

    def _mounts(self) -> bool:
        """Whether anything can be mounted for this step, and its sandbox makes use of that."""
        return may_mount() and self._overlay()

    def _overlay(self) -> bool:
        return self.settings.sandbox().name != PLAIN

    def _lock_caches(self) -> None:
        """Take the caches that one step at a time may use.

        Each once, and all steps in the same order: two that want the same ones would wait for each other.
        """
        folders = self.settings.cache_mounts.folders
        # A folder of the caller's has no copies.
        alone = {
            item.id
            for item in self.op.mounts
            if item.sharing == "locked" or (item.sharing == "private" and item.id in folders)
        }
        for name in sorted(alone):
            self.stack.enter_context(self.store.lock(f"cache-run-{name}", cancel=self.cancel))

    def _hosts(self) -> str:
        text = network.hosts_text(self.op.hostname, self.op.hosts, self.network)
        if not self._overlay():
            # A step in a chroot has this machine's name, which programs look up.
            text += f"127.0.0.1\t{os.uname().nodename}\n"
        return text

    def _resolv_conf(self) -> bytes:
        return network.resolv_text(self.settings.resolv_conf, self.network).encode()

    def _name(self) -> str:
        self._count += 1
        return f"{self.folder}/{self._count}"

    def _file(self, target: str, data: bytes, targets: Targets) -> Mount:
        name = self._name()
        with open(name, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        return Mount("bind", targets.paths[target], name, read_only=False)

    def _pipes(self) -> Mount:
        folder = self._name()
        os.mkdir(folder, 0o755)
        for item in self.op.files:
            path = f"{folder}/{item.name}"
            with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(item.data)
            os.chmod(path, 0o755)
        if self._mounts():
            # Scripts are run from here, so it cannot lie in a folder that forbids it.
            mount(folder, folder, "", MS_BIND)
            mount("", folder, "", MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV)
        return Mount("bind", PIPES, folder, read_only=True)

    def _mount(self, item: MountOp, targets: Targets) -> Mount | None:
        target = targets.paths.get(item.target, item.target)
        if item.type == "bind":
            return self._bind(item, target)
        if item.type == "cache":
            return Mount("bind", target, self._cache(item), read_only=item.read_only)
        if item.type == "tmpfs":
            return Mount("tmpfs", target, size=item.size)
        if item.type == "ssh":
            given = self._agent(item)
            return Mount("bind", target, self._forwarded(item, given)) if given else None
        value = self._secret(item)
        if value is None or not item.target:
            return None
        name = self._name()
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
        with open(fd, "wb") as file:
            file.write(value)
        if not self._mounts():
            from jettison.sandbox.emulated import wipe_file
            from jettison.store.clocks import in_memory

            self.stack.callback(wipe_file, name)
            if not in_memory(name):
                self.settings.warn(_ON_DISK)
        give(name, item.uid or 0, item.gid or 0)
        os.chmod(name, 0o400 if item.mode is None else item.mode)
        return Mount("bind", target, name, read_only=True, secret=True)

    def _input(self, item: MountOp) -> tuple[str, ...]:
        return self.inputs[self.vertex.inputs[item.input]] if item.input >= 0 else ()

    def _source(self, item: MountOp, writable: bool) -> str:
        """The path, on this machine, of what a bind or the seed of a cache reads; mounted for this step."""
        layers = self._input(item)
        tree = self.store.view(layers)
        found = resolve(tree, item.source.strip("/"))
        if tree.lookup(found) is None:
            raise NotFound(
                f"RUN --mount: {item.source!r} not found in its source",
                hint="the source of a mount is a path in the stage, image or context that it is taken from",
                location=self.vertex.location,
            )
        work = self.stack.enter_context(self.store.new_work_dir())
        upper = work.upper if writable else None
        root = self.stack.enter_context(
            mounted(self.store, layers, upper, work.work, overlay=self._overlay(), only=found)
        )
        return os.path.join(root, found) if found else root

    def _bind(self, item: MountOp, target: str) -> Mount:
        return Mount("bind", target, self._source(item, not item.read_only), read_only=item.read_only)

    def _cache(self, item: MountOp) -> str:
        def seed(folder: str) -> None:
            if item.input < 0:
                give(folder, item.uid or 0, item.gid or 0)
                os.chmod(folder, 0o755 if item.mode is None else item.mode)
                return
            from subprocess import run

            source = self._source(item, writable=False)
            run(["cp", "-a", f"{source}/.", folder], check=True, capture_output=True)
            if item.uid is not None or item.gid is not None:
                give(folder, item.uid or 0, item.gid or 0)
            if item.mode is not None:
                os.chmod(folder, item.mode)

        own = self.settings.cache_mounts.folders.get(item.id)
        if own is not None:
            return _own_folder(own, item, self.vertex)
        from jettison.store import cache_mounts

        name = self._free_copy(item.id) if item.sharing == "private" else item.id
        self.settings.cache_mounts.begin(name, self.store)
        return self.stack.enter_context(cache_mounts.in_use(self.store, name, seed, self.cancel))

    def _free_copy(self, name: str) -> str:
        """A cache that no other step uses at the moment: the first of its numbered copies that is free."""
        number = 0
        while True:
            copy = f"{name}#{number}" if number else name
            try:
                self.stack.enter_context(self.store.lock(f"cache-run-{copy}", on_wait=_busy))
                return copy
            except _Busy:
                number += 1

    def _secret(self, item: MountOp) -> bytes | None:
        value = self.settings.secrets.value(item.id)
        if value is None and item.required:
            raise NotFound(
                f"secret {item.id} not found: the step requires it",
                hint=f"pass it with --secret id={item.id},src=FILE or --secret id={item.id},env=VARIABLE",
                location=self.vertex.location,
            )
        return value

    def _agent(self, item: MountOp) -> str:
        socket = self.settings.ssh.get(item.id, "")
        if not socket and item.required:
            raise NotFound(
                f"ssh agent {item.id!r} is not forwarded, and the step requires it",
                hint=f"pass it with --ssh {item.id}",
                location=self.vertex.location,
            )
        return socket

    def _forwarded(self, item: MountOp, given: str) -> str:
        from jettison.executor.agent import forward_agent

        name = forward_agent(given, self.folder, os.path.basename(self._name()), self.stack)
        give(name, item.uid or 0, item.gid or 0)
        os.chmod(name, 0o600 if item.mode is None else item.mode)
        return name


_ON_DISK = (
    "secrets that are mounted as files lie on the disk of the store while their steps run: nothing can be "
    "mounted here. env= keeps one in memory, and --root on a tmpfs (/dev/shm) all of them"
)


def _variable(item: MountOp, value: bytes, vertex: Vertex) -> str:
    if b"\0" in value:
        raise SourceError(
            f"the secret {item.id} holds a zero byte, which no variable can",
            hint="mount it as a file: leave out env",
            location=vertex.location,
        )
    return value.decode("utf-8", "surrogateescape")


def _own_folder(folder: str, item: MountOp, vertex: Vertex) -> str:
    """A folder of the caller's in place of a cache mount; a new one is made as the Dockerfile wants it."""
    try:
        if not os.path.isdir(folder):
            os.makedirs(folder)
            give(folder, item.uid or 0, item.gid or 0)
            os.chmod(folder, 0o755 if item.mode is None else item.mode)
    except OSError as error:
        raise SourceError(
            f"--cache-mount id={item.id}: cannot use the folder {folder}: {error.strerror}",
            location=vertex.location,
        ) from error
    return folder


class _Busy(Exception):
    """Another step holds the cache."""


def _busy() -> None:
    raise _Busy

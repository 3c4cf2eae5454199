"""How a RUN is carried out: its root filesystem, mounts, secrets and process, and the layer it leaves."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext

from jettison.dataclass import dataclass, field
from jettison.errors import JettisonError, SandboxError
from jettison.executor.mounts import StepMounts, Targets, mount_targets
from jettison.executor.network import Lent
from jettison.graph.ops import RunOp
from jettison.graph.vertex import Vertex
from jettison.kernel import private_mounts
from jettison.request import Limits
from jettison.sandbox import users
from jettison.sandbox.base import PLAIN, Mount, ProcessSpec, Sandbox, Started
from jettison.sandbox.limits import run_within
from jettison.sandbox.network import HOST, NONE
from jettison.secrets.values import Secrets
from jettison.store.base import FileTree
from jettison.store.faults import FULL, store_error
from jettison.store.resolve import resolve
from jettison.store.snapshot import mounted
from jettison.store.store import Store
from jettison.store.temporary import WorkDir

_LARGEST_FILE = 16 << 20
_TAIL_BYTES = 8192


@dataclass(frozen=True, slots=True)
class CacheMounts:
    """How one build treats cache mounts: `folders` of the caller's to use instead, by id.

    With `anew` each begins empty when a step of the build uses it first.
    """

    folders: Mapping[str, str] = field(default_factory=dict)
    anew: bool = False
    _begun: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, name: str, store: Store) -> None:
        """Called before a step uses a cache mount of the store."""
        if not self.anew:
            return
        from jettison.store.cache_mounts import empty

        with self._lock:
            if name not in self._begun:
                empty(store, name)
                self._begun.add(name)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What every RUN of a build shares.

    `proxies` are variables that processes see but keys do not. `ssh` maps ids to agent sockets or key files.
    A failed step is tried `retries` times more. `warn` is told what holds for all steps. `network` begins
    to make a step's network, by its mode and whether the step is privileged, and gives what waits for it.
    """

    sandbox: Callable[[], Sandbox]
    secrets: Secrets
    proxies: Mapping[str, str]
    ssh: Mapping[str, str]
    resolv_conf: bytes | None
    cache_mounts: CacheMounts = field(default_factory=CacheMounts)
    limits: Limits = field(default_factory=Limits)
    retries: int = 0
    warn: Callable[[str], None] = lambda text: None
    network: Callable[[str, bool], Lent] = lambda mode, _: (
        lambda: nullcontext(NONE if mode == "none" else HOST)
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A RUN before anything of it is mounted. `layers` are the root filesystem that it enters.

    `inputs` are the layers of its vertex's inputs and base.
    """

    store: Store
    vertex: Vertex
    op: RunOp
    layers: tuple[str, ...]
    inputs: Mapping[str, tuple[str, ...]]
    settings: RunSettings
    user: users.User
    network: Lent
    targets: Targets


def prepare(
    store: Store,
    vertex: Vertex,
    op: RunOp,
    layers: tuple[str, ...],
    inputs: Mapping[str, tuple[str, ...]],
    settings: RunSettings,
) -> Step:
    """Look up whatever a RUN needs. Raises as `run`."""
    network = settings.network(op.network, op.security == "insecure")
    view = store.view(layers)
    user = _user(op, view, vertex)
    targets = mount_targets(store, vertex, op, inputs, settings, view)
    return Step(store, vertex, op, layers, inputs, settings, user, network, targets)


@contextmanager
def entered(
    step: Step, work: WorkDir, cancel: threading.Event, started: Started = None
) -> Iterator[ProcessSpec]:
    """The root filesystem of a step with all its mounts, and its process. Inside private mounts only."""
    store, op, settings = step.store, step.op, step.settings
    with ExitStack() as stack:
        rootfs = stack.enter_context(
            mounted(
                store, step.layers, work.upper, work.work, step.targets.missing,
                overlay=settings.sandbox().name != PLAIN,
            )
        )  # fmt: skip
        folder = f"{work.path}/mounts"
        mounts = StepMounts(store, step.vertex, op, step.inputs, settings, folder, stack, cancel)
        mounts.network = stack.enter_context(step.network())
        env = _environment(op, step.user, settings, mounts.secret_variables())
        yield _spec(op, rootfs, step.user, env, mounts.all(step.targets), mounts.network.namespace, started)


def run(
    store: Store,
    vertex: Vertex,
    op: RunOp,
    inputs: Mapping[str, tuple[str, ...]],
    settings: RunSettings,
    output: Callable[[int, bytes], None],
    cancel: threading.Event,
    keep: bool = True,
) -> tuple[str, ...]:
    """Run the process and give the stack of layers with the new one on top.

    Raises StepFailed when it ends with another status than 0 or reaches a limit, SandboxError when it
    cannot be started, NotFound for mounts and required secrets that are not there. What a failed step left
    is kept if `keep`.
    """
    base = inputs[vertex.base] if op.has_base else ()
    step = prepare(store, vertex, op, base, inputs, settings)
    tail: deque[bytes] = deque()

    def heard(stream: int, data: bytes) -> None:
        tail.append(data)
        while sum(map(len, tail)) > _TAIL_BYTES and len(tail) > 1:
            tail.popleft()
        output(stream, data)

    with store.new_work_dir(beside=True) as work:

        def inside(stop: threading.Event, started: Started) -> int:
            with (
                entered(step, work, cancel, started) as spec,
                settings.secrets.masked_output(heard) as hidden,
            ):
                return settings.sandbox().run(spec, hidden, stop, runtime_folder(work))

        try:
            status, exceeded = run_within(
                settings.limits,
                cancel,
                settings.sandbox().name,
                settings.warn,
                lambda stop, started: private_mounts(lambda: inside(stop, started)),
            )
        except OSError as error:
            raise _not_run(error, vertex, store.root) from error
        except SandboxError as error:
            _refuse_nobody(op, step.user, error)
            raise
        if status != 0:
            from jettison.executor import failed

            plain = settings.sandbox().name == PLAIN
            said = b"".join(tail)
            problem = failed.failed(vertex, op, status, said, settings.limits, exceeded, plain)
            if keep:
                failed.keep(store, vertex, op, inputs, work.upper, step.user, problem)
            raise problem
        layer = store.layers.commit_upper(work.upper, base, (step.user.uid, step.user.gid))
    return (*base, layer.id)


def runtime_folder(work: WorkDir) -> str:
    """A new folder for what the sandbox keeps while a step runs."""
    path = f"{work.path}/runtime"
    os.mkdir(path, 0o700)
    return path


def _spec(
    op: RunOp,
    rootfs: str,
    user: users.User,
    env: tuple[str, ...],
    mounts: tuple[Mount, ...],
    network: str,
    started: Started,
) -> ProcessSpec:
    return ProcessSpec(
        rootfs=rootfs,
        args=op.args,
        env=env,
        cwd=op.cwd,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        hostname=op.hostname,
        mounts=mounts,
        network=network,
        privileged=op.security == "insecure",
        started=started,
    )


def _not_run(error: OSError, vertex: Vertex, root: str) -> JettisonError:
    if error.errno in FULL:
        return store_error(error, vertex.name, root)
    return SandboxError(f"{vertex.name}: {error.strerror or error}", location=vertex.location)


def _refuse_nobody(op: RunOp, user: users.User, problem: SandboxError) -> None:
    """Raise SandboxError if the problem may be that this user namespace has no such user."""
    from jettison.sandbox.identity import MORE_IDS, missing_id
    from jettison.store.trees import virtual

    missing = "" if virtual() else missing_id(user.uid, user.gid)
    if missing:
        text = f"USER {op.user}: there is no {missing} in this user namespace"
        raise SandboxError(text, hint=MORE_IDS) from problem


def _user(op: RunOp, view: FileTree, vertex: Vertex) -> users.User:
    try:
        return users.lookup(op.user, read_file(view, "etc/passwd"), read_file(view, "etc/group"))
    except SandboxError as error:
        error.location = vertex.location
        raise


def read_file(view: FileTree, path: str) -> bytes | None:
    """The content of a file of a root filesystem, through symlinks inside it; None when there is none."""
    found = resolve(view, path)
    node = view.lookup(found)
    if node is None or node.kind != "file":
        return None
    if node.size > _LARGEST_FILE:
        raise SandboxError(
            f"/{path} of the image has {node.size} bytes; at most {_LARGEST_FILE} are read",
            hint="choose another base image: nobody has so many users",
        )
    with view.open(found) as file:
        return file.read()


def _environment(
    op: RunOp, user: users.User, settings: RunSettings, secrets: Mapping[str, str]
) -> tuple[str, ...]:
    env = dict(settings.proxies)
    env.update(item.partition("=")[::2] for item in op.env)
    env.setdefault("HOME", user.home)
    env.update(secrets)
    return tuple(f"{name}={value}" for name, value in env.items())

"""Lowering of RUN: the process, its environment, and what its mounts read."""

from __future__ import annotations

from posixpath import basename
from typing import Any, Literal, cast

from jettison.dataclass import replace
from jettison.dockerfile.expand import expand_instruction
from jettison.dockerfile.instructions import Mount, Run
from jettison.errors import GraphError, JettisonError
from jettison.graph import history
from jettison.graph.lower_files import clean, origin_vertex, replace_steps
from jettison.graph.ops import CopyOp, InlineFile, MountOp, RunOp
from jettison.graph.scope import PROXIES
from jettison.graph.state import DEFAULT_PATH, Lowering, StageState

HOSTNAME_ARG = "BUILDKIT_SANDBOX_HOSTNAME"
DEFAULT_HOSTNAME = "buildkitsandbox"
CACHE_NAMESPACE_ARG = "BUILDKIT_CACHE_MOUNT_NS"


def run_process(work: Lowering, state: StageState, instruction: Run) -> None:
    """RUN in shell form, exec form, or with here-documents."""
    done = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    assert isinstance(done, Run)
    args, files = _command(state, done)
    env = _environment(state)
    inputs = [state.vertex] if state.vertex else []
    has_base = bool(inputs)
    mounts = tuple(_mount(work, state, done, mount, inputs) for mount in done.mounts)
    settings = work.settings
    network = done.network or "default"
    op = RunOp(
        args=args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=clean("/", state.workdir),
        user=str(state.config.get("User") or ""),
        mounts=mounts,
        files=files,
        network=_network(network if network != "default" else settings.network, done),
        security="insecure" if done.security == "insecure" else "sandbox",
        hostname=settings.globals.build_args.get(HOSTNAME_ARG, DEFAULT_HOSTNAME),
        hosts=settings.hosts,
        has_base=has_base,
    )
    state.vertex = work.add(op, tuple(inputs), state.vertex, state, instruction.text, done.location)
    shown = [(name, value) for name, value in state.arguments.items() if name not in PROXIES]
    state.record(history.run(args, shown), state.vertex)


def _network(name: str, run: Run) -> Literal["default", "host", "none"]:
    if name not in ("default", "host", "none"):
        raise GraphError(
            f"unknown network mode {name!r}", hint="use default, host or none", location=run.location
        )
    return cast(Literal["default", "host", "none"], name)


def _environment(state: StageState) -> dict[str, str]:
    env = state.scope.process_env()
    if "PATH" not in env:
        name, _, value = DEFAULT_PATH.partition("=")
        env[name] = value
    # Proxy arguments that are not declared reach the process another way, outside the key.
    return dict(sorted(env.items()))


def _command(state: StageState, run: Run) -> tuple[tuple[str, ...], tuple[InlineFile, ...]]:
    command = run.command
    if not run.heredocs:
        return (*state.shell, *command.words) if command.shell else command.words, ()
    first = run.heredocs[0]
    if run.script:
        if first.content.startswith("#!"):
            return (*state.shell, f"/dev/pipes/{first.name}"), (InlineFile(first.name, first.content),)
        return (*state.shell, first.content), ()
    # The shell sees the here-documents as they were written and does the rest.
    full = command.words[0] + "".join(f"\n{file.data}{file.name}" for file in run.heredocs)
    return (*state.shell, full), ()


def _mount(work: Lowering, state: StageState, run: Run, mount: Mount, inputs: list[str]) -> MountOp:
    kind: Any = mount.type
    target = clean(state.workdir, mount.target) if mount.target else ""
    made = MountOp(
        kind,
        target,
        read_only=mount.read_only,
        id=mount.id,
        required=mount.required,
        mode=mount.mode,
        uid=mount.uid,
        gid=mount.gid,
        size=mount.size,
        env=mount.env,
    )
    if kind == "secret":
        name = mount.id or mount.source or basename(target) or mount.env
        file = target or ("" if mount.env else f"/run/secrets/{name}")
        return replace(made, id=name, target=file, stamp=_stamp(work, name, run))
    if kind == "ssh":
        number = sum(other.type == "ssh" for other in run.mounts[: run.mounts.index(mount)])
        return replace(made, id=mount.id or "default", target=target or f"/run/buildkit/ssh_agent.{number}")
    if not target:
        raise GraphError(
            f"a {kind} mount needs a target", hint="add target=PATH to --mount", location=run.location
        )
    if target == "/":
        raise GraphError(
            f"a {kind} mount cannot have the root directory as its target",
            hint="name a directory below /",
            location=run.location,
        )
    if kind == "cache":
        sharing: Any = mount.sharing
        space = work.settings.globals.build_args.get(CACHE_NAMESPACE_ARG, "")
        name = mount.id or target
        made = replace(made, id=f"{space}/{name}" if space else name, sharing=sharing)
    if kind == "bind" or (kind == "cache" and mount.from_):
        vertex, source = _mounted(work, state, run, mount)
        if vertex:
            inputs.append(vertex)
        return replace(made, input=len(inputs) - 1 if vertex else -1, source=source)
    return made


def _stamp(work: Lowering, name: str, run: Run) -> str:
    try:
        return work.settings.stamp(name)
    except JettisonError as error:
        error.location = run.location
        raise


def _mounted(work: Lowering, state: StageState, run: Run, mount: Mount) -> tuple[str, str]:
    """The vertex that a mount reads, and the path in it."""
    source = clean("/", mount.source or "")
    context = ""
    if mount.from_:
        origin = work.stages.source(mount.from_, state.plan, run.location)
        if not (origin.kind == "context" and origin.name in work.local_contexts):
            return origin_vertex(work, state, origin, run.location), source
        context = origin.name
    elif mount.type == "cache":
        return "", ""
    # Only what is mounted is taken from the context, and so only that is in the step's key.
    inside = source.lstrip("/")
    paths = (inside or "/",)
    op = CopyOp("/", True, paths, context, parents=bool(inside), literal=True)
    text = f"mount of {inside or 'the build context'}"
    return work.add(op, (), "", replace_steps(state), text, run.location), source

"""`jettison shell`: which state of which step is meant, and a process in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import cast

from jettison.build import known_of
from jettison.config import Config
from jettison.dataclass import dataclass, replace
from jettison.errors import NotFound, UsageError
from jettison.events import Emit
from jettison.executor.failed import vertex_of
from jettison.executor.network import BuildNetwork
from jettison.executor.shell import State, Wish, missing, start
from jettison.graph.lower_run import DEFAULT_HOSTNAME
from jettison.graph.ops import RunOp
from jettison.graph.scope import PROXIES
from jettison.graph.state import DEFAULT_PATH
from jettison.graph.vertex import BuildGraph, Target, Vertex
from jettison.journal.base import PastBuild
from jettison.planning import build_arguments, refuse_unallowed
from jettison.request import BuildRequest
from jettison.running import run_settings
from jettison.sandbox.ladder import chooser
from jettison.secrets.values import Secrets
from jettison.solver.solve import Solution
from jettison.store import failed as kept
from jettison.store.failed import FailedStep
from jettison.store.store import Store

_SLACK = 0.05
"""Seconds by which the clock of the machine may be set while a build runs."""


@dataclass(frozen=True, slots=True)
class Place:
    """A state that can be entered: that `before` a step or behind it. `failed` is where it was kept."""

    state: State
    before: bool
    failed: FailedStep | None = None


def failed_place(store: Store, build: PastBuild | None, step: str, before: bool) -> Place:
    """The state that a failed step left, or `before` it: the latest one, or that of a build.

    `step` is the number of a step of the build, "" for the one that the build's error names. Raises NotFound.
    """
    found = kept.listed(store)
    if build is not None:
        found = _of_build(found, build, step)
    if not found:
        raise NotFound(
            f"no failed step of {build.name} is kept" if build else "no failed step is kept",
            hint=f"the last {kept.KEPT} steps that failed are kept; let the build fail once more",
        )
    failed = found[0]
    layers = failed.below if before else failed.layers
    vertex = vertex_of(failed)
    inputs = dict(zip(vertex.inputs, failed.inputs, strict=True))
    if not store.layers.usable(sorted({*layers, *(one for stack in failed.inputs for one in stack)})):
        raise NotFound(
            "layers that the failed step stands on were removed since", hint="let the build fail once more"
        )
    return Place(State(vertex, cast(RunOp, vertex.op), layers, inputs), before, failed)


def _of_build(found: Sequence[FailedStep], build: PastBuild, step: str) -> list[FailedStep]:
    """Those of a build, the one that its error names first."""
    steps = {one.id for one in build.steps if one.state == "failed" and step in ("", str(one.number))}
    ended = build.at + build.seconds + _SLACK
    mine = [one for one in found if vertex_of(one).short in steps and build.at - _SLACK <= one.at <= ended]
    return sorted(mine, key=lambda one: " ".join(one.error.split())[:500] != build.error)


def cached_place(
    request: BuildRequest, config: Config, store: Store, emit: Emit, line: str, before: bool
) -> Place:
    """The state that a stage, the one target of the request, ends with as it is in the cache now; or the step
    in a line of it, or `before` that.

    Raises NotFound with the command that builds it, and UsageError for a line without a step.
    """
    plan, solution = known_of(request, config, store, emit)
    graph, target = plan.graph, plan.graph.targets[0]
    if not target.vertex:
        raise NotFound(f"the stage {target.name} has no files at all")
    steps = _steps(graph, target)
    vertex = _in_line(steps, line, target.name) if line else steps[0]
    op = vertex.op if line and isinstance(vertex.op, RunOp) else _op_of(target, request)
    wanted = [vertex.base if before else vertex.id]
    if op is vertex.op:
        wanted += vertex.inputs[op.has_base :]
    for name in wanted:
        if name and name not in solution.layers:
            raise _not_built(request, target, steps, solution, line)
    inputs = {name: solution.layers[name] for name in wanted[1:]}
    layers = solution.layers[wanted[0]] if wanted[0] else ()
    return Place(State(vertex, op, layers, inputs), before)


def _steps(graph: BuildGraph, target: Target) -> list[Vertex]:
    """The steps that a target is stacked of, the last first."""
    out, name = [], target.vertex
    while name:
        out.append(graph.vertices[name])
        name = out[-1].base
    return out


def _in_line(steps: Sequence[Vertex], line: str, stage: str) -> Vertex:
    for vertex in steps:
        place = vertex.location
        if place and place.first_line <= int(line) <= place.last_line:
            return vertex
    there = sorted({one.location.first_line for one in steps if one.location})
    raise UsageError(
        f"no step of the stage {stage} is in line {line}",
        hint=f"its steps are in the lines {', '.join(map(str, there))}",
    )


def _op_of(target: Target, request: BuildRequest) -> RunOp:
    """What a RUN at the end of a stage would be."""
    config: Mapping[str, object] = target.config.config
    env = [str(item) for item in cast(list[str], config.get("Env") or [])]
    if not any(item.startswith("PATH=") for item in env):
        env.append(DEFAULT_PATH)
    shell = cast(list[str], config.get("Shell") or ["/bin/sh", "-c"])
    return RunOp(
        args=tuple(shell),
        env=tuple(env),
        cwd=str(config.get("WorkingDir") or "/"),
        user=str(config.get("User") or ""),
        network="none" if request.network == "none" else "host" if request.network == "host" else "default",
        hostname=DEFAULT_HOSTNAME,
        hosts=request.hosts,
    )


def _not_built(
    request: BuildRequest, target: Target, steps: Sequence[Vertex], solution: Solution, line: str
) -> NotFound:
    what = f"line {line} of the stage {target.name}" if line else f"the stage {target.name}"
    hint = f"build it first: jettison build --target {target.name} {request.context}"
    newest = next((one for one in steps if one.id in solution.layers and one.location), None)
    if newest is not None and newest.location and newest.stage == target.name:
        hint += f"; what is there: jettison shell {target.name}:{newest.location.first_line}"
    return NotFound(f"{what} has not been built as it is now", hint=hint)


def enter(
    store: Store,
    place: Place,
    request: BuildRequest,
    config: Config,
    wish: Wish,
    emit: Emit,
    cancel: threading.Event,
    about: Callable[[Sequence[str]], None],
) -> int:
    """Start a process in a state, and give its exit status. `request` has secrets, agents and variables.

    `about` is told before, with the options that would give what is missing. Raises as `start`.
    """
    sandbox = chooser(request.isolation or config.isolation, request.runtime or config.runtime, emit)
    proxies = {name: value for name, value in build_arguments(request).items() if name in PROXIES}
    vertex = place.state.vertex
    refuse_unallowed(request, BuildGraph({vertex.id: replace(vertex, op=place.state.op)}, (), ()))
    networks: list[BuildNetwork] = []
    try:
        with kept.in_use(store, place.failed) if place.failed is not None else nullcontext():
            settings = run_settings(request, sandbox, proxies, Secrets(request), emit, networks)
            about(missing(place.state, settings))
            return start(store, place.state, settings, wish, cancel)
    finally:
        for network in networks:
            network.end()
            network.wait()

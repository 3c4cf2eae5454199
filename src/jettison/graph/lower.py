"""Lowering: from stages of instructions to vertices and image configurations. Nothing is read or run."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence

from jettison.dockerfile.instructions import Add, Copy, Instruction, Run, Workdir
from jettison.dockerfile.parser import MOST_INSTRUCTIONS, parse_trigger
from jettison.errors import DockerfileError, Problem
from jettison.graph.lower_files import add_files, copy_context, copy_files, make_workdir
from jettison.graph.lower_meta import apply_metadata
from jettison.graph.lower_run import run_process
from jettison.graph.ops import SourceOp
from jettison.graph.scope import StageScope, env_of_config
from jettison.graph.stages import StageGraph, StagePlan, check_base
from jettison.graph.state import Lowering, ResolvedImage, Settings, StageState, empty_config
from jettison.graph.vertex import BuildGraph, HistoryStep, Target
from jettison.oci.config import ImageConfig


def image_triggers(image: ResolvedImage, plan: StagePlan, escape: str) -> list[Instruction]:
    """The ONBUILD instructions that a base image brings, with the FROM line as their place."""
    texts = image.config.config.get("OnBuild") or ()
    if len(texts) > MOST_INSTRUCTIONS:
        message = f"the base image brings {len(texts):,} ONBUILD instructions"
        hint = f"{MOST_INSTRUCTIONS:,} are too many; choose another base image"
        raise DockerfileError((Problem(message, plan.stage.location, hint),))
    return [parse_trigger(str(text), escape, plan.stage.location) for text in texts]


def lower(
    stages: StageGraph,
    targets: Sequence[StagePlan],
    needed: Collection[int],
    images: Mapping[tuple[str, str], ResolvedImage],
    local_contexts: Collection[str],
    settings: Settings,
    beside: Sequence[StagePlan] = (),
) -> BuildGraph:
    """Make the build graph of some targets, and of further stages that are built beside them.

    `needed` are the indices of all stages that these need; `images` holds every image that those
    stages name, by (name, platform). Raises DockerfileError and GraphError with the line.
    """
    work = Lowering(stages, settings, images, frozenset(local_contexts))
    for index in sorted(needed):
        work.done[index] = _stage(work, stages.plans[index])
    skipped = tuple(plan.label for plan in stages.plans if plan.stage.index not in needed)
    return BuildGraph(
        work.vertices,
        tuple(_target(work.done[plan.stage.index], settings) for plan in targets),
        skipped,
        tuple((plan.label, work.done[plan.stage.index].vertex) for plan in beside),
        tuple(work.warnings),
    )


def _stage(work: Lowering, plan: StagePlan) -> StageState:
    check_base(plan)
    triggers = work.stages.triggers(plan)
    if plan.base.kind in ("image", "context") and plan.base.name not in work.local_contexts:
        triggers = image_triggers(work.resolved(plan.base, plan.platform), plan, work.settings.escape)
    instructions = [*triggers, *plan.stage.instructions]
    steps = sum(isinstance(item, (Run, Copy, Add, Workdir)) for item in instructions)
    state = _based(work, plan, steps)
    for instruction in instructions:
        before = len(state.history)
        _instruction(work, state, instruction)
        work.spend(state.history[before:], instruction.location)
    return state


def _based(work: Lowering, plan: StagePlan, steps: int) -> StageState:
    """The stage as its FROM line leaves it."""
    base = plan.base
    if base.kind == "stage":
        parent = work.done[base.index]
        config = copy.deepcopy(parent.config)
        config.pop("OnBuild", None)
        return StageState(
            plan,
            parent.scope.copy(),
            config,
            steps,
            vertex=parent.vertex,
            author=parent.author,
            arguments=dict(parent.arguments),
            base_history=parent.base_history,
            base_layers=parent.base_layers,
            base_extra=parent.base_extra,
            history=list(parent.history),
        )
    if base.kind == "scratch" or base.name in work.local_contexts:
        config = empty_config()
        state = StageState(plan, StageScope(env_of_config(config)), config, steps + (base.kind != "scratch"))
        if base.kind != "scratch":
            text = f"FROM {base.name}"
            state.vertex = copy_context(work, state, base.name, text, plan.stage.location)
            state.record(text, state.vertex)
        return state
    image = work.resolved(base, plan.platform)
    config = copy.deepcopy(image.config.config)
    config.pop("OnBuild", None)
    state = StageState(plan, StageScope(env_of_config(config)), config, steps + 1, author=image.config.author)
    op = SourceOp(image.config.diff_ids, str(plan.platform))
    state.vertex = work.add(op, (), "", state, f"FROM {image.name}", plan.stage.location)
    state.base_history = image.config.history
    state.base_layers = len(image.config.diff_ids)
    state.base_extra = image.config.extra
    return state


def _instruction(work: Lowering, state: StageState, instruction: Instruction) -> None:
    if isinstance(instruction, Run):
        run_process(work, state, instruction)
    elif isinstance(instruction, Add):
        add_files(work, state, instruction)
    elif isinstance(instruction, Copy):
        copy_files(work, state, instruction)
    elif isinstance(instruction, Workdir):
        make_workdir(work, state, instruction)
    else:
        apply_metadata(work, state, instruction)


def _target(state: StageState, settings: Settings) -> Target:
    config = dict(state.config)
    if settings.labels:
        config["Labels"] = {**(config.get("Labels") or {}), **settings.labels}
    platform = state.plan.platform
    image = ImageConfig(
        os=platform.os,
        architecture=platform.architecture,
        variant=platform.variant,
        author=state.author,
        config=config,
        extra=state.base_extra,
    )
    history: tuple[HistoryStep, ...] = tuple(state.history)
    return Target(state.plan.label, state.vertex, image, state.base_history, history, state.base_layers)

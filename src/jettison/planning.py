"""From a request to a build graph: contexts, the Dockerfile, stages, base images, vertices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass, field, replace
from jettison.dockerfile.instructions import Add, Copy, Dockerfile, Instruction, Run, Workdir
from jettison.dockerfile.parser import parse
from jettison.errors import DockerfileError, GraphError, Problem, RegistryError, SourceError, UsageError
from jettison.events import BaseResolved, Emit, Warned
from jettison.graph.lower import image_triggers, lower
from jettison.graph.lower_run import HOSTNAME_ARG
from jettison.graph.ops import GitOp, HttpOp, RunOp
from jettison.graph.scope import PROXIES, GlobalScope, platform_args
from jettison.graph.stages import Origin, StageGraph, StagePlan, build_stage_graph
from jettison.graph.state import Remote, ResolvedImage, Settings
from jettison.graph.vertex import BuildGraph
from jettison.inputs import Contexts
from jettison.location import Location
from jettison.platforms import Platform, native
from jettison.platforms import parse as parse_platform
from jettison.request import Artifact, BuildRequest
from jettison.side_by_side import side_by_side
from jettison.sources.base import BaseImage

if TYPE_CHECKING:
    from jettison.lint.base import Finding

_BUILTIN_ARGS = {*PROXIES, HOSTNAME_ARG, "SOURCE_DATE_EPOCH", "BUILDKIT_INLINE_CACHE", "BUILDKIT_SYNTAX"}

_RESOLVERS = 8

ResolveImage = Callable[[Origin, Platform], BaseImage]
Checks = Callable[
    [
        StageGraph,
        Sequence[StagePlan],
        Platform,
        Mapping[str, str],
        Mapping[tuple[str, str], ResolvedImage],
    ],
    "Sequence[Finding]",
]
"""Looks at resolved stages, for the given platform and build arguments."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be built. `tags` holds the tags of each target, in the targets' order.

    `images` has the digests of base images, by name and platform; `arguments` are the build arguments.
    `artifacts` are the request's, with the labels of their stages; `checks` has the label and the last
    vertex ("" for an empty one) of each check stage.
    """

    graph: BuildGraph
    dockerfile: Dockerfile
    tags: tuple[tuple[str, ...], ...]
    proxies: dict[str, str]
    epoch: int | None
    images: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    checks: tuple[tuple[str, str], ...] = ()


def build_arguments(request: BuildRequest) -> dict[str, str]:
    """--build-arg with values; `--build-arg NAME` takes the caller's variable, or is left out."""
    out: dict[str, str] = {}
    for name, value in request.build_args.items():
        if value is None:
            value = request.environment.get(name)
        if value is not None:
            out[name] = value
    return out


def choose_targets(
    request: BuildRequest, stages: StageGraph
) -> tuple[list[StagePlan], list[tuple[str, ...]]]:
    """The stages to build and the tags of each: --target, `-t STAGE=NAME`, else the last stage."""
    wanted = [stages.find(name) for name in request.targets]
    tags: dict[int, list[str]] = {}
    plain: list[str] = []
    for tag in request.tags:
        stage, equals, name = tag.partition("=")
        if not equals:
            plain.append(tag)
            continue
        plan = stages.find(stage)
        wanted.append(plan)
        tags.setdefault(plan.stage.index, []).append(name)
    if not wanted or (plain and not request.targets):
        wanted.append(stages.plans[-1])
    unique = list({plan.stage.index: plan for plan in wanted}.values())
    if plain:
        named = [stages.find(name) for name in request.targets] or [stages.plans[-1]]
        owners = list({plan.stage.index: plan for plan in named}.values())
        if len(owners) > 1:
            owners = [plan for plan in owners if plan.stage.index not in tags] or owners
        if len(owners) > 1:
            raise UsageError(
                f"the tag {plain[0]!r} could go to {len(owners)} targets",
                hint=f"say which: -t {owners[0].label}={plain[0]}",
            )
        tags.setdefault(owners[0].stage.index, []).extend(plain)
    return unique, [tuple(tags.get(plan.stage.index, ())) for plan in unique]


def make_plan(
    request: BuildRequest,
    dockerfile: Dockerfile,
    contexts: Contexts,
    resolve: ResolveImage,
    pin: Callable[[Remote], HttpOp | GitOp],
    emit: Emit,
    now: Callable[[], float],
    checks: Checks | None = None,
    stamp: Callable[[str], str] = lambda name: "",
) -> Plan:
    """All between the parsed file and the solver. Raises DockerfileError and GraphError, or as `resolve`.

    `checks` are the rules of the linter, which may end the build here; `stamp` gives what stands for a
    secret's value in keys.
    """
    target = parse_platform(request.platform) if request.platform else native()
    arguments = build_arguments(request)
    scope = GlobalScope(arguments, platform_args(native(), target, ""))
    names = {*contexts.folders, *contexts.images} - {""}
    stages = build_stage_graph(dockerfile, scope, names, target)
    targets, tags = choose_targets(request, stages)
    checked = _check_stages(request, stages)
    beside, artifacts = _beside(request, stages, checked)
    scope = replace(scope, automatic=platform_args(native(), target, targets[-1].label))
    needed, images = _resolve_needed(
        stages, [*targets, *beside], contexts, resolve, dockerfile.escape, emit, now
    )
    for finding in checks(stages, targets, target, arguments, images) if checks is not None else ():
        emit(Warned(now(), finding.message, finding.location, finding.rule))
    settings = Settings(
        escape=dockerfile.escape,
        globals=scope,
        platform=target,
        network=request.network,
        hosts=request.hosts,
        labels=request.labels,
        no_cache=_forced(stages, request.no_cache),
        pin=pin,
        stamp=stamp,
    )
    graph = lower(stages, targets, needed, images, set(contexts.folders), settings, beside)
    for message, location in graph.warnings:
        emit(Warned(now(), message, location))
    _warn_unused(arguments, dockerfile, emit, now)
    _warn_unused_mounts(request, graph, emit, now)
    proxies = {name: value for name, value in arguments.items() if name in PROXIES}
    digests = {f"{image.name} {platform}": image.digest for (_, platform), image in images.items()}
    epoch = source_date_epoch(request, arguments)
    return Plan(
        graph,
        dockerfile,
        tuple(tags),
        proxies,
        epoch,
        digests,
        arguments,
        artifacts,
        graph.beside[: len(checked)],
    )


ALLOWABLE = ("network.host", "security.insecure")
"""What RUN gets only when the caller allows it (Dockerfile reference, RUN --network and RUN --security)."""


def refuse_unallowed(request: BuildRequest, graph: BuildGraph) -> None:
    """Raise GraphError for a RUN that asks for more than the request allows: files are written by anybody."""
    for name in request.allow:
        if name not in ALLOWABLE:
            raise UsageError(f"--allow {name} is not known", hint=" or ".join(ALLOWABLE))
    allowed = {*request.allow, *(["network.host"] if request.network == "host" else [])}
    for vertex in graph.vertices.values():
        op = vertex.op
        if not isinstance(op, RunOp):
            continue
        for name, flag, asked in (
            ("network.host", "--network=host", op.network == "host"),
            ("security.insecure", "--security=insecure", op.security == "insecure"),
        ):
            if asked and name not in allowed:
                raise GraphError(
                    f"RUN {flag} is not allowed in this build",
                    hint=f"if you trust the Dockerfile, build with --allow {name}",
                    location=vertex.location,
                )


def _check_stages(request: BuildRequest, stages: StageGraph) -> list[StagePlan]:
    """The check stages, in the order of the file. Raises GraphError for an unknown one."""
    if "*" in request.checks:
        return list(stages.plans)
    found = {stages.find(name, "check").stage.index for name in request.checks}
    return [stages.plans[index] for index in sorted(found)]


def _beside(
    request: BuildRequest, stages: StageGraph, checks: Sequence[StagePlan]
) -> tuple[list[StagePlan], tuple[Artifact, ...]]:
    """The stages that are built for something else than an image, each once, `checks` first; the artifacts.

    Raises GraphError for an unknown stage, and DockerfileError for a pattern that is none.
    """
    found = {plan.stage.index: plan for plan in checks}
    artifacts = []
    for artifact in request.artifacts:
        from jettison.dockerfile.glob import compiled

        compiled(artifact.path)
        plan = stages.find(artifact.stage)
        found[plan.stage.index] = plan
        artifacts.append(replace(artifact, stage=plan.label))
    return list(found.values()), tuple(artifacts)


def _forced(stages: StageGraph, names: Sequence[str]) -> frozenset[str]:
    """--no-cache as lowering takes it: labels of stages, and LABEL:LINE with an instruction's first line."""
    out: set[str] = set()
    for name in names:
        stage, colon, line = name.partition(":")
        if name == "*":
            out.add(name)
            continue
        # Stages without a name may go by the one that progress shows.
        shown = next((plan for plan in stages.plans if plan.label == stage), None)
        plans = (shown or stages.find(stage),) if stage else stages.plans
        out.add(_line_of(plans, line, name) if colon else plans[0].label)
    return frozenset(out)


def _line_of(plans: Sequence[StagePlan], line: str, written: str) -> str:
    """LABEL:LINE of the step that a line belongs to. Raises UsageError with the nearest step."""
    if not (line.isascii() and line.isdigit() and len(line) < 10):
        raise UsageError(
            f"--no-cache={written}: {line!r} is no line", hint="STAGE:LINE, for example builder:12"
        )
    steps = [
        (plan.label, item)
        for plan in plans
        for item in plan.stage.instructions
        if isinstance(item, (Add, Copy, Run, Workdir))
    ]
    for label, item in steps:
        if item.location.first_line <= int(line) <= item.location.last_line:
            return f"{label}:{item.location.first_line}"
    where = f"of the stage {plans[0].label} " if len(plans) == 1 else ""
    message = f"--no-cache={written}: no step {where}is in line {line}"
    if not steps:
        raise UsageError(message, hint="there are no steps at all")
    label, item = min(steps, key=lambda step: abs(step[1].location.first_line - int(line)))
    at = item.location.first_line
    raise UsageError(message, hint=f"the nearest is {item.text!r} in line {at}: --no-cache={label}:{at}")


def source_date_epoch(request: BuildRequest, arguments: Mapping[str, str]) -> int | None:
    """SOURCE_DATE_EPOCH (seconds) as a build argument, else from the caller's environment."""
    text = arguments.get("SOURCE_DATE_EPOCH") or request.environment.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    if not text.isdecimal() or int(text) > 253402300799:
        raise UsageError(
            f"SOURCE_DATE_EPOCH={text} is no time", hint="it is a whole number of seconds since 1970"
        )
    return int(text)


def _resolve_needed(
    stages: StageGraph,
    targets: Sequence[StagePlan],
    contexts: Contexts,
    resolve: ResolveImage,
    escape: str,
    emit: Emit,
    now: Callable[[], float],
) -> tuple[set[int], dict[tuple[str, str], ResolvedImage]]:
    """Find the images of all needed stages; triggers in an image may make further stages needed."""
    found: dict[tuple[str, str], ResolvedImage] = {}
    triggers: dict[int, Sequence[Instruction]] = {}
    while True:
        needed = stages.needed((plan.stage.index for plan in targets), triggers)
        missing: dict[tuple[str, str], _Wanted] = {}
        for index in sorted(needed):
            plan = stages.plans[index]
            for origin, location in stages.reads(index, triggers):
                image = origin.kind == "image" or (
                    origin.kind == "context" and origin.name in contexts.images
                )
                if image and origin.name and (origin.name, str(plan.platform)) not in found:
                    missing.setdefault(
                        (origin.name, str(plan.platform)), _Wanted(origin, plan.platform, location)
                    )
        found.update(_resolve_all(stages, missing, resolve, emit, now))
        before = len(triggers)
        for index in needed:
            plan = stages.plans[index]
            base = found.get((plan.base.name, str(plan.platform)))
            if base is not None and plan.base.kind != "stage" and index not in triggers:
                triggers[index] = image_triggers(base, plan, escape)
        if len(triggers) == before:
            return needed, found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image that some instruction names."""

    origin: Origin
    platform: Platform
    location: Location


def _resolve_all(
    stages: StageGraph,
    missing: Mapping[tuple[str, str], _Wanted],
    resolve: ResolveImage,
    emit: Emit,
    now: Callable[[], float],
) -> dict[tuple[str, str], ResolvedImage]:
    def one(wanted: _Wanted) -> ResolvedImage:
        try:
            base = resolve(wanted.origin, wanted.platform)
        except (SourceError, RegistryError, UsageError) as error:
            if error.location is None:
                error.location = wanted.location
            near = stages.near(wanted.origin.name)
            if near:
                error.hint = f"did you mean the stage {near!r}? {error.hint or ''}".strip()
            raise
        emit(BaseResolved(now(), base.name, base.digest, base.origin))
        return ResolvedImage(base.name, base.config, base.digest)

    found = side_by_side([partial(one, value) for value in missing.values()], _RESOLVERS)
    return dict(zip(missing, found, strict=True))


def _warn_unused(
    arguments: Mapping[str, str], dockerfile: Dockerfile, emit: Emit, now: Callable[[], float]
) -> None:
    from jettison.dockerfile.instructions import Arg

    declared = {name for arg in dockerfile.global_args for name, _ in arg.items}
    for stage in dockerfile.stages:
        declared |= {name for item in stage.instructions if isinstance(item, Arg) for name, _ in item.items}
    for name in arguments:
        if name not in declared and name not in _BUILTIN_ARGS and not name.startswith(("TARGET", "BUILD")):
            from difflib import get_close_matches

            close = get_close_matches(name, sorted(declared), n=1, cutoff=0.5)
            meant = f"; did you mean {close[0]}?" if close else ""
            emit(Warned(now(), f"the build argument {name} is not declared by any ARG{meant}"))


def _warn_unused_mounts(
    request: BuildRequest, graph: BuildGraph, emit: Emit, now: Callable[[], float]
) -> None:
    if not request.cache_mounts:
        return
    ops = [vertex.op for vertex in graph.vertices.values()]
    used = {mount.id for op in ops if isinstance(op, RunOp) for mount in op.mounts if mount.type == "cache"}
    for name in request.cache_mounts.keys() - used:
        there = f"; there are {', '.join(sorted(used))}" if used else ""
        emit(Warned(now(), f"--cache-mount id={name}: no step of this build has such a mount{there}"))


def parse_file(data: bytes, path: str) -> Dockerfile:
    """Parse a Dockerfile that must have at least one stage."""
    dockerfile = parse(data, path)
    if not dockerfile.stages:
        raise DockerfileError((Problem("no build stage: the file has no FROM", Location(path, 1, 1)),))
    return dockerfile

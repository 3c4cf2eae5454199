"""The stage graph: what every FROM and --from names, which stages a target needs, and what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

from jettison.dataclass import dataclass
from jettison.dockerfile.expand import expand
from jettison.dockerfile.instructions import Copy, Dockerfile, Instruction, Onbuild, Run, Stage
from jettison.errors import GraphError, UsageError
from jettison.graph.scope import GlobalScope
from jettison.location import Location
from jettison.oci.reference import parse as parse_reference
from jettison.platforms import Platform
from jettison.platforms import parse as parse_platform


@dataclass(frozen=True, slots=True)
class Origin:
    """What a FROM or --from names. `index` is a stage's, `name` an image's or a context's."""

    kind: Literal["stage", "image", "context", "scratch"]
    name: str = ""
    index: int = -1


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage with its base found. `label` is its name, or stage-N."""

    stage: Stage
    label: str
    base: Origin
    platform: Platform


@dataclass(frozen=True, slots=True)
class StageGraph:
    """All stages, in order, and what is looked up by name."""

    plans: tuple[StagePlan, ...]
    contexts: frozenset[str]

    def source(self, text: str, reader: StagePlan, location: Location) -> Origin:
        """What `--from=text` means inside the stage `reader`.

        Raises GraphError for the stage itself and for later ones.
        """
        named = context_named(text, self.contexts)
        if named is not None:
            return Origin("context", named)
        if text == "scratch":
            return Origin("scratch")
        own = reader.stage.index
        if re.fullmatch(r"[0-9]+", text):
            if int(text) >= own:
                raise GraphError(
                    f"invalid stage index {text}: stage {reader.label} can only read from stages before it",
                    hint=f"there are {own} stages before it, counted from 0"
                    if own
                    else "no stage comes before it",
                    location=location,
                )
            return Origin("stage", index=int(text))
        found = self._named(text, before=own)
        if found is not None:
            return Origin("stage", index=found.stage.index)
        later = self._named(text, before=len(self.plans))
        if later is not None:
            itself = later.stage.index == own
            what = (
                "is this stage itself"
                if itself
                else f"is defined later, at line {later.stage.location.first_line}"
            )
            raise GraphError(
                f"--from={text}: stage {text!r} {what}; a circular dependency between stages cannot be built",
                hint="a stage can read only from stages that come before it: move the stage up",
                location=location,
            )
        return Origin("image", text)

    def _named(self, name: str, before: int) -> StagePlan | None:
        name = name.lower()
        return next((p for p in reversed(self.plans[:before]) if p.stage.name == name), None)

    def find(self, target: str, what: str = "target") -> StagePlan:
        """The stage that `--target` means, or another option. Raises GraphError with the nearest name."""
        found = self._named(target, before=len(self.plans))
        if found is None and target.isdecimal() and int(target) < len(self.plans):
            found = self.plans[int(target)]
        if found is None:
            names = [plan.stage.name for plan in self.plans if plan.stage.name]
            raise GraphError(
                f"{what} stage {target!r} could not be found", hint=nearest(target.lower(), names)
            )
        return found

    def needed(self, roots: Iterable[int], extra: Mapping[int, Sequence[Instruction]]) -> set[int]:
        """All stages that the `roots` need. `extra` holds the triggers of stages' base images."""
        todo, seen = list(roots), set[int]()
        while todo:
            index = todo.pop()
            if index not in seen:
                seen.add(index)
                todo += [origin.index for origin, _ in self.reads(index, extra) if origin.kind == "stage"]
        return seen

    def reads(self, index: int, extra: Mapping[int, Sequence[Instruction]]) -> list[tuple[Origin, Location]]:
        """Everything that a stage is based on or copies or mounts from, and the instruction that says so."""
        plan = self.plans[index]
        out = [(plan.base, plan.stage.location)]
        for instruction in (*self.triggers(plan), *extra.get(index, ()), *plan.stage.instructions):
            place = instruction.location
            out += [(self.source(text, plan, place), place) for text in froms(instruction)]
        return out

    def near(self, name: str) -> str | None:
        """The stage that somebody who wrote `name` may have meant."""
        from difflib import get_close_matches

        names = [plan.stage.name for plan in self.plans if plan.stage.name]
        return next(iter(get_close_matches(name.lower(), names, n=1, cutoff=0.7)), None)

    def triggers(self, plan: StagePlan) -> list[Instruction]:
        """The ONBUILD instructions of the stage that a stage is based on."""
        if plan.base.kind != "stage":
            return []
        parent = self.plans[plan.base.index].stage
        return [item.instruction for item in parent.instructions if isinstance(item, Onbuild)]


def froms(instruction: Instruction) -> list[str]:
    """The --from texts of one instruction."""
    if isinstance(instruction, Copy):
        return [instruction.from_] if instruction.from_ else []
    if isinstance(instruction, Run):
        return [mount.from_ for mount in instruction.mounts if mount.from_]
    return []


def build_stage_graph(
    dockerfile: Dockerfile, scope: GlobalScope, contexts: Collection[str], platform: Platform
) -> StageGraph:
    """Expand every FROM with the global arguments and find what it is based on.

    Errors of a single FROM are raised only for stages that are needed: see `check_base`.
    """
    for arg in dockerfile.global_args:
        for name, default in arg.items:
            if default is not None:
                default = expand(default, scope.lookup, dockerfile.escape)
            scope.declare(name, default)
    plans: list[StagePlan] = []
    named: dict[str, int] = {}
    for stage in dockerfile.stages:
        base = expand(stage.base, scope.lookup, dockerfile.escape)
        text = expand(stage.platform, scope.lookup, dockerfile.escape) if stage.platform else ""
        plans.append(
            StagePlan(
                stage,
                stage.name or f"stage-{stage.index}",
                _base(base, named, contexts),
                _platform(stage, text) if stage.platform else platform,
            )
        )
        if stage.name:
            named[stage.name] = stage.index
    return StageGraph(tuple(plans), frozenset(contexts))


def _base(name: str, stages: Mapping[str, int], contexts: Collection[str]) -> Origin:
    """What a FROM names. `stages` are those above it, by name."""
    context = context_named(name, contexts)
    if context is not None:
        return Origin("context", context)
    found = stages.get(name.lower())
    if found is not None:
        return Origin("stage", name, found)
    return Origin("scratch") if name == "scratch" else Origin("image", name)


def context_named(text: str, contexts: Collection[str]) -> str | None:
    """The named context that a FROM or --from means. An image is one under all its names: x is x:latest."""
    if text in contexts:
        return text
    if not contexts or not text or (":" not in text and "/" not in text):
        return None
    try:
        familiar = parse_reference(text).familiar()
    except UsageError:
        return None
    return next((name for name in (familiar, familiar.removesuffix(":latest")) if name in contexts), None)


def _platform(stage: Stage, text: str) -> Platform:
    try:
        return parse_platform(text)
    except UsageError as error:
        raise GraphError(
            f"FROM --platform={stage.platform}: {error.message}", hint=error.hint, location=stage.location
        ) from error


def check_base(plan: StagePlan) -> None:
    """Raise GraphError where a needed stage has no base: an argument without a value, mostly."""
    if plan.base.kind == "image" and not plan.base.name:
        raise GraphError(
            f"base name {plan.stage.base!r} is empty: its arguments have no value",
            hint="give the ARG before the first FROM a default, or pass --build-arg",
            location=plan.stage.location,
        )


def nearest(word: str, names: Sequence[str]) -> str | None:
    """A did-you-mean sentence, or the list of what there is."""
    from difflib import get_close_matches

    close = get_close_matches(word, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"the stages are: {', '.join(names)}" if names else "no stage has a name"

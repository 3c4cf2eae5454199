"""What the store knows of the last build of a Dockerfile, stage by stage. Only records are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from jettison.cache.records import CacheRecord, find
from jettison.dockerfile.instructions import Add, Copy, Run, Workdir
from jettison.graph.stages import StageGraph, StagePlan
from jettison.picture.model import LastBuild, Outcome, State
from jettison.store.database import Database
from jettison.why import record
from jettison.why.base import Step

_FETCHED = ("source", "http", "git")
"""Kinds of steps that no stage owns."""


def last_build(
    db: Database, stages: StageGraph, targets: Sequence[StagePlan], folder: str, file: str
) -> LastBuild | None:
    """What became of each stage, and the way to the targets that took longest; None if nothing is known.

    Builds in which nothing ran are not remembered. `folder` and `file` are real paths.
    """
    number = record.latest(db, folder, file)
    if number is None:
        return None
    build = record.read(db, number)
    records = find(db, [step.key for step in build.steps])
    steps = [step for step in build.steps if step.op["type"] not in _FETCHED]
    built = {step.text for step in steps}
    labels = Counter(plan.label for plan in stages.plans)
    # Of two stages with one name it is not known which a step belongs to.
    ids = {plan.label: f"stage{plan.stage.index}" for plan in stages.plans if labels[plan.label] == 1}
    outcomes = {}
    for plan in stages.plans:
        own = [step for step in steps if step.stage == plan.label]
        if own and plan.label in ids:
            found = [records[step.key] for step in own if step.key in records]
            outcomes[ids[plan.label]] = _outcome(own, found, _same(plan, built))
    seconds = {key: one.seconds for key, one in records.items()}
    ends = {_with_steps(stages, plan, {step.stage for step in steps}) for plan in targets}
    path, total = critical_path(build.steps, seconds, ends)
    return LastBuild(build.at, outcomes, tuple(ids[label] for label in path if label in ids), total)


def _with_steps(stages: StageGraph, plan: StagePlan, known: Collection[str]) -> str:
    """The stage whose steps are the last ones of a target: that itself, or what it is merely a name for."""
    while plan.label not in known and plan.base.kind == "stage":
        plan = stages.plans[plan.base.index]
    return plan.label


def critical_path(
    steps: Sequence[Step], seconds: Mapping[str, float], ends: Collection[str]
) -> tuple[list[str], float]:
    """The stages of those steps that waited for each other longest, up to one of the stages `ends`.

    `steps` are in building order, `seconds` by key. Gives the stages in order, and the time altogether.
    """
    total: dict[str, float] = {}
    before: dict[str, str] = {}
    stage = {step.id: step.stage for step in steps}
    for step in steps:
        before[step.id] = max(step.inputs, key=lambda name: total[name], default="")
        total[step.id] = seconds.get(step.key, 0.0) + total.get(before[step.id], 0.0)
    last = max((step.id for step in steps if step.stage in ends), key=lambda name: total[name], default="")
    path: list[str] = []
    name = last
    while name and total[name]:
        path.append(stage[name])
        name = before[name]
    return list(dict.fromkeys(reversed(path))), total.get(last, 0.0)


def _same(plan: StagePlan, built: Collection[str]) -> bool:
    """Whether every step that the stage has now was in that build."""
    kinds = (Add, Copy, Run, Workdir)
    texts = (item.text for item in plan.stage.instructions if isinstance(item, kinds))
    return all(" ".join(text.split()) in built for text in texts)


def _outcome(steps: Sequence[Step], records: Sequence[CacheRecord], same: bool) -> Outcome:
    state: State = ""
    if not same:
        state = "changed"
    elif any(step.state == "failed" for step in steps):
        state = "failed"
    elif any(step.ran for step in steps):
        state = "ran"
    elif all(step.state == "cached" for step in steps):
        state = "cached"
    if not records or not same:
        return Outcome(state)
    return Outcome(state, sum(one.seconds for one in records), sum(one.size for one in records))

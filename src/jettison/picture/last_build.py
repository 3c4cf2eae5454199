"""What the store knows of the last build of a Dockerfile, stage by stage. Only records are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from jettison.cache.records import CacheRecord, find
from jettison.dockerfile.instructions import Add, Copy, Run, Workdir
from jettison.graph.stages import StageGraph, StagePlan
from jettison.picture.model import Outcome, State
from jettison.store.database import Database
from jettison.why import record
from jettison.why.base import Step


def last_build(
    db: Database, stages: StageGraph, folder: str, file: str
) -> tuple[dict[str, Outcome], float] | None:
    """What became of each stage, by the node's id, and when; None if no build of this file is remembered.

    Builds in which nothing ran are not remembered. `folder` and `file` are real paths.
    """
    number = record.latest(db, folder, file)
    if number is None:
        return None
    build = record.read(db, number)
    steps = [step for step in build.steps if step.op["type"] not in ("source", "http", "git")]
    records = find(db, [step.key for step in steps])
    built = {step.text for step in steps}
    labels = Counter(plan.label for plan in stages.plans)
    outcomes = {}
    for plan in stages.plans:
        own = [step for step in steps if step.stage == plan.label]
        # Of two stages with one name it is not known which a step belongs to.
        if own and labels[plan.label] == 1:
            found = [records[step.key] for step in own if step.key in records]
            outcomes[f"stage{plan.stage.index}"] = _outcome(own, found, _same(plan, built))
    return outcomes, build.at


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

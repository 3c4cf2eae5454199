"""Which step of an earlier build a step is: the same place in the same stage, whatever came in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from jettison.why.base import Build, Step

_ALIKE = 0.5
_NEAR = 30
"""How many steps are looked at for one that may be the same: Dockerfiles with thousands of steps exist."""


def pairs(new: Build, old: Build) -> dict[str, Step]:
    """The step of the old build for every step of the new one that has one, by id."""
    ours, theirs = _by_stage(new), _by_stage(old)
    out: dict[str, Step] = {}
    for stage, other in _stages(ours, theirs).items():
        out.update((mine.id, its) for mine, its in _aligned(ours[stage], theirs[other]))
    return out


def _by_stage(build: Build) -> dict[str, list[Step]]:
    out: dict[str, list[Step]] = {}
    for step in build.steps:
        out.setdefault(step.stage, []).append(step)
    return out


def _stages(ours: dict[str, list[Step]], theirs: dict[str, list[Step]]) -> dict[str, str]:
    """Pairs of stages: those of one name, then those that have most instructions in common."""
    out = {name: name for name in ours if name in theirs and not name.startswith("stage-")}
    for name in ours:
        if name in out:
            continue
        own = Counter(step.text for step in ours[name])
        free = [other for other in theirs if other not in out.values()]
        shared = {other: sum((own & Counter(s.text for s in theirs[other])).values()) for other in free}
        best = max(free, key=lambda other: (shared[other], other == name), default=None)
        if best is not None and (shared[best] or best == name):
            out[name] = best
    return out


def _aligned(ours: Sequence[Step], theirs: Sequence[Step]) -> list[tuple[Step, Step]]:
    matcher = SequenceMatcher(None, [s.text for s in ours], [s.text for s in theirs], autojunk=False)
    out: list[tuple[Step, Step]] = []
    for how, a, b, c, d in matcher.get_opcodes():
        if how == "equal" or (how == "replace" and b - a == d - c):
            out += [pair for pair in zip(ours[a:b], theirs[c:d], strict=True) if _same_type(*pair)]
        elif how == "replace":
            rest = list(theirs[c:d])
            for mine in ours[a:b]:
                found = max(rest[:_NEAR], key=lambda its: _likeness(mine, its), default=None)
                if found is not None and _likeness(mine, found) >= _ALIKE:
                    out.append((mine, found))
                    rest = rest[rest.index(found) + 1 :]
    return out


def _same_type(mine: Step, its: Step) -> bool:
    return bool(mine.op["type"] == its.op["type"])


def _likeness(mine: Step, its: Step) -> float:
    return SequenceMatcher(None, mine.text, its.text).ratio() if _same_type(mine, its) else 0.0

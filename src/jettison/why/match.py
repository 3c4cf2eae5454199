"""Which steps are meant: the same ones of another build, whatever came in between, or what a word names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Protocol, TypeVar

from jettison.errors import NotFound

_ALIKE = 0.5
_NEAR = 30
"""How many steps are looked at for one that may be the same: Dockerfiles with thousands of steps exist."""


class StepLike(Protocol):
    """A step, as far as others are found by it. `lines` are its first and last one."""

    @property
    def id(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def lines(self) -> tuple[int, int]: ...


AnyStep = TypeVar("AnyStep", bound=StepLike)


def chosen(steps: Sequence[AnyStep], wanted: str, hint: str) -> list[AnyStep]:
    """The steps that a word means: of a stage, of a line (STAGE:LINE), or with a part of their text.

    Raises NotFound with the nearest name, or else the `hint`.
    """
    stage, colon, line = wanted.rpartition(":")
    if colon and line.isascii() and line.isdigit():
        at = int(line)
        found = [s for s in steps if s.stage == stage.lower() and s.lines[0] <= at <= s.lines[1]]
    else:
        found = [step for step in steps if step.stage == wanted.lower()]
    found = found or [step for step in steps if " ".join(wanted.lower().split()) in step.text.lower()]
    if not found:
        from difflib import get_close_matches

        names = list(dict.fromkeys([*(step.stage for step in steps), *(step.text for step in steps)]))
        near = get_close_matches(wanted, names, n=1, cutoff=0.4)
        raise NotFound(
            f"no step of the build fits {wanted!r}", hint=f"did you mean {near[0]!r}?" if near else hint
        )
    return found


def pairs(new: Sequence[AnyStep], old: Sequence[AnyStep]) -> dict[str, AnyStep]:
    """The step of the old build for every step of the new one that has one, by id."""
    ours, theirs = _by_stage(new), _by_stage(old)
    out: dict[str, AnyStep] = {}
    for stage, other in _stages(ours, theirs).items():
        out.update((mine.id, its) for mine, its in _aligned(ours[stage], theirs[other]))
    return out


def _by_stage(steps: Sequence[AnyStep]) -> dict[str, list[AnyStep]]:
    out: dict[str, list[AnyStep]] = {}
    for step in steps:
        out.setdefault(step.stage, []).append(step)
    return out


def _stages(ours: dict[str, list[AnyStep]], theirs: dict[str, list[AnyStep]]) -> dict[str, str]:
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


def _aligned(ours: Sequence[AnyStep], theirs: Sequence[AnyStep]) -> list[tuple[AnyStep, AnyStep]]:
    matcher = SequenceMatcher(None, [s.text for s in ours], [s.text for s in theirs], autojunk=False)
    out: list[tuple[AnyStep, AnyStep]] = []
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


def _same_type(mine: StepLike, its: StepLike) -> bool:
    return mine.kind == its.kind


def _likeness(mine: StepLike, its: StepLike) -> float:
    return SequenceMatcher(None, mine.text, its.text).ratio() if _same_type(mine, its) else 0.0

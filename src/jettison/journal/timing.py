"""Where the time of a build went: what took longest one after the other, and what waited for what."""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.journal.base import PastBuild

_LEAST = 0.01
"""Seconds: a step that took less is not worth naming, as those that were found in the cache on the way."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Seconds that a step waited: for the step `last` (an id, "" for none), then for a free slot."""

    last: str
    inputs: float
    slot: float


@dataclass(frozen=True, slots=True)
class Timing:
    """`path` has the ids of the steps that took longest together, each needed by the next: `total` s."""

    path: tuple[str, ...]
    total: float
    waits: dict[str, Wait]


def timing(build: PastBuild) -> Timing:
    """Work it out of the times of the steps. Those that were in the cache waited for nothing."""
    began = max((span.ended for span in build.spans if span.kind in ("plan", "look up")), default=0.0)
    steps = {step.id: step for step in build.steps}
    total: dict[str, float] = {}
    before: dict[str, str] = {}
    waits: dict[str, Wait] = {}
    for step in sorted(build.steps, key=lambda one: (one.ended, one.number)):
        inputs = [name for name in step.inputs if name in total]
        before[step.id] = max(inputs, key=lambda name: total[name], default="")
        total[step.id] = step.seconds + total.get(before[step.id], 0.0)
        if step.state != "cached":
            last = max(inputs, key=lambda name: steps[name].ended, default="")
            ready = max(began, steps[last].ended) if last else began
            waits[step.id] = Wait(last, ready - began, max(step.started - ready, 0.0))
    end = max(total, key=lambda name: total[name], default="")
    path: list[str] = []
    name = end
    while name:
        if steps[name].seconds >= _LEAST:
            path.append(name)
        name = before[name]
    return Timing(tuple(reversed(path)), total.get(end, 0.0), waits)

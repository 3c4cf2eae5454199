"""Where time and bytes of a build went, as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jettison.cli.table import rows, size_text
from jettison.journal.base import PastBuild, PastStep
from jettison.journal.timing import Timing, timing
from jettison.progress.lines import duration

LONGEST = 5
"""Steps that the short table shows, besides the critical path."""

_NAME = 60
_SHARE = 0.02
"""Of the build's time: what takes less is not shown as part of the critical path in the short table."""
_WORTH = 0.05
"""Seconds that somebody has to wait to be told."""


def short_table(build: PastBuild) -> str:
    """The longest steps and the critical path."""
    times = timing(build)
    ran = [step for step in build.steps if step.state not in ("cached", "running")]
    longest = sorted(ran, key=lambda step: -step.seconds)[:LONGEST]
    least = _SHARE * build.seconds
    shown = {step.id for step in longest if step.seconds >= _WORTH}
    shown |= {step.id for step in ran if step.id in times.path and step.seconds >= least}
    table = _steps([step for step in build.steps if step.id in shown], times)
    more = f"; jettison builds show {build.name}" if build.number else ""
    return f"{table}{_foot(build, times)}{more}\n" if shown else f"{_foot(build, times)}{more}\n"


def full_table(build: PastBuild) -> str:
    """All steps, the stages, and what else took time."""
    times = timing(build)
    out = _steps(build.steps, times) + _foot(build, times) + "\n"
    if len(stages := _stages(build)) > 1:
        out += "\n" + rows(["STAGE", "STEPS", "CACHED", "TIME", "ADDED"], stages)
    others = [
        [f"{span.kind} {cut(span.name)}", duration(span.ended - span.started), _bytes(span.size)]
        for span in build.spans
        if span.kind == "download" or span.ended - span.started >= _WORTH
    ]
    if others:
        out += "\n" + rows(["BESIDES", "TIME", "SIZE"], others)
    return out


def cut(text: str) -> str:
    """A name in one line of bounded length."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _NAME else text[: _NAME - 1] + "…"


def time_of(step: PastStep) -> str:
    """How long a step took, or what became of it."""
    if step.state == "cached":
        return "cached"
    text = duration(step.seconds)
    return text if step.state == "ran" else f"{text} {step.state}"


def _steps(steps: Iterable[PastStep], times: Timing) -> str:
    numbers = {step.id: step.number for step in steps}
    lines = [
        [
            f"{'*' if step.id in times.path else ' '} #{step.number}",
            cut(step.name),
            time_of(step),
            _bytes(step.size),
            _waited(step, times, numbers),
        ]
        for step in steps
    ]
    return rows(["", "STEP", "TIME", "ADDED", "WAITED"], lines)


def _bytes(size: int) -> str:
    return size_text(size) if size else ""


def _waited(step: PastStep, times: Timing, numbers: dict[str, int]) -> str:
    """What a step waited for, the longer of the two first."""
    wait = times.waits.get(step.id)
    if wait is None:
        return ""
    whom = f"#{numbers[wait.last]}" if wait.last in numbers else "others"
    said = [(wait.inputs, f"{duration(wait.inputs)} for {whom}")] if wait.last else []
    said.append((wait.slot, f"{duration(wait.slot)} for a free slot"))
    return ", ".join(text for seconds, text in sorted(said, reverse=True) if seconds >= _WORTH)


def _foot(build: PastBuild, times: Timing) -> str:
    added = sum(step.size for step in build.steps if step.state == "ran")
    parts = [f"{build.ran} run, {build.cached} cached"]
    if added:
        parts.append(f"{size_text(added)} added")
    path = f"* critical path: {duration(times.total)} of {duration(build.seconds)}"
    return "; ".join([path, *parts] if times.path else parts)


def _stages(build: PastBuild) -> Sequence[Sequence[str]]:
    names = dict.fromkeys(step.stage for step in build.steps)
    out = []
    for name in names:
        own = [step for step in build.steps if step.stage == name]
        cached = sum(step.state == "cached" for step in own)
        size = sum(step.size for step in own if step.state == "ran")
        seconds = duration(sum(step.seconds for step in own))
        out.append([name or "-", str(len(own)), str(cached or ""), seconds, _bytes(size)])
    return out

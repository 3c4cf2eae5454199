"""A build as a trace that Chrome and Perfetto show: stages are rows, arrows lead to what needed a step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jettison.journal.base import PastBuild, PastStep, Span

_ROWS = {"plan": "build", "look up": "build", "download": "downloads", "export": "exports"}
_PID = 1


class _Rows:
    """Rows by name. What overlaps with what is in a row already comes into another one of that name."""

    def __init__(self) -> None:
        self._ends: dict[str, list[float]] = {}
        self._ids: dict[tuple[str, int], int] = {}
        self.names: dict[int, str] = {}

    def place(self, name: str, started: float, ended: float) -> int:
        """The number of the row for something."""
        ends = self._ends.setdefault(name, [])
        lane = next((i for i, end in enumerate(ends) if end <= started), len(ends))
        ends[lane : lane + 1] = [ended]
        row = self._ids.setdefault((name, lane), len(self._ids) + 1)
        self.names[row] = name if not lane else f"{name} ({lane + 1})"
        return row


def trace(build: PastBuild) -> dict[str, Any]:
    """The document, in Chrome's trace event format. Times in it are microseconds since the build began."""
    rows = _Rows()
    events: list[dict[str, Any]] = []
    places: dict[str, dict[str, Any]] = {}
    for span in build.spans:
        row = rows.place(_ROWS.get(span.kind, span.kind), span.started, span.ended)
        events.append(_span(span, row))
    for step in sorted(build.steps, key=lambda one: (one.started, one.ended)):
        places[step.id] = _step(step, rows.place(step.stage or "steps", step.started, step.ended))
    events += places.values()
    events += _arrows(build.steps, places)
    title = f"jettison {build.name}" if build.number else "jettison"
    names = [{"ph": "M", "pid": _PID, "name": "process_name", "args": {"name": title}}]
    names += [
        {"ph": "M", "pid": _PID, "tid": row, "name": "thread_name", "args": {"name": name}}
        for row, name in rows.names.items()
    ]
    return {
        "displayTimeUnit": "ms",
        "otherData": {"build": build.name if build.number else "", "began": build.at, "state": build.state},
        "traceEvents": [*names, *events],
    }


def _step(step: PastStep, row: int) -> dict[str, Any]:
    given = {"stage": step.stage, "state": step.state, "lines": list(step.lines), "bytes added": step.size}
    if step.error:
        given["error"] = step.error
    return _event(step.name, step.state, row, step.started, step.ended, given)


def _span(span: Span, row: int) -> dict[str, Any]:
    return _event(f"{span.kind}: {span.name}", span.kind, row, span.started, span.ended, {"bytes": span.size})


def _event(
    name: str, category: str, row: int, started: float, ended: float, given: dict[str, Any]
) -> dict[str, Any]:
    out = {"name": name, "cat": category, "pid": _PID, "tid": row, "ts": _micro(started), "args": given}
    if _micro(ended) > _micro(started):
        return {**out, "ph": "X", "dur": _micro(ended) - _micro(started)}
    return {**out, "ph": "i", "s": "t"}


def _arrows(steps: Iterable[PastStep], places: dict[str, dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """From the end of each step to the beginning of those that needed it, where both took time."""
    number = 0
    for step in steps:
        end = places[step.id]
        for name in step.inputs:
            begin = places.get(name)
            if begin is None or begin["ph"] != "X" or end["ph"] != "X":
                continue
            number += 1
            arrow = {"name": "needed by", "cat": "needs", "id": number, "pid": _PID}
            # An arrow begins inside of what it comes from.
            yield {**arrow, "ph": "s", "tid": begin["tid"], "ts": begin["ts"] + begin["dur"] - 1}
            yield {**arrow, "ph": "f", "bp": "e", "tid": end["tid"], "ts": end["ts"]}


def _micro(seconds: float) -> int:
    return round(seconds * 1_000_000)

"""What came of the check stages of a build: whether each was built, and what its test reports say."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import BinaryIO

from jettison import junit
from jettison.dataclass import fields
from jettison.errors import Cancelled, JettisonError
from jettison.events import CheckFinished, Emit, Warned
from jettison.executor.local import LocalExecutor
from jettison.exporters.artifacts import files_of
from jettison.planning import Plan
from jettison.solver.base import Layers
from jettison.solver.solve import Trace
from jettison.solver.state import needed_below
from jettison.verdict import STOPPED, Verdict

_LARGEST = 64 << 20
"""Bytes of a report."""
_MOST_FILES, _MOST_BYTES = 1000, 256 << 20
"""Of a stage, that are looked at."""


def reach_verdicts(
    plan: Plan, trace: Trace, executor: LocalExecutor, hide: Callable[[str], str]
) -> tuple[Verdict, ...]:
    """Tell of every check stage what came of it, when nothing of the build runs any more.

    `hide` masks secrets. Reports that cannot be read are warnings.
    """
    verdicts = []
    for stage, end in plan.checks:
        report = _report(plan, stage, trace.results, executor)
        verdict = _verdict(plan, stage, end, trace, report, hide)
        executor.emit(
            CheckFinished(time.time(), *(getattr(verdict, field.name) for field in fields(verdict)))
        )
        verdicts.append(verdict)
    return tuple(verdicts)


def _verdict(
    plan: Plan, stage: str, end: str, trace: Trace, report: junit.Report, hide: Callable[[str], str]
) -> Verdict:
    vertices = plan.graph.vertices
    needed = needed_below(plan.graph, [end], {})
    # A step that two stages have in common goes by the name of the first.
    own = [name for name in needed if vertices[name].stage == stage] or [end]
    ok = not end or end in trace.results
    return Verdict(
        stage,
        ok,
        sum(trace.seconds.get(name, 0.0) for name in own),
        ok and all(trace.states.get(name, "cached") == "cached" for name in own),
        "" if ok else hide(_why(needed, trace)),
        report.files,
        report.tests,
        report.failures,
        report.errors,
        report.skipped,
        report.seconds,
        tuple(map(hide, report.failing)),
    )


def _why(needed: Collection[str], trace: Trace) -> str:
    """What ended a stage, or one that it needs."""
    for name, error in trace.errors.items():
        if name in needed and not isinstance(error, Cancelled):
            return error.message if isinstance(error, JettisonError) else repr(error)
    return STOPPED


def _report(plan: Plan, stage: str, results: Mapping[str, Layers], executor: LocalExecutor) -> junit.Report:
    """What the JUnit files among the artifacts of a stage say, each file once."""
    out, emit = junit.Report(), executor.emit
    seen: set[str] = set()
    left = _MOST_BYTES
    for artifact in plan.artifacts:
        if artifact.stage != stage:
            continue
        try:
            for path, size, opened in files_of(
                artifact, plan.graph, results, executor.failed, executor.store
            ):
                if path in seen or not path.lower().endswith(".xml"):
                    continue
                left -= min(size, _LARGEST)
                if len(seen) == _MOST_FILES or left < 0:
                    emit(Warned(time.time(), f"{stage}: there are too many reports; some are not counted"))
                    return out
                seen.add(path)
                _add(out, stage, path, opened, emit)
        except (JettisonError, OSError) as error:
            text = error.message if isinstance(error, JettisonError) else str(error)
            emit(Warned(time.time(), f"{stage}: its test reports cannot be read: {text}"))
    return out


def _add(report: junit.Report, stage: str, path: str, opened: Callable[[], BinaryIO], emit: Emit) -> None:
    try:
        with opened() as file:
            one = junit.read(file, _LARGEST)
    except junit.NotReadable as problem:
        emit(Warned(time.time(), f"{stage}: /{path} is no test report that can be read: {problem}"))
        return
    if one is not None:
        report.add(one)

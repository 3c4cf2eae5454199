"""The journal of a build that runs: it takes the events, writes the logs, and at the end the history."""

from __future__ import annotations

import time

from jettison.dataclass import replace
from jettison.errors import Cancelled, JettisonError, StepFailed
from jettison.events import (
    BuildNamed,
    Emit,
    Event,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    Warned,
)
from jettison.graph.vertex import BuildGraph
from jettison.journal import keep
from jettison.journal.base import BuildState, PastBuild, PastStep, build_name
from jettison.journal.logs import LogFolder, path_of
from jettison.journal.recorder import Recorder
from jettison.progress.jsonl import encode
from jettison.solver.solve import Trace
from jettison.store.store import Store


class Journal:
    """Nothing that goes wrong here ends a build: it is a warning, once.

    `began` is when the build did, in seconds since the epoch; `place` its context and its Dockerfile. `emit`
    is told the build's name, and of what goes wrong. `trace` is read at the end.
    """

    def __init__(
        self,
        store: Store,
        began: float,
        place: tuple[str, str],
        graph: BuildGraph,
        emit: Emit,
        trace: Trace,
    ) -> None:
        self.recorder = Recorder(began)
        self._store = store
        self._place = place
        self._targets = tuple(target.name for target in graph.targets)
        self._graph = graph
        self._emit = emit
        self._trace = trace
        self._number = 0
        self._logs: LogFolder | None = None
        try:
            self._number = keep.begin(store.db, began, place, self._targets)
            self._logs = LogFolder(keep.log_folder(store, self._number))
            emit(BuildNamed(time.time(), self.name, self._logs.path))
        except (JettisonError, OSError) as error:
            self._warn(error)

    @property
    def name(self) -> str:
        """What the history calls the build; "" if that could not be written."""
        return build_name(self._number) if self._number else ""

    @property
    def counts(self) -> tuple[int, int]:
        """How many steps ran, and how many were in the cache."""
        return self.recorder.ran, self.recorder.cached

    def emit(self, event: Event) -> None:
        """Take one event. To be called by one thread at a time."""
        self.recorder.emit(event)
        if self._logs is None:
            return
        try:
            if isinstance(event, StepOutput):
                self._logs.write(self.recorder.number(event.step), event.data)
            elif not isinstance(event, StepProgress):
                self._logs.note(encode(event))
            if isinstance(event, StepRetried):
                self._logs.mark(self.recorder.number(event.step), event.mark)
            if isinstance(event, StepFinished):
                self._logs.ended(self.recorder.number(event.step))
        except OSError as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        text = error.message if isinstance(error, JettisonError) else str(error)
        self._emit(Warned(time.time(), f"the logs of this build are not whole: {text}"))

    def end(self, error: BaseException | None) -> None:
        """Write the history. An error of a step learns where its log is."""
        steps = self._steps()
        failed = _failed(steps, error)
        folder = keep.log_folder(self._store, self._number)
        for one in (error, *error.others) if isinstance(error, JettisonError) and self._number else ():
            step = _failed(steps, one)
            if isinstance(one, StepFailed) and step is not None:
                one.build, one.number = self.name, step.number
                one.log = path_of(folder, step.number)
        build = PastBuild(
            self._number, self.recorder.began, time.time() - self.recorder.began, *self._place,
            self._targets, _state(error), *self.counts, _text(error), self._trace.kept,
            steps, self.recorder.spans(),
        )  # fmt: skip
        try:
            if self._number:
                keep.finish(self._store.db, build)
            if self._logs is not None:
                logs, self._logs = self._logs, None
                logs.close(failed.number if failed is not None else 0)
                keep.trim(self._store, self._number)
        except (JettisonError, OSError) as problem:
            self._warn(problem)

    def _steps(self) -> tuple[PastStep, ...]:
        """The steps that were heard of, in building order, with what only the graph and the solver know."""
        found = {step.id: step for step in self.recorder.steps()}
        out = []
        for vertex in self._graph.vertices.values():
            step = found.get(vertex.short)
            if step is not None:
                lines = (vertex.location.first_line, vertex.location.last_line) if vertex.location else (0, 0)
                layers = self._trace.results.get(vertex.id)
                out.append(replace(step, lines=lines, result=layers[-1] if layers else ""))
        return tuple(out)


def _failed(steps: tuple[PastStep, ...], error: BaseException | None) -> PastStep | None:
    """The step that an error is about; of several that failed, the one that it names."""
    failed = [step for step in steps if step.state == "failed"]
    named = [step for step in failed if isinstance(error, JettisonError) and step.error == error.message]
    return next(iter(named or failed), None)


def _state(error: BaseException | None) -> BuildState:
    if error is None:
        return "done"
    return "cancelled" if isinstance(error, (Cancelled, KeyboardInterrupt)) else "failed"


def _text(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = error.message if isinstance(error, JettisonError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]

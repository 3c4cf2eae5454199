"""Events in, the steps of a build with their times out."""

from __future__ import annotations

from jettison.dataclass import dataclass, field
from jettison.events import (
    ASIDE,
    CONTEXT,
    COPYING,
    BuildFinished,
    BuildNamed,
    BuildStarted,
    Event,
    Exported,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
)
from jettison.journal.base import BuildState, PastBuild, PastStep, Span, StepState, number_of


@dataclass(slots=True)
class _Step:
    number: int
    id: str
    name: str = ""
    stage: str = ""
    lines: tuple[int, int] = (0, 0)
    state: StepState = "running"
    started: float = 0.0
    ended: float = 0.0
    size: int = 0
    inputs: tuple[str, ...] = ()
    error: str = ""
    log: int = 0


@dataclass(slots=True)
class _Load:
    """A download or an upload: its first and last sign of life, and how far it came."""

    label: str
    step: str
    started: float
    ended: float
    size: int


@dataclass(slots=True)
class Recorder:
    """Takes the events of one build, in their order. `began` is when it did, in seconds since the epoch."""

    began: float
    targets: tuple[str, ...] = ()
    ended: float = 0.0
    ran: int = 0
    cached: int = 0
    _steps: dict[str, _Step] = field(default_factory=dict)
    _spans: list[Span] = field(default_factory=list)
    _loads: dict[tuple[str, str], _Load] = field(default_factory=dict)
    _name: str = ""
    _state: BuildState = "running"
    _error: str = ""
    _seconds: float = 0.0
    _last: float = 0.0
    """When the last thing ended that an export has to wait for."""

    def number(self, step: str) -> int:
        """The number of a step: the first that is heard of is 1, as in plain progress."""
        return self._step(step).number

    def _step(self, step: str) -> _Step:
        found = self._steps.get(step)
        if found is None:
            found = self._steps[step] = _Step(len(self._steps) + 1, step)
        return found

    def emit(self, event: Event) -> None:
        """Take in one event."""
        at = self.ended = max(event.at - self.began, self.ended)
        match event:
            case StepOutput():
                self._step(event.step).log += len(event.data)
            case StepStarted():
                self._begun(event)
            case StepFinished():
                self._finished(event, at)
            case StepProgress():
                self._progress(event, at)
            case BuildStarted():
                self.targets = event.targets
                self._spans.append(Span("plan", "reading the Dockerfile, base images", "", 0.0, at, 0))
                self._last = at
            case BuildNamed():
                self._name = event.build
            case BuildFinished():
                self._state, self._error = "failed" if event.error else "done", event.error
                self._seconds = event.seconds
            case Exported():
                name = " ".join(filter(None, (event.kind, event.target, event.destination)))
                self._spans.append(Span("export", name, "", self._last, at, event.size))
                self._last = at

    def _begun(self, event: StepStarted) -> None:
        # It says when the step began, which may be a while ago: others had to make way first.
        at = max(event.at - self.began, 0.0)
        self._looked_up(at)
        step = self._step(event.step)
        step.name, step.stage, step.started = event.name, event.stage, at
        if event.location is not None:
            step.lines = (event.location.first_line, event.location.last_line)

    def _finished(self, event: StepFinished, at: float) -> None:
        self._looked_up(max(at - event.seconds, 0.0))
        step = self._step(event.step)
        step.name, step.stage, step.error = event.name, event.stage, event.error
        step.started, step.ended = max(at - event.seconds, 0.0), at
        step.size, step.inputs = event.size, event.inputs
        if event.error:
            step.state = "cancelled" if event.cancelled else "failed"
        elif event.cached:
            step.state = "cached"
            self.cached += 1
        else:
            step.state = "ran"
            self.ran += 1
        self._last = at

    def _looked_up(self, at: float) -> None:
        """The keys of all steps are made before the first of them is heard of."""
        if len(self._spans) == 1 and not any(step.name for step in self._steps.values()):
            began = self._spans[0].ended
            self._spans.append(Span("look up", "hashing the context, looking up steps", "", began, at, 0))

    def _progress(self, event: StepProgress, at: float) -> None:
        if event.step not in ASIDE:
            self._step(event.step)
        elif event.step != CONTEXT:
            # Its time is in the span of the export, or of the look at all keys, that it belongs to.
            return
        if event.label == COPYING:
            return
        key = (event.step, event.label)
        load = self._loads.get(key)
        if load is None:
            load = self._loads[key] = _Load(event.label, event.step, at, at, 0)
        load.ended, load.size = at, max(load.size, event.done)

    def build(self) -> PastBuild:
        """The build as far as it has come, for whoever has no history to ask. It has no place."""
        number = number_of(self._name) or 0
        seconds = max(self._seconds, self.ended)
        return PastBuild(
            number, self.began, seconds, "", "", self.targets, self._state, self.ran, self.cached,
            self._error, 0, self.steps(), self.spans(),
        )  # fmt: skip

    def steps(self) -> tuple[PastStep, ...]:
        """All steps so far, in the order in which they were heard of."""
        return tuple(
            PastStep(
                step.number, step.id, step.name, step.stage, step.lines, step.state, step.started,
                step.ended if step.state != "running" else self.ended,
                step.size, step.inputs, step.error, step.log,
            )
            for step in self._steps.values()
            if step.name
        )  # fmt: skip

    def spans(self) -> tuple[Span, ...]:
        """What else took time, in order of its beginning."""
        loads = [
            Span("download", load.label, load.step, load.started, load.ended, load.size)
            for load in self._loads.values()
        ]
        return tuple(sorted([*self._spans, *loads], key=lambda span: span.started))

"""What is going on in a build, out of its events: no clock, no terminal.

Events come by the ten thousand, frames eight times a second: `Live.take` only notes things,
and whoever draws a frame works out what they mean.
"""

from __future__ import annotations

from jettison.events import (
    BuildStarted,
    Event,
    Exported,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepStarted,
)
from jettison.progress.cells import safe
from jettison.progress.lines import readable

_TAIL = 4096
"""Bytes that are kept of what a step wrote."""
_SAMPLE, _SAMPLES = 0.5, 10
"""Rates are of the last five seconds: a sample each half of a second."""


class Transfer:
    """Bytes that are on their way: of one step, all that it fetches."""

    __slots__ = ("_known", "_parts", "_samples", "_unknown", "done", "label")

    def __init__(self) -> None:
        self.label = ""
        self.done = self._known = self._unknown = 0
        self._parts: dict[str, tuple[int, int]] = {}
        self._samples: list[tuple[float, int]] = []

    def take(self, event: StepProgress) -> None:
        """One part is further than it was."""
        self.label = event.label
        done, total = self._parts.get(event.label, (0, -1))
        self._parts[event.label] = (event.done, event.total)
        self.done += event.done - done
        self._known += event.total - max(total, 0)
        self._unknown += (event.total == 0) - (total == 0)
        if not self._samples or event.at - self._samples[-1][0] >= _SAMPLE:
            self._samples = [*self._samples[-_SAMPLES:], (event.at, self.done)]

    @property
    def total(self) -> int:
        """Bytes of all parts together; 0 while nobody knows."""
        return 0 if self._unknown else self._known

    @property
    def over(self) -> bool:
        """Whether all of it has arrived."""
        return 0 < self.total <= self.done

    @property
    def parts(self) -> int:
        """How many things are on their way, or were."""
        return len(self._parts)

    def rate(self, now: float) -> float:
        """Bytes in a second, lately; 0 while there is too little to tell."""
        if not self._samples:
            return 0.0
        at, done = self._samples[0]
        return max(self.done - done, 0) / (now - at) if now - at >= _SAMPLE else 0.0


class Running:
    """A step at work."""

    __slots__ = ("_cut", "_stream", "_tail", "name", "started", "transfer")

    def __init__(self, name: str, started: float) -> None:
        self.name = safe(name)
        self.started = started
        self.transfer: Transfer | None = None
        self._tail = b""
        self._cut = False
        self._stream = 0

    def wrote(self, stream: int, data: bytes) -> None:
        """Its process wrote something."""
        if stream != self._stream:
            if self._tail and not self._tail.endswith(b"\n"):
                self._tail += b"\n"
            self._stream = stream
        if len(self._tail) + len(data) > _TAIL:
            self._cut = True
            self._tail = (self._tail + data)[-_TAIL:] if len(data) < _TAIL else data[-_TAIL:]
        else:
            self._tail += data

    def lines(self, most: int) -> list[str]:
        """The last lines that it wrote and that are not empty, safe to show, the newest last."""
        whole = self._tail
        if self._cut and b"\n" in whole:
            whole = whole.partition(b"\n")[2]
        found: list[str] = []
        for line in reversed(whole.split(b"\n")):
            if len(found) >= most:
                break
            text = safe(readable(line)).rstrip()
            if text:
                found.append(text)
        return found[::-1]


class Stage:
    """A stage with steps at work, by the steps' ids, and the bytes that its finished steps added."""

    __slots__ = ("running", "size")

    def __init__(self) -> None:
        self.running: dict[str, Running] = {}
        self.size = 0


class Live:
    """A build while it runs. `version` grows with all that could change a picture of it."""

    def __init__(self) -> None:
        self.began = 0.0
        self.steps = self.done = self.cached = self.failures = 0
        self.version = 0
        self.stages: dict[str, Stage] = {}
        self.transfers: dict[str, Transfer] = {}
        """What is on its way for no running step: contexts, exports, pushes."""
        self._at_work: dict[str, Running] = {}
        self.failed: dict[str, list[str]] = {}
        """The last lines of the steps that failed."""

    @property
    def running(self) -> int:
        """How many steps are at work."""
        return len(self._at_work)

    @property
    def waiting(self) -> int:
        """How many steps have not begun yet."""
        return max(self.steps - self.done - self.failures - self.running, 0)

    @property
    def working(self) -> list[Stage]:
        """Stages with something at work: whichever began first is first."""
        return [stage for stage in self.stages.values() if stage.running]

    def take(self, event: Event) -> None:
        """Note one event."""
        if not self.version:
            self.began = event.at
        self.version += 1
        match event:
            case StepOutput():
                if (step := self._at_work.get(event.step)) is not None:
                    step.wrote(event.stream, event.data)
            case StepProgress():
                self._progress(event)
            case StepStarted():
                self._started(event)
            case StepFinished():
                self._finished(event)
            case StepRetried():
                if (step := self._at_work.get(event.step)) is not None:
                    step.transfer = None
                    step.wrote(0, event.mark.encode() + b"\n")
            case BuildStarted():
                self.steps = event.steps
                self.transfers.clear()
            case Exported():
                self.transfers.clear()

    def _progress(self, event: StepProgress) -> None:
        step = self._at_work.get(event.step)
        if step is None:
            # Without a step, each label is something of its own.
            transfer = self.transfers.setdefault(event.label, Transfer())
            transfer.take(event)
            if transfer.over:
                del self.transfers[event.label]
        else:
            step.transfer = step.transfer or Transfer()
            step.transfer.take(event)

    def _started(self, event: StepStarted) -> None:
        stage = self.stages.setdefault(event.stage, Stage())
        stage.running[event.step] = self._at_work[event.step] = Running(event.name, event.at)

    def _finished(self, event: StepFinished) -> None:
        stage = self.stages.setdefault(event.stage, Stage())
        stage.running.pop(event.step, None)
        step = self._at_work.pop(event.step, None)
        stage.size += event.size
        self.cached += event.cached
        if not event.error:
            self.done += 1
        elif not event.cancelled:
            self.failures += 1
            if step is not None:
                self.failed[event.step] = step.lines(3)

"""Progress as lines of text, for logs: `#3 [builder 2/4] RUN make`, `#3 0.412 output`, `#3 DONE 1.2s`."""

from __future__ import annotations

import threading
from typing import TextIO

from jettison.events import (
    ASIDE,
    COPYING,
    EXPORT,
    PACK,
    PUSH,
    READ,
    BaseResolved,
    BuildFinished,
    BuildStarted,
    ContextFetched,
    Event,
    Exported,
    IsolationChosen,
    StepExplained,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepStarted,
    Warned,
)
from jettison.progress.lines import LineBuffer, duration, size_text

_EVERY = 2.0
"""Seconds between two lines about the same download, copy or export."""
_WITHOUT_END = frozenset({READ, PACK, EXPORT, PUSH})
"""Of these there is no line at the end, nor one before the first `_EVERY`: what comes next tells that."""


class _Step:
    """One step as the log shows it: its number and the output that is not yet a whole line."""

    __slots__ = ("buffers", "last_progress", "number", "started")

    def __init__(self, number: int, started: float) -> None:
        self.number = number
        self.started = started
        self.buffers: dict[int, LineBuffer] = {}
        self.last_progress = 0.0


class Plain:
    """Writes events as lines; never erases anything. May be called from any thread."""

    verbose = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps: dict[str, _Step] = {}
        self._aside: dict[tuple[str, str], _Step] = {}
        """What is told of that is no step, by the name and label that its events have."""
        self._lock = threading.Lock()
        self._broken = False

    def emit(self, event: Event) -> None:
        """Write the lines of one event."""
        with self._lock:
            lines = self._lines(event)
            if not lines or self._broken:
                return
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except BrokenPipeError:
                # Whoever read along has gone; the build itself goes on.
                self._broken = True

    def close(self) -> None:
        """Write what steps left as incomplete lines."""
        with self._lock:
            lines = [f"#{step.number} {line}" for step in self._steps.values() for line in _rest(step)]
            if lines and not self._broken:
                self._stream.write("\n".join(lines) + "\n")

    def _lines(self, event: Event) -> list[str]:
        match event:
            case StepOutput():
                return self._output(event)
            case StepStarted():
                step = self._step(event.step, event.at)
                return [f"#{step.number} {event.name}"]
            case StepFinished():
                return self._finished(event)
            case StepProgress():
                return self._progress(event)
            case StepRetried():
                step = self._step(event.step, event.at)
                after = event.at - step.started
                told = (*_rest(step), retried(event), event.mark)
                return [f"#{step.number} {after:.3f} {line}" for line in told]
            case BuildStarted():
                return started(event)
            case BaseResolved():
                return [f"base {event.name} from {event.origin} {event.digest}".rstrip()]
            case ContextFetched():
                return [fetched(event)]
            case StepExplained():
                return [explained(event)]
            case IsolationChosen():
                return isolated(event)
            case Warned():
                return [warning(event)]
            case Exported():
                return [exported(event)]
            case BuildFinished():
                return [finished(event)]
        return []

    def _step(self, key: str, at: float) -> _Step:
        step = self._steps.get(key)
        if step is None:
            step = self._steps[key] = _Step(len(self._steps) + 1, at)
        return step

    def _output(self, event: StepOutput) -> list[str]:
        step = self._step(event.step, event.at)
        buffer = step.buffers.setdefault(event.stream, LineBuffer())
        after = event.at - step.started
        return [f"#{step.number} {after:.3f} {line}" for line in buffer.feed(event.data)]

    def _progress(self, event: StepProgress) -> list[str]:
        if event.step in ASIDE:
            step = self._aside.setdefault((event.step, event.label), _Step(0, event.at))
        else:
            step = self._step(event.step, event.at)
        if event.step in _WITHOUT_END or event.label == COPYING:
            last, done = step.last_progress or step.started, False
        else:
            last, done = step.last_progress, 0 < event.total <= event.done
        if not done and event.at - last < _EVERY:
            return []
        step.last_progress = event.at
        number = f"#{step.number} " if step.number else ""
        total = f" / {size_text(event.total)}" if event.total else ""
        return [f"{number}{event.label} {size_text(event.done)}{total}"]

    def _finished(self, event: StepFinished) -> list[str]:
        known = event.step in self._steps
        step = self._step(event.step, event.at)
        lines = [] if known else [f"#{step.number} {event.name}"]
        lines += [f"#{step.number} {event.at - step.started:.3f} {line}" for line in _rest(step)]
        if event.error:
            return [*lines, f"#{step.number} ERROR: {failure_of(event)}", ""]
        if event.cached:
            return [*lines, f"#{step.number} CACHED", ""]
        return [*lines, f"#{step.number} DONE {duration(event.seconds)}", ""]


def _rest(step: _Step) -> list[str]:
    return [line for buffer in step.buffers.values() for line in buffer.flush()]


def started(event: BuildStarted) -> list[str]:
    """What will be built and what is left out."""
    targets = ", ".join(event.targets)
    steps = f"{event.steps} step" + ("" if event.steps == 1 else "s")
    checks = f"; checks: {', '.join(event.checks)}" if event.checks else ""
    lines = [f"building {targets}: {steps}{checks}"]
    if event.skipped:
        lines.append(f"not needed by {targets}: {', '.join(event.skipped)}")
    return lines


def fetched(event: ContextFetched) -> str:
    """Where a build context came from, and what was there."""
    parts = [f"context {event.name}" if event.name else "context", "from", event.origin]
    if event.version:
        parts.append(event.version if ":" in event.version else f"at commit {event.version}")
    if event.size:
        parts.append(f"({size_text(event.size)})")
    return " ".join(parts)


def explained(event: StepExplained) -> str:
    """Why a step ran."""
    return f"why {event.name}: {'; '.join(event.reasons)}"


def isolated(event: IsolationChosen) -> list[str]:
    """How RUN is kept apart, unless it is the best way there is or was asked for."""
    if event.isolation in ("root", "rootless") or event.asked_for:
        return []
    return [f"isolation of RUN: {event.isolation} (jettison doctor tells more): {event.reason}"]


def retried(event: StepRetried) -> str:
    """What went wrong, and that the step begins anew."""
    tries = "1 try" if event.left == 1 else f"{event.left} tries"
    return f"FAILED: {failure_of(event)}; {tries} left"


def warning(event: Warned) -> str:
    """A warning and where it belongs."""
    rule = f" ({event.rule})" if event.rule else ""
    return f"WARNING: {f'{event.location}: ' if event.location else ''}{event.message}{rule}"


def exported(event: Exported) -> str:
    """Where a result is now."""
    parts = [f"exported {event.target}" if event.target else "exported", f"as {event.kind}"]
    if event.destination:
        parts.append(f"to {event.destination}")
    if event.digest:
        parts.append(event.digest)
    if event.size:
        parts.append(f"({size_text(event.size)})")
    return " ".join(parts)


def failure_of(event: StepFinished | StepRetried) -> str:
    """What went wrong in a step, without its name, which stands beside it."""
    return event.error.removeprefix(f"{event.name}: ")


def finished(event: BuildFinished) -> str:
    """The last line of a build."""
    end = "FAILED" if event.error else "FINISHED"
    text = f"{end} in {duration(event.seconds)}: {event.ran} run, {event.cached} cached"
    return f"{text} (build {event.build})" if event.build else text

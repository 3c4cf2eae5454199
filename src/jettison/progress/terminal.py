"""Progress for a person at a terminal: what is over stays as lines, what runs is redrawn below them.

A build that finds everything in the cache writes its few lines at once and never draws: what
draws (`painter.py`) is imported when the first step begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from jettison.events import (
    BaseResolved,
    BuildFinished,
    BuildStarted,
    ContextFetched,
    Event,
    Exported,
    IsolationChosen,
    StepExplained,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
    Warned,
)
from jettison.progress.lines import BOLD, CYAN, DIM, GREEN, RED, YELLOW, Look, duration, size_text
from jettison.progress.plain import (
    explained,
    exported,
    failure_of,
    fetched,
    finished,
    isolated,
    retried,
    started,
    warning,
)

if TYPE_CHECKING:
    from jettison.progress.live import Live
    from jettison.progress.painter import Painter

_ASIDE = 40
"""Cells that an error may take beside its step's name."""


class Terminal:
    """Shows a build on a terminal. May be called from any thread."""

    verbose = True

    def __init__(self, stream: TextIO, look: Look, reflows: bool = True) -> None:
        self._stream = stream
        self._look = look
        self._reflows = reflows
        self._lock = threading.Lock()
        self._early: list[Event] = []
        self._cached: dict[str, list[str]] = {}
        self._painter: Painter | None = None
        self._broken = False

    def emit(self, event: Event) -> None:
        """Take in one event. Until something runs, lines are written at once."""
        with self._lock:
            if self._painter is None and isinstance(event, (StepStarted, StepProgress)):
                self._painter = self._begin()
            if self._painter is not None:
                self._painter.take(event, lambda live: self._lines(event, live))
                return
            self._early.append(event)
            self._write("".join(line + "\n" for line in self._lines(event, None)))

    def close(self) -> None:
        """Stop drawing and leave the cursor below the last line."""
        with self._lock:
            painter, self._painter = self._painter, None
            if painter is not None:
                painter.close(self._folded())
            else:
                self._write("".join(line + "\n" for line in self._folded()))

    def _begin(self) -> Painter:
        from jettison.progress.painter import Painter

        painter = Painter(self._write, lambda: size_of(self._stream), self._look, self._reflows)
        for event in self._early:
            painter.live.take(event)
        self._early.clear()
        return painter

    def _lines(self, event: Event, live: Live | None) -> list[str]:
        """The lines that stay of an event. Steps of the cache are told of together."""
        if isinstance(event, StepFinished) and event.cached and not event.error:
            self._cached.setdefault(event.stage, []).append(event.name)
            return []
        lines = self._step(event, live) if isinstance(event, StepFinished) else self._told(event)
        return [*self._folded(), *lines] if lines else []

    def _told(self, event: Event) -> list[str]:
        """What is said of everything that is no step."""
        paint = self._look.paint
        match event:
            case StepRetried():
                return [paint(self._line("↻", "@", event.name), YELLOW) + f"  {self._text(retried(event))}"]
            case BuildStarted():
                first, *rest = map(self._text, started(event))
                return [paint(first, BOLD), *(paint(line, DIM) for line in rest)]
            case BaseResolved():
                return [paint(f"  base {self._text(event.name)} from {self._text(event.origin)}", DIM)]
            case ContextFetched():
                return [paint(f"  {self._text(fetched(event))}", DIM)]
            case StepExplained():
                return [paint(self._text(explained(event)), DIM)]
            case IsolationChosen():
                return [paint(self._text(line), DIM) for line in isolated(event)]
            case Warned():
                return [paint(self._text(warning(event)), YELLOW)]
            case Exported():
                return [paint(f"{self._look.sign('✓', '+')} ", GREEN) + self._text(exported(event))]
            case BuildFinished():
                return [paint(self._text(finished(event)), RED if event.error else BOLD)]
        return []

    def _step(self, event: StepFinished, live: Live | None) -> list[str]:
        paint, look = self._look.paint, self._look
        if event.cancelled:
            stopped = "  stopped"
            return [paint(self._line("–", "-", event.name, stopped) + stopped, DIM)]
        if event.error:
            # The command is in the name already, and the whole error comes at the end.
            told = failure_of(event).rpartition(" did not complete: ")[2]
            first, *more = map(self._text, told.splitlines() or [""])
            right = f"  {duration(event.seconds)}  {first}"
            head = self._line("✗", "x", event.name, right if len(right) <= _ASIDE else "")
            last = live.failed.pop(event.step, []) if live is not None else []
            below = [paint(f"  {look.sign('│', '|')} {self._fit(line, 4)}", DIM) for line in last]
            return [paint(head, RED) + right, *(f"  {line}" for line in more), *below]
        size = f"  {size_text(event.size)}" if event.size else ""
        right = f"  {duration(event.seconds)}{size}"
        return [paint(self._line("✓", "+", event.name, right), GREEN) + right]

    def _folded(self) -> list[str]:
        """One line about the steps that were in the cache since the last line."""
        cached, self._cached = self._cached, {}
        names = [name for stage in cached.values() for name in stage]
        if not names:
            return []
        if len(names) == 1:
            text, right = names[0], "  cached"
        else:
            text = f"{len(names)} steps cached"
            right = "  " + self._text(
                ", ".join(f"{stage} {len(steps)}".strip() for stage, steps in cached.items())
            )
            right = self._fit(right, 2 + len(text))
        return [self._look.paint(self._line("✓", "+", text, right), CYAN) + self._look.paint(right, DIM)]

    def _line(self, sign: str, plain: str, text: str, right: str = "") -> str:
        """A sign and a text that leave room for what is right of them, in one row."""
        return f"{self._look.sign(sign, plain)} {self._fit(text, 2 + len(right))}"

    def _fit(self, text: str, taken: int) -> str:
        """A text that shares a row with `taken` other cells, clipped."""
        room = max(size_of(self._stream)[0] - 1 - taken, 10)
        if len(text) > room or not (text.isascii() and text.isprintable()):
            from jettison.progress.cells import clip

            text = clip(self._text(text), room, self._look.more)
        return text

    def _text(self, text: str) -> str:
        """A text with nothing in it that would move the cursor."""
        if not (text.isascii() and text.isprintable()):
            from jettison.progress.cells import safe

            text = self._look.words(safe(text))
        return text

    def _write(self, text: str) -> None:
        if not text or self._broken:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # Whoever watched has gone; the build itself goes on.
            self._broken = True


def terminal(stream: TextIO, environment: Mapping[str, str]) -> Terminal:
    """The display for a terminal, as far as the environment tells what that can do."""
    signs = "utf" in (stream.encoding or "").lower()
    look = Look(not environment.get("NO_COLOR"), signs)
    # xterm itself is the one that cuts lines off where others break them anew.
    return Terminal(stream, look, "XTERM_VERSION" not in environment)


def size_of(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of a terminal; 80 by 24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return (size.columns or 80), (size.lines or 24)

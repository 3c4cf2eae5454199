"""Progress for a person at a terminal: finished steps stay as lines, running ones are redrawn below them."""

from __future__ import annotations

import os
import threading
import time
from typing import TextIO

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
    StepOutput,
    StepProgress,
    StepRetried,
    StepStarted,
    Warned,
)
from jettison.progress.lines import LineBuffer, duration, size_text
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

_REFRESH = 0.1
_FIRST = 0.15
"""Seconds before anything is redrawn: a build that finds all in the cache never draws at all."""
_MOST = 12
_GREEN, _RED, _YELLOW, _CYAN, _DIM, _BOLD = "32", "31", "33", "36", "2", "1"


class _Running:
    """A step at work and the last thing that it said."""

    __slots__ = ("buffers", "last", "name", "started")

    def __init__(self, name: str, at: float) -> None:
        self.name = name
        self.started = at
        self.last = ""
        self.buffers: dict[int, LineBuffer] = {}


class Terminal:
    """Draws with ANSI escapes only. Its thread starts with the first step that really runs."""

    verbose = True

    def __init__(self, stream: TextIO, colour: bool = True) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._drawn = 0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def emit(self, event: Event) -> None:
        """Take in one event; lines that stay are written at once."""
        with self._lock:
            match event:
                case StepOutput():
                    self._heard(event)
                case StepProgress():
                    if running := self._running.get(event.step):
                        total = f" / {size_text(event.total)}" if event.total else ""
                        running.last = f"{event.label} {size_text(event.done)}{total}"
                case StepStarted():
                    self._running[event.step] = _Running(event.name, event.at)
                    self._animate()
                case _:
                    self._stays(self._lines(event))

    def close(self) -> None:
        """Stop drawing and leave the cursor below the last line."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._write(self._erase())
            self._running.clear()

    def _lines(self, event: Event) -> list[str]:
        match event:
            case StepFinished():
                self._running.pop(event.step, None)
                if event.error:
                    return [self._paint(f"✗ {event.name}", _RED) + f"  {failure_of(event)}"]
                if event.cached:
                    return [self._paint(f"✓ {event.name}", _CYAN) + self._paint("  CACHED", _DIM)]
                return [self._paint(f"✓ {event.name}", _GREEN) + f"  {duration(event.seconds)}"]
            case StepRetried():
                return [self._paint(f"↻ {event.name}", _YELLOW) + f"  {retried(event)}"]
            case BuildStarted():
                first, *rest = started(event)
                return [self._paint(first, _BOLD), *(self._paint(line, _DIM) for line in rest)]
            case BaseResolved():
                return [self._paint(f"  base {event.name} from {event.origin}", _DIM)]
            case ContextFetched():
                return [self._paint(f"  {fetched(event)}", _DIM)]
            case StepExplained():
                return [self._paint(explained(event), _DIM)]
            case IsolationChosen():
                return [self._paint(line, _DIM) for line in isolated(event)]
            case Warned():
                return [self._paint(warning(event), _YELLOW)]
            case Exported():
                return [self._paint("✓ ", _GREEN) + exported(event)]
            case BuildFinished():
                return [self._paint(finished(event), _RED if event.error else _BOLD)]
        return []

    def _heard(self, event: StepOutput) -> None:
        running = self._running.get(event.step)
        if running is None:
            return
        buffer = running.buffers.setdefault(event.stream, LineBuffer())
        lines = [line for line in (*buffer.feed(event.data), buffer.peek()) if line.strip()]
        if lines:
            running.last = lines[-1]

    def _animate(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._draw_on, name="progress", daemon=True)
            self._thread.start()

    def _draw_on(self) -> None:
        if self._over.wait(_FIRST):
            return
        while True:
            with self._lock:
                self._write(self._erase() + self._picture())
            if self._over.wait(_REFRESH):
                return

    def _stays(self, lines: list[str]) -> None:
        if lines:
            erase = self._erase()
            picture = self._picture() if erase else ""
            self._write(erase + "".join(line + "\n" for line in lines) + picture)

    def _erase(self) -> str:
        drawn, self._drawn = self._drawn, 0
        return f"\x1b[{drawn}A\r\x1b[J" if drawn else ""

    def _picture(self) -> str:
        """The running steps, two lines each: what it is and for how long, and its last line of output."""
        width, height = self._size()
        now = time.time()
        lines: list[str] = []
        room = max(1, min(_MOST, height - 2))
        for running in self._running.values():
            took = duration(now - running.started)
            name = _cut(running.name, width - len(took) - 5)
            lines.append(f"{self._paint('▸', _CYAN)} {name}  {self._paint(took, _DIM)}")
            if running.last:
                lines.append("  " + self._paint(_cut(_safe(running.last), width - 4), _DIM))
        if len(lines) > room:
            lines = [*lines[: room - 1], self._paint(f"  … {len(self._running)} steps at work", _DIM)]
        self._drawn = len(lines)
        return "".join(line + "\n" for line in lines)

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return (size.columns or 80), (size.lines or 24)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            pass


def _safe(text: str) -> str:
    """A program's own escapes would break the drawing: they are left out."""
    if "\x1b" in text:
        import re

        text = re.sub(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?", "", text)
    return "".join(c if c.isprintable() else " " for c in text)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"

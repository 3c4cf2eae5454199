"""Puts frames on a terminal: a thread that draws at most eight times a second, and only what has changed."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from jettison.events import Event
from jettison.progress.cells import rows
from jettison.progress.frame import frame
from jettison.progress.lines import Look
from jettison.progress.live import Live

_EVERY = 0.125
_FIRST = 0.15
"""Seconds before the first frame: what is over by then is never drawn."""
_CODES = re.compile(r"\x1b\[[0-9;]*m")
_ROW = "\r\x1b[2K"
"""Erased as a whole, a row is as long as what is written then, also when the terminal breaks it anew."""
_BEGIN, _END = "\x1b[?2026h\x1b[?7l", "\x1b[?7h\x1b[?2026l"
"""Shown as a whole, where the terminal can; and no line that is too long becomes two."""


class Screen:
    """What is drawn at the bottom of a terminal. The cursor stands in the row below it.

    `reflows` says whether the terminal breaks lines anew when it becomes narrower; most do.
    """

    def __init__(self, reflows: bool = True) -> None:
        self._reflows = reflows
        self._lines: list[str] = []
        self._size = (0, 0)

    def paint(self, lines: list[str], above: list[str], size: tuple[int, int]) -> str:
        """What to write so that `lines` are drawn in place of the last ones, and `above` stays above them."""
        old, self._lines = self._lines, lines
        resized, self._size = bool(old) and size != self._size, size
        if lines == old and not above and not resized:
            return ""
        up = self._rows(old, size) if resized else len(old)
        out = [f"\x1b[{up}A" if up else ""]
        left = up - len(above) - len(lines)
        if resized or any(rows(_CODES.sub("", line), size[0] - 1) > 1 for line in above):
            out.append(_erased(up))
            left = 0
        if above:
            # These may break into several rows, all below them having been erased then.
            out += ["\x1b[?7h", *(_ROW + line + "\n" for line in above), "\x1b[?7l"]
        same = 0 if above or resized else len(old)
        for i, line in enumerate(lines):
            out.append("\n" if i < same and old[i] == line else f"{_ROW}{line}\n")
        out.append(_erased(max(left, 0)))
        return _BEGIN + "".join(out) + _END

    def _rows(self, lines: list[str], size: tuple[int, int]) -> int:
        columns, height = size
        taken = sum(rows(_CODES.sub("", line), columns) for line in lines) if self._reflows else len(lines)
        return min(taken, height - 1)


def _erased(count: int) -> str:
    """Erases the cursor's row and so many below it.

    Row by row: a terminal that is told to erase all of its screen may keep that among what has scrolled away.
    """
    back = f"\x1b[{count}A" if count else ""
    return _ROW + "\x1b[B\x1b[2K" * count + back


class Painter:
    """Draws a build from its first event on. `take` may be called from any thread, `close` once."""

    def __init__(
        self, write: Callable[[str], None], size: Callable[[], tuple[int, int]], look: Look, reflows: bool
    ) -> None:
        self.live = Live()
        self._write = write
        self._size = size
        self._look = look
        self._screen = Screen(reflows)
        self._lock = threading.Lock()
        self._above: list[str] = []
        self._drawn: tuple[object, ...] = ()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._draw_on, name="progress", daemon=True)
        self._thread.start()

    def take(self, event: Event, lines: Callable[[Live], list[str]]) -> None:
        """Note one event, and the lines that stay of it."""
        with self._lock:
            self.live.take(event)
            self._above += lines(self.live)

    def close(self, last: list[str]) -> None:
        """Stop drawing; all that stays is on the terminal then, and the cursor below it."""
        self._over.set()
        self._thread.join()
        self._write(self._screen.paint([], [*self._above, *last], self._size()))

    def _draw_on(self) -> None:
        if self._over.wait(_FIRST):
            return
        while True:
            self._draw()
            if self._over.wait(_EVERY):
                return

    def _draw(self) -> None:
        """One frame, if it would be another one than the last. Nobody waits while the terminal takes it."""
        now, size = time.time(), self._size()
        with self._lock:
            state = (self.live.version, size, int(now))
            if state == self._drawn:
                return
            self._drawn = state
            above, self._above = self._above, []
            lines = frame(self.live, *size, now, self._look)
        self._write(self._screen.paint(lines, above, size))

"""Terminals for tests: one in memory that knows just what the live view writes, and tmux, a real one."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from jettison.progress.cells import width

_PARTS = re.compile(r"\x1b\[\?(?:2026|7)[hl]|\x1b\[\d+A|\x1b\[B|\x1b\[2K|\x1b\[[\d;]*m|\r|\n|[^\x1b\r\n]+")


class Memory:
    """Rows of a terminal with so many columns, as far up as anything was written; it breaks lines."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.row = 0
        self.modes = {"7": "h", "2026": "l"}

    def write(self, text: str) -> None:
        """Take in what a program writes. Fails at anything that the live view has no business to write."""
        assert _PARTS.sub("", text) == "", repr(_PARTS.sub("", text))
        for part in _PARTS.findall(text):
            if part.startswith("\x1b[?"):
                self.modes[part[3:-1]] = part[-1]
            elif part.endswith("A") and part.startswith("\x1b"):
                self.row -= int(part[2:-1])
                assert self.row >= 0, "above the first row"
            elif part == "\x1b[2K":
                self.rows[self.row] = ""
            elif part in ("\n", "\x1b[B"):
                self._down()
            elif part[0] not in "\x1b\r":
                self._put(part)

    def _down(self) -> None:
        self.row += 1
        self.rows += [""] * (self.row + 1 - len(self.rows))

    def _put(self, text: str) -> None:
        for character in text:
            if width(self.rows[self.row]) + width(character) > self.columns:
                assert self.modes["7"] == "h", "a line of a frame is too long"
                self._down()
                self.rows[self.row] = ""
            self.rows[self.row] += character


class Tmux:
    """A shell in a terminal of tmux."""

    def __init__(self, folder: Path, columns: int, rows: int, environment: Mapping[str, str]) -> None:
        self._words = ("tmux", "-S", str(folder / "tmux"), "-f", "/dev/null")
        clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR", "TMUX")}
        self._count = 0
        self._environment = {**clean, "LC_ALL": "C.UTF-8", **environment}
        size = ("-x", str(columns), "-y", str(rows))
        self._do("new-session", "-d", *size, "sh")

    def _do(self, *words: str) -> str:
        done = subprocess.run(
            [*self._words, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        return done.stdout

    def type(self, words: Sequence[object] | str) -> None:
        """Type a command, or keys such as "C-c"."""
        if isinstance(words, str):
            self._do("send-keys", words)
        else:
            self._count += 1
            line = f'{shlex.join(map(str, words))}; echo "=$?= {self._count}"'
            self._do("send-keys", "-l", line)
            self._do("send-keys", "Enter")

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal larger or smaller."""
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> list[str]:
        """What it shows, row by row, without the empty rows at the end."""
        return self._do("capture-pane", "-p").rstrip("\n").split("\n")

    def flags(self) -> str:
        """`1 1` where the cursor is shown and lines are broken."""
        return self._do("display-message", "-p", "#{cursor_flag} #{wrap_flag}").strip()

    def until(self, shown: Callable[[list[str]], bool], seconds: float = 30.0) -> list[str]:
        """Wait until the screen is as wanted, and give it."""
        end = time.monotonic() + seconds
        while True:
            screen = self.screen()
            if shown(screen):
                return screen
            assert time.monotonic() < end, "\n".join(screen)
            time.sleep(0.03)

    def over(self) -> tuple[int, list[str]]:
        """Wait until the last command has ended: its status, and the lines it left that are not empty."""
        end = re.compile(f"=(\\d+)= {self._count}")
        self.until(lambda screen: any(map(end.fullmatch, screen)))
        # Lines that were broken are whole again here.
        lines = [line.rstrip() for line in self._do("capture-pane", "-p", "-J", "-S", "-500").splitlines()]
        # Nothing is seen of what was typed before the shell was ready.
        typed = max((i for i, line in enumerate(lines) if line.endswith(f'"=$?= {self._count}"')), default=-1)
        found = next(i for i, line in enumerate(lines) if end.fullmatch(line))
        return int(lines[found].split("=")[1]), [line for line in lines[typed + 1 : found] if line]

    def close(self) -> None:
        """End the shell and the terminal."""
        self._do("kill-server")


@contextmanager
def tmux(
    folder: Path, columns: int = 80, rows: int = 24, environment: Mapping[str, str] | None = None
) -> Iterator[Tmux]:
    """A block with a terminal."""
    terminal = Tmux(folder, columns, rows, environment or {})
    try:
        yield terminal
    finally:
        terminal.close()

"""How a build is watched: each display is an `Emit` with a `close()`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TextIO

from jettison.errors import UsageError
from jettison.events import Event

MODES = ("auto", "plain", "tty", "jsonl", "quiet")


class Display(Protocol):
    """Shows events. Called from any thread. `verbose` says whether a person reads along."""

    verbose: bool

    def emit(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """The build is over: leave the screen in order."""


def choose(mode: str, stream: TextIO, lines: TextIO, environment: Mapping[str, str]) -> Display:
    """The display for `--progress MODE`: for people on `stream`, JSON on `lines`. Raises UsageError."""
    if mode not in MODES:
        from difflib import get_close_matches

        near = get_close_matches(mode, MODES, 1)
        hint = f"did you mean {near[0]}?" if near else "modes: " + ", ".join(MODES)
        raise UsageError(f"--progress {mode!r} is not known", hint=hint)
    if mode == "auto":
        mode = "tty" if stream.isatty() and _can_draw(environment) else "plain"
    if mode == "plain":
        from jettison.progress.plain import Plain

        return Plain(stream)
    if mode == "tty":
        from jettison.progress.terminal import terminal

        return terminal(stream, environment)
    if mode == "jsonl":
        from jettison.progress.jsonl import Jsonl

        return Jsonl(lines)
    from jettison.progress.quiet import Quiet

    return Quiet(stream)


def _can_draw(environment: Mapping[str, str]) -> bool:
    """Whether a terminal is one that can be redrawn, with somebody before it."""
    if environment.get("TERM", "dumb") == "dumb":
        return False
    return environment.get("CI", "").lower() in ("", "0", "false")

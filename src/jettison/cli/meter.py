"""How far a transfer is, in one line that is redrawn on a terminal, or in a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jettison.cli.console import Console

_EVERY = {True: 0.1, False: 5.0}


@contextmanager
def meter(console: Console, what: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Gives what to call with the bytes done and the bytes there are; None when nobody wants to see it."""
    if quiet:
        yield None
        return
    from jettison.progress.lines import size_text

    stream, terminal = console.stderr, console.stderr.isatty()
    last = time.monotonic()
    drawn = False

    def tell(done: int, total: int) -> None:
        nonlocal last, drawn
        now = time.monotonic()
        if now - last < _EVERY[terminal]:
            return
        last, drawn = now, True
        text = f"{what} {size_text(done)}" + (f" / {size_text(total)}" if total else "")
        stream.write(f"\r{text}\x1b[K" if terminal else text + "\n")
        stream.flush()

    try:
        yield tell
    finally:
        if drawn and terminal:
            stream.write("\r\x1b[K")
            stream.flush()

"""Nothing but warnings: `--progress quiet` and `-q`."""

from __future__ import annotations

from typing import TextIO

from jettison.events import Event, Warned


class Quiet:
    """Says nothing while all goes well."""

    verbose = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def emit(self, event: Event) -> None:
        """Show a warning."""
        if isinstance(event, Warned):
            where = f"{event.location}: " if event.location else ""
            self._stream.write(f"WARNING: {where}{event.message}\n")

    def close(self) -> None:
        """Nothing to put in order."""

"""What `jettison build` shows and writes about itself: --summary and --trace."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from jettison.cli.summary import full_table, short_table
from jettison.errors import ExportError
from jettison.events import Emit, Event
from jettison.journal.recorder import Recorder

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.request import BuildResult


class Watch:
    """Looks at the events of a build. Raises ExportError when the file for the trace cannot be written."""

    def __init__(self, emit: Emit, summary: str, trace: str) -> None:
        self._recorder = Recorder(time.time())
        self._emit = emit
        self._summary = summary
        self._path = trace
        if trace:
            # Told before the build, not after.
            _write(trace, "")

    def emit(self, event: Event) -> None:
        """Look at one event, and hand it on."""
        self._recorder.emit(event)
        self._emit(event)

    def end(self, console: Console) -> None:
        """The build is over, well or not: show the table, write the trace."""
        build = self._recorder.build()
        if self._summary in ("short", "full"):
            table = full_table if self._summary == "full" else short_table
            console.stderr.write(table(build))
        if self._path:
            from jettison.journal.trace import trace

            try:
                _write(self._path, json.dumps(trace(build)) + "\n")
            except ExportError as error:
                console.note(error.message)


def _write(path: str, text: str) -> None:
    from jettison.cli.build import write_file

    write_file(path, text)


def summarise(console: Console, result: BuildResult, root: str) -> None:
    """Show the short table of a build that is in the history. Whatever is wrong with that stops nothing."""
    from jettison.errors import JettisonError
    from jettison.journal.base import number_of
    from jettison.journal.keep import read
    from jettison.store.store import Store

    try:
        with Store.open(os.path.abspath(root)) as store:
            build = read(store, number_of(result.build) or 0)
    except JettisonError:
        return
    if build is not None:
        console.stderr.write(short_table(build))

"""What a command of the command line works with: streams, variables, and the switch that stops it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO, TextIO

from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.options import Command
    from jettison.location import Location
    from jettison.request import Reader


class Console:
    """The streams and variables of one command.

    `cancel` is set by Ctrl-C and SIGTERM while `cancellable`: a command sets that when it
    looks at `cancel`; otherwise they interrupt it. `stopped_by` is the signal's name.
    `on_signal` takes a signal first, and says whether that was all there is to do.
    `store_words` are the options that lead another command to the same store, `shell_words` those with which
    a shell is as the steps of this build.
    """

    def __init__(self, environment: Mapping[str, str], stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.environment = environment
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.cancel = threading.Event()
        self.cancellable = False
        self.stopped_by = "SIGINT"
        self.on_signal: Callable[[int], bool] | None = None
        self.store_words: tuple[str, ...] = ()
        self.shell_words: tuple[str, ...] = ()
        self._file = ""
        self._text: str | None = None

    def help(self, command: Command) -> int:
        """Show a command's help."""
        from jettison.cli.options import help_text

        self.stdout.write(help_text(command))
        return 0

    def note(self, text: str) -> None:
        """Say something on standard error that stops nothing."""
        self.stderr.write(f"note: {text}\n")

    def read_stdin(self, what: str) -> bytes:
        """All of standard input. Raises UsageError when that is a terminal."""
        if self.stdin.isatty():
            raise UsageError(f"{what} should come from standard input, which is a terminal")
        raw: BinaryIO | None = getattr(self.stdin, "buffer", None)
        return raw.read() if raw is not None else self.stdin.read().encode("utf-8", "surrogateescape")

    def open_stdin(self, what: str) -> Reader:
        """Standard input as a stream. Raises UsageError when that is a terminal."""
        if self.stdin.isatty():
            raise UsageError(f"{what} should come from standard input, which is a terminal")
        try:
            # Apart from sys.stdin: who waits here must not hold its lock when the interpreter ends.
            return open(os.dup(self.stdin.fileno()), "rb", buffering=0)
        except OSError:
            return self.stdin.buffer

    def binary_stdout(self) -> BinaryIO:
        """Standard output for bytes."""
        self.stdout.flush()
        raw: BinaryIO | None = getattr(self.stdout, "buffer", None)
        if raw is None:
            raise UsageError("standard output takes no bytes here")
        return raw

    def dockerfile(self, file: str, text: str | None) -> None:
        """Remember what is being built, for the excerpts of error messages."""
        self._file, self._text = file, text

    def lines_of(self, location: Location) -> list[str]:
        """The lines of the file that a location is in, or none when it cannot be read."""
        if self._text is not None:
            return self._text.splitlines()
        for path in (location.path, self._file):
            if path and os.path.isfile(path):
                try:
                    with open(path, encoding="utf-8", errors="replace") as file:
                        return file.read(4 << 20).splitlines()
                except OSError:
                    continue
        return []

"""How errors are told: where, which lines, what to do; and which exit status they give."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, TextIO

from jettison.errors import (
    Cancelled,
    ConfigError,
    DockerfileError,
    JettisonError,
    Problem,
    SourceError,
    StepFailed,
    StoreError,
    UsageError,
)

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.location import Location

FAILED, USAGE = 1, 2
_MOST_PROBLEMS = 20
_AROUND = 2
_LONG = 8000
"""Characters of a message that are shown whole."""
_RULE = "-" * 20
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def tell(console: Console, error: JettisonError) -> int:
    """Print an error with the lines of the file that it is about; give the exit status."""
    if error.dockerfile is not None:
        console.dockerfile("", error.dockerfile.decode("utf-8", "replace"))
    for one in (error, *error.others):
        _tell_one(console, one, several=bool(error.others))
    if error.checks:
        from jettison.cli.verdicts import table

        console.stderr.write(table(error.checks))
    return USAGE if isinstance(error, (UsageError, ConfigError)) else FAILED


def _tell_one(console: Console, error: JettisonError, several: bool) -> None:
    stderr = console.stderr
    if isinstance(error, StepFailed):
        _tell_step(stderr, error)
    problems = (
        error.problems
        if isinstance(error, DockerfileError)
        else (Problem(error.message, error.location, error.hint),)
    )
    for problem in problems[:_MOST_PROBLEMS]:
        _tell_problem(console, problem)
    if isinstance(error, StepFailed):
        _tell_more(console, error, several)
    if len(problems) > _MOST_PROBLEMS:
        stderr.write(f"ERROR: and {len(problems) - _MOST_PROBLEMS} more problems\n")
    if error.temporary:
        stderr.write("hint: this may pass; trying again can help\n")


def _tell_step(stderr: TextIO, error: StepFailed) -> None:
    stderr.write(f"------\n > {error.step}:\n")
    for line in error.tail[-20:]:
        stderr.write(_shown(line.rstrip("\r\n"), stderr) + "\n")
    stderr.write("------\n")


def _shown(line: str, stream: TextIO) -> str:
    """A line that a program wrote: whole for a file; for a terminal as it would look, without escapes."""
    if not stream.isatty():
        return line
    from jettison.progress.cells import safe

    return safe(line.rpartition("\r")[2])


def _tell_more(console: Console, error: StepFailed, several: bool) -> None:
    """Where all of its output is, and how to look at what it left; with its number if `several` failed."""
    from shlex import join

    if error.log:
        words = ("jettison", "logs", *console.store_words, error.build, str(error.number))
        console.stderr.write(f"log: {error.log}\n     {join(words)}\n")
    if error.state:
        build = (error.build,) if error.build else ()
        number = (str(error.number),) if error.build and several else ()
        given = (*console.store_words, *console.shell_words)
        words = ("jettison", "shell", *given, "--failed", *build, *number)
        console.stderr.write(f"to look around where it failed:\n     {join(words)}\n")


def _tell_problem(console: Console, problem: Problem) -> None:
    stderr = console.stderr
    if problem.location is not None:
        for line in excerpt(problem.location, console.lines_of(problem.location)):
            stderr.write(line + "\n")
    where = f"{problem.location}: " if problem.location is not None else ""
    stderr.write(f"ERROR: {where}{_brief(problem.message)}\n")
    if problem.hint:
        stderr.write(f"hint: {problem.hint}\n")


def _brief(message: str) -> str:
    """A message with the command of a step in it may be as long as that is."""
    return message if len(message) <= _LONG else f"{message[: _LONG // 2]} … {message[-_LONG // 4 :]}"


def excerpt(location: Location, lines: list[str]) -> list[str]:
    """The lines of a location and two around them, the location's own marked with `>>>`.

    Of long ranges the middle is left out. No lines, no excerpt.
    """
    first, last = location.first_line, min(location.last_line, len(lines))
    if not 1 <= first <= len(lines):
        return []
    numbers = list(range(max(1, first - _AROUND), min(len(lines), last + _AROUND) + 1))
    out = [f"{location.path}:{first}", _RULE]
    for number in numbers:
        if last - first > 24 and first + 11 < number < last - 11:
            if number == first + 12:
                out.append("     | ...")
            continue
        mark = ">>>" if first <= number <= last else "   "
        text = lines[number - 1].expandtabs(8)
        text = text if len(text) <= 200 else text[:200] + "…"
        out.append(f"{number:4} | {mark} {_printable(text)}".rstrip())
    return [*out, _RULE]


def _printable(text: str) -> str:
    """Control characters would let a file write on the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def as_ours(error: BaseException) -> JettisonError | None:
    """The error of this project that an error of the system amounts to, or None for a bug."""
    if isinstance(error, JettisonError):
        return error
    if isinstance(error, MemoryError):
        return StoreError("out of memory")
    if isinstance(error, RecursionError):
        return SourceError(
            "folders are nested deeper than can be followed here (some 900 levels)",
            hint="leave them out with .dockerignore, or copy them as an archive",
        )
    if type(error).__module__ == "sqlite3":
        text = str(error)
        if "is full" in text:
            return _full()
        if "readonly" in text or "unable to open" in text:
            return StoreError(f"the local store's database cannot be written: {text}")
        if "malformed" in text or "not a database" in text:
            return StoreError(
                f"the local store's database is damaged: {text}", hint="move the store's folder away"
            )
        return None
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        from jettison.store.faults import store_error

        return store_error(error, "following a path", "")
    path = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full(path)
    if error.errno in _DENIED and path:
        return StoreError(f"{path}: {error.strerror}", hint="is another folder given with --root writable?")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return StoreError(f"too many open files: {error.strerror}", hint="raise the limit: ulimit -n")
    return None


def _full(path: str = "") -> StoreError:
    where = f" while writing {path}" if path else ""
    return StoreError(
        f"no space left on the disk{where}",
        hint="free some space (jettison rmi IMAGE), or put the store elsewhere with --root DIR;"
        " images made earlier are unharmed",
    )


def internal(console: Console, error: BaseException) -> int:
    """Tell an error that nobody foresaw: one line, and where the traceback is."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    summary = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    if console.environment.get("JETTISON_DEBUG", "") not in ("", "0"):
        console.stderr.write(f"{text}ERROR: internal error: {summary}\n")
        return FAILED
    try:
        handle, path = tempfile.mkstemp(".txt", "jettison-report-")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        where = f"the report is in {path}"
    except OSError:
        where = "set JETTISON_DEBUG=1 to see where"
    console.stderr.write(f"ERROR: internal error: {summary} ({where})\n")
    return FAILED


def is_cancelled(error: BaseException) -> bool:
    """Whether an error only says that the build was told to stop."""
    return isinstance(error, (Cancelled, KeyboardInterrupt))

"""`jettison logs`: what the steps of a build wrote, whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.dataclass import dataclass
from jettison.errors import NotFound, StoreError, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.journal.base import PastBuild, PastStep
    from jettison.store.store import Store

COMMAND = Command(
    "logs",
    "[OPTIONS] [BUILD] [STEP]",
    "show what the steps of a build wrote",
    """
Writes the logs of the last build, or of another one, to standard output, byte for byte. BUILD is
a name as builds show it at their end, for example b42. STEP picks some steps: a number as plain
progress shows it, a stage, STAGE:LINE, or a part of the instruction. Of a step that came from the
cache the log of the build that ran it is shown, while it is kept. A build that still runs, or was
killed, has the logs that were written so far. Builds in which nothing ran have none.
""",
    (
        Option(("--failed",), "the step that failed, of the last build in which one did"),
        Option(("--tail", "-n"), "only the last lines of each log", "N"),
        Option(("--path",), "show the names of the files instead (those that end in .gz are compressed)"),
        Option(("--context", "-C"), "the last build of this folder", "DIR"),
        *STORE_OPTIONS,
    ),
    (
        ("All that the last build wrote", "jettison logs"),
        ("What the step wrote that failed", "jettison logs --failed"),
        ("Step 7 of a build", "jettison logs b42 7"),
        ("By its text, from whichever build ran it", 'jettison logs "npm ci"'),
    ),
    most=2,
)


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of a step. `path` is "" when there is none, `build` the one that wrote it."""

    step: PastStep
    build: PastBuild
    path: str


def run(console: Console, argv: list[str]) -> int:
    """Write the logs that are asked for."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    lines = _number(parsed.last("tail"))
    with opened(console, parsed) as local:
        build, wanted = _build(local.store, parsed)
        steps = _steps(build, wanted, parsed.has("failed"))
        logs = [_log(local.store, build, step, bool(wanted)) for step in steps]
        found = [log for log in logs if log.path]
        if not found:
            _tell_missing(console, build, logs, bool(wanted))
        elif parsed.has("path"):
            console.stdout.write("".join(log.path + "\n" for log in found))
        else:
            _write(console, build, found, lines)
    return 0


def _number(text: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"--tail {text!r} is not a number of lines", hint="for example --tail 100")
    return int(text)


def _build(store: Store, parsed: Parsed) -> tuple[PastBuild, str]:
    """The build that is meant, and the word for steps, "" for none."""
    from jettison.cli.builds import the_build
    from jettison.journal.base import number_of

    first, *rest = parsed.arguments or [""]
    if rest or number_of(first) is not None:
        name, wanted = first, rest[0] if rest else ""
    else:
        name, wanted = "", first
    if wanted and parsed.has("failed"):
        raise UsageError("--failed is a step already", hint=f"jettison logs --failed {name}".rstrip())
    if name and parsed.has("context"):
        raise UsageError("--context is for the last build of a folder", hint=f"jettison logs {name}")
    states = ("failed",) if parsed.has("failed") else ()
    return the_build(store, name, parsed.last("context"), states), wanted


def _steps(build: PastBuild, wanted: str, failed: bool) -> list[PastStep]:
    if failed:
        steps = [step for step in build.steps if step.state == "failed"]
        if not steps:
            raise NotFound(f"no step of {build.name} failed", hint=f"jettison builds show {build.name}")
        return steps
    if not wanted:
        return [step for step in build.steps if step.log]
    if wanted.removeprefix("#").isdecimal():
        steps = [step for step in build.steps if step.number == int(wanted.removeprefix("#"))]
        if not steps:
            raise NotFound(
                f"{build.name} has no step {wanted}", hint=f"jettison builds show {build.name} lists them"
            )
        return steps
    from jettison.why.match import chosen

    return chosen(build.steps, wanted, f"jettison builds show {build.name} lists the steps")


def _log(store: Store, build: PastBuild, step: PastStep, asked: bool) -> _Log:
    """The log of a step; if it is asked for, also when another build wrote it."""
    from jettison.journal.keep import log_folder, maker
    from jettison.journal.logs import path_of

    path = path_of(log_folder(store, build.number), step.number)
    if path or step.state != "cached" or not asked or not step.result:
        return _Log(step, build, path)
    made = maker(store, step.result)
    if made is None:
        return _Log(step, build, "")
    return _Log(made[1], made[0], path_of(log_folder(store, made[0].number), made[1].number))


def _tell_missing(console: Console, build: PastBuild, logs: list[_Log], asked: bool) -> None:
    """Why there is nothing to show. Raises NotFound when there was a log once, or may have been."""
    lost = [log for log in logs if log.step.log or (log.step.state == "cached" and log.build is build)]
    run = [log for log in lost if log.step.kind == "run"]
    if not asked and not lost:
        console.note(f"no step of {build.name} wrote anything")
    elif run:
        raise NotFound(
            f"the log of {run[0].step.name} is not kept any more",
            hint="the oldest logs go first; --no-cache=STAGE:LINE makes a step run again",
        )
    else:
        console.note(f"{logs[0].step.name} wrote nothing" if len(logs) == 1 else "these steps wrote nothing")


def _write(console: Console, build: PastBuild, logs: list[_Log], lines: int | None) -> None:
    from jettison.journal.logs import pieces

    out = console.binary_stdout()
    for number, log in enumerate(logs):
        if log.build.number != build.number:
            console.note(f"{log.step.name} was in the cache; {log.build.name} ran it")
        if len(logs) > 1:
            blank = "\n" if number else ""
            out.write(f"{blank}==> {log.build.name} #{log.step.number} {log.step.name} <==\n".encode())
        try:
            if lines is None:
                for piece in pieces(log.path):
                    out.write(piece)
            else:
                out.writelines(_last(log.path, lines))
        except BrokenPipeError:
            raise
        except (OSError, EOFError) as error:
            raise StoreError(f"{os.path.basename(log.path)} cannot be read: {error}") from error
    out.flush()


def _last(path: str, lines: int) -> list[bytes]:
    from collections import deque

    from jettison.journal.logs import open_log

    with open_log(path) as file:
        return list(deque(file, lines))

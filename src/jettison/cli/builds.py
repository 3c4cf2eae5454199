"""`jettison builds`: earlier builds, where their time went, and what differs between two of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.journal.base import PastBuild
    from jettison.journal.compare import Change
    from jettison.store.store import Store

COMMAND = Command(
    "builds",
    "[ls|show|compare|trace] [OPTIONS] [BUILD...]",
    "list earlier builds, show where their time went, compare them",
    """
Knows the latest builds in which a step had something to do, those that failed or were stopped
too. Builds that found everything in the cache are not among them.

  ls                 list them (this is what happens without a word)
  show [BUILD]       all steps: time, bytes added, what each waited for, the critical path (*)
  compare A [B]      what differs between two builds, step by step, and why steps of B ran
  trace [BUILD]      write a trace (-o FILE) that chrome://tracing and ui.perfetto.dev show

BUILD is a name as builds show it at their end, for example b42; without one it is the last build,
or the one before for A.
""",
    (
        Option(("--last", "-n"), "ls: at most so many (default: 20)", "N"),
        Option(("--context", "-C"), "only builds of this folder", "DIR"),
        Option(("--all", "-a"), "compare: all steps, also those that are as they were"),
        Option(("--output", "-o"), "trace: the file to write (default: standard output)", "FILE"),
        Option(
            ("--format",), "text (default) or json: ls: one object in a line, others: one object", "FORMAT"
        ),
        *STORE_OPTIONS,
    ),
    (
        ("What was built here", "jettison builds -C ."),
        ("Where did the time go?", "jettison builds show"),
        ("What is slower than before?", "jettison builds compare b41 b42"),
        ("To look at in a browser", "jettison builds trace b42 -o trace.json"),
    ),
    most=3,
)


def run(console: Console, argv: list[str]) -> int:
    """Carry out one of the four."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    if parsed.last("format", "text") not in ("text", "json"):
        raise UsageError(f"--format {parsed.last('format')!r} is not supported", hint="text or json")
    word, *rest = parsed.arguments or ["ls"]
    actions = {
        "ls": (_ls, 0),
        "list": (_ls, 0),
        "show": (_show, 1),
        "compare": (_compare, 2),
        "trace": (_trace, 1),
    }
    if word not in actions:
        raise UsageError(f"jettison builds has no command {word!r}", hint="ls, show, compare or trace")
    action, most = actions[word]
    if len(rest) > most:
        raise UsageError(f"jettison builds {word}: one argument too many: {rest[most]!r}")
    with opened(console, parsed) as local:
        return action(console, parsed, local.store, rest)


def the_build(store: Store, name: str, context: str = "", states: tuple[str, ...] = ()) -> PastBuild:
    """The build of a name, or else the last one, of the folder `context` and in one of some states.

    Raises NotFound, and UsageError for what is no name.
    """
    from jettison.journal import keep
    from jettison.journal.base import number_of

    folder = os.path.realpath(context) if context else ""
    if name:
        number = number_of(name if not name.isdecimal() else f"b{name}")
        if number is None:
            raise UsageError(f"{name!r} is no name of a build", hint="they are like b42: jettison builds")
    else:
        number = keep.latest(store.db, folder, states)
    build = keep.read(store, number) if number is not None else None
    if build is None:
        kind = "failed build" if states else "build"
        whose = f"of {folder}" if folder else "in this store"
        raise NotFound(
            f"the history has no build {name}" if name else f"no {kind} {whose} is remembered",
            hint=f"jettison builds lists those that it has; the latest {keep.KEPT} in which something ran",
        )
    return build


def _ls(console: Console, parsed: Parsed, store: Store, rest: list[str]) -> int:
    from jettison.journal.keep import listed

    text = parsed.last("last", "20")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise UsageError(f"--last {text!r} is not a number of builds", hint="for example -n 50")
    folder = os.path.realpath(parsed.last("context")) if parsed.last("context") else ""
    builds, damaged = listed(store, int(text), folder)
    if damaged:
        console.note(f"left out: what the history has of {', '.join(damaged)} is damaged")
    if parsed.last("format") == "json":
        console.stdout.write("".join(json.dumps(_heading(build)) + "\n" for build in builds))
        return 0
    from jettison.cli.summary import cut
    from jettison.cli.table import age_of, rows
    from jettison.progress.lines import duration

    lines = [
        [
            build.name,
            age_of(build.at),
            cut(build.folder or "elsewhere"),
            cut(", ".join(build.targets)),
            build.state,
            duration(build.seconds) if build.state not in ("running", "killed") else "",
            str(build.ran or ""),
            str(build.cached or ""),
            cut(build.error),
        ]
        for build in builds
    ]
    header = ["BUILD", "WHEN", "CONTEXT", "TARGET", "RESULT", "TIME", "RAN", "CACHED", "ERROR"]
    console.stdout.write(rows(header, lines))
    return 0


def _heading(build: PastBuild) -> dict[str, Any]:
    return {
        "Build": build.name,
        "At": build.at,
        "Context": build.folder,
        "Dockerfile": build.file,
        "Targets": list(build.targets),
        "Result": build.state,
        "Seconds": round(build.seconds, 3),
        "Ran": build.ran,
        "Cached": build.cached,
        "Error": build.error,
    }


def _show(console: Console, parsed: Parsed, store: Store, rest: list[str]) -> int:
    build = the_build(store, rest[0] if rest else "", parsed.last("context"))
    if parsed.last("format") == "json":
        console.stdout.write(json.dumps(_document(build)) + "\n")
        return 0
    from jettison.cli.summary import full_table

    console.stdout.write(_title(build) + full_table(build))
    if build.error:
        console.stdout.write(f"\n{build.error}\n")
    return 0


def _title(build: PastBuild) -> str:
    from jettison.cli.table import age_of

    where = build.folder or "a context from elsewhere"
    return f"{build.name}: {', '.join(build.targets)} of {where}, {age_of(build.at)}: {build.state}\n"


def _document(build: PastBuild) -> dict[str, Any]:
    from jettison.journal.timing import timing

    times = timing(build)
    steps = []
    for step in build.steps:
        wait = times.waits.get(step.id)
        steps.append(
            {
                "Number": step.number,
                "Step": step.id,
                "Name": step.name,
                "Stage": step.stage,
                "Lines": list(step.lines),
                "State": step.state,
                "Started": round(step.started, 3),
                "Seconds": round(step.seconds, 3),
                "Added": step.size,
                "Output": step.log,
                "Needs": list(step.inputs),
                "Critical": step.id in times.path,
                "WaitedFor": wait.last if wait else "",
                "WaitedForSteps": round(wait.inputs, 3) if wait else 0.0,
                "WaitedForSlot": round(wait.slot, 3) if wait else 0.0,
                "Error": step.error,
            }
        )
    spans = [
        {
            "Kind": span.kind,
            "Name": span.name,
            "Step": span.step,
            "Started": round(span.started, 3),
            "Seconds": round(span.ended - span.started, 3),
            "Size": span.size,
        }
        for span in build.spans
    ]
    return {**_heading(build), "CriticalSeconds": round(times.total, 3), "Steps": steps, "Besides": spans}


def _compare(console: Console, parsed: Parsed, store: Store, rest: list[str]) -> int:
    from jettison.journal import keep
    from jettison.journal.compare import compare

    new = the_build(store, rest[1] if len(rest) > 1 else "", parsed.last("context"))
    if rest:
        old = the_build(store, rest[0])
    else:
        before = keep.latest(store.db, new.folder, before=new.number)
        if before is None:
            raise NotFound(
                f"no build of {new.folder} before {new.name} is remembered", hint="jettison builds lists them"
            )
        old = the_build(store, f"b{before}")
    changes = compare(store, new, old)
    shown = [one for one in changes if parsed.has("all") or one.matters]
    if parsed.last("format") == "json":
        document = {"Old": _heading(old), "New": _heading(new), "Steps": list(map(_change, shown))}
        console.stdout.write(json.dumps(document) + "\n")
        return 0
    from jettison.cli.compared import text

    console.stdout.write(text(new, old, shown, len(changes) - len(shown)))
    return 0


def _change(one: Change) -> dict[str, Any]:
    step = one.new or one.old
    assert step is not None
    return {
        "Name": step.name,
        "Stage": step.stage,
        "Old": {"State": one.old.state, "Seconds": round(one.old.seconds, 3), "Added": one.old.size}
        if one.old
        else None,
        "New": {"State": one.new.state, "Seconds": round(one.new.seconds, 3), "Added": one.new.size}
        if one.new
        else None,
        "Reasons": list(one.reasons),
    }


def _trace(console: Console, parsed: Parsed, store: Store, rest: list[str]) -> int:
    from jettison.cli.build import write_file
    from jettison.journal.trace import trace

    build = the_build(store, rest[0] if rest else "", parsed.last("context"))
    text = json.dumps(trace(build)) + "\n"
    if parsed.last("output", "-") == "-":
        console.stdout.write(text)
    else:
        write_file(parsed.last("output"), text)
    return 0

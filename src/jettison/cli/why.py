"""`jettison why`: why the steps of the last build ran."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.why.base import Build, Explained, Step

COMMAND = Command(
    "why",
    "[OPTIONS] [STEP]",
    "tell why the steps of the last build ran",
    """
Tells for every step that ran in the last build of this folder which of its inputs was
another one than before: a file, a variable, the command, the base image, the step below.
STEP picks some of them: a stage, STAGE:LINE, or a part of the instruction. Builds that
found everything in the cache are passed over.
""",
    (
        Option(("--context", "-C"), "folder that was built (default: the current one)", "DIR"),
        Option(("--format",), "text (default) or json: one object in a line", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (
        ("All steps that ran", "jettison why"),
        ("The step in line 12 of a stage", "jettison why builder:12"),
        ("By its text", 'jettison why "npm ci"'),
    ),
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Explain the last build."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="text or json")
    from jettison.why import record
    from jettison.why.telling import explained

    given = parsed.last("context")
    folder = os.path.realpath(given or ".")
    with opened(console, parsed) as local:
        db = local.store.db
        number = record.latest(db, folder) or (None if given else record.latest(db))
        if number is None:
            raise NotFound(
                f"no build of {folder} is remembered" if given else "no build is remembered in this store",
                hint="only builds in which a step ran are; build something first: jettison build .",
            )
        build = record.read(db, number)
        found = explained(local.store, build, record.before(db, build, number))
    if build.folder != folder and form == "text":
        console.note(
            f"no build of {folder} is remembered; this is the latest one, of {build.folder or 'elsewhere'}"
        )
    wanted = parsed.arguments[0] if parsed.arguments else ""
    steps = _chosen(build, wanted) if wanted else [item.step for item in found]
    if form == "json":
        _write_json(console, build, steps, found)
    else:
        _write_text(console, build, steps, found, bool(wanted))
    return 0


def _chosen(build: Build, wanted: str) -> list[Step]:
    from jettison.why.match import chosen

    own = [step for step in build.steps if step.op["type"] != "source"]
    return chosen(own, wanted, "jettison why lists the steps that ran")


def _write_text(
    console: Console, build: Build, steps: list[Step], found: list[Explained], asked: bool
) -> None:
    from datetime import UTC, datetime

    from jettison.cli.table import age

    when = age(datetime.fromtimestamp(build.at, UTC).isoformat())
    count = f"{len(found)} step{'' if len(found) == 1 else 's'} ran"
    out = [f"build of {build.folder or 'a context from elsewhere'}, {when}: {count}"]
    reasons = {item.step.id: item.reasons for item in found}
    for step in steps:
        notes = [f"line {step.lines[0]}"] if step.lines[0] else []
        notes += ["failed"] if step.state == "failed" else []
        out.append(f"{step.name}  ({', '.join(notes)})" if notes else step.name)
        if step.id in reasons:
            out += [f"    {reason.text}" for reason in reasons[step.id]]
        elif step.state == "cached":
            out.append("    did not run: its result was in the cache")
        else:
            out.append("    did not run: the build ended before, or did not need it")
    console.stdout.write("\n".join(out) + "\n")


def _write_json(console: Console, build: Build, steps: list[Step], found: list[Explained]) -> None:
    reasons = {item.step.id: item.reasons for item in found}
    for step in steps:
        document = {
            "Step": step.id.removeprefix("sha256:")[:12],
            "Name": step.name,
            "Stage": step.stage,
            "Lines": list(step.lines),
            "State": step.state or "not reached",
            "Built": build.at,
            "Reasons": [{"Kind": reason.kind, "Text": reason.text} for reason in reasons.get(step.id, ())],
        }
        console.stdout.write(json.dumps(document) + "\n")

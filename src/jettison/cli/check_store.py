"""`jettison check-store`: every byte of the local store is read and compared with what it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, familiar, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.upkeep.check import Checked
    from jettison.upkeep.repair import Repaired

COMMAND = Command(
    "check-store",
    "[OPTIONS]",
    "look for damage in the local store, and repair it",
    """
Reads all blobs and all files of layers, and compares them with their digests. Says what is damaged and
which images are hurt, and which files others than the owner could use. With --repair, what is damaged is
made again from the layer's other form or fetched again from where it came; what nothing can bring back is
removed, with the steps and images that need it. What is sound stays as it is.

The exit status is 1 when something is damaged; with --repair only when an image could not be saved.
""",
    (
        Option(("--repair",), "make damaged parts again, remove what cannot be saved"),
        Option(("--format",), "text (default) or json: one object with everything", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (("Is my store sound?", "jettison check-store"), ("Mend it", "jettison check-store --repair")),
    most=0,
)


def run(console: Console, argv: list[str]) -> int:
    """Check, repair if asked to, and say what was found."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="text or json")
    with opened(console, parsed) as local:
        from jettison.upkeep.check import check

        checked, repaired = check(local.store), None
        if parsed.has("repair"):
            from jettison.upkeep.repair import repair

            repaired = repair(local.store, checked)
    console.stdout.write(_json(checked, repaired) if form == "json" else _text(checked, repaired))
    saved = repaired is not None and not repaired.images
    return 0 if not checked.damages or saved else 1


def _text(checked: Checked, repaired: Repaired | None) -> str:
    lines = []
    for damage in checked.damages:
        outcome = f" ({repaired.outcomes[damage]})" if repaired else ""
        lines.append(f"{damage.kind} {damage.id}: {damage.problem}{outcome}")
        lines += [f"  hurts the image {familiar(name)}" for name in checked.hurt[damage]]
    if repaired is not None:
        hurt = sorted({name for names in checked.hurt.values() for name in names})
        for name in hurt:
            gone = name in repaired.images
            lines.append(
                f"image {familiar(name)}: "
                + ("removed; build, pull or load it again" if gone else "sound again")
            )
        lines += [
            f"image {familiar(name)}: removed; build, pull or load it again"
            for name in repaired.images
            if name not in hurt
        ]
        if repaired.records:
            lines.append(f"{repaired.records} cached results were removed: their steps run again")
    found = len(checked.damages)
    lines.append(
        f"checked {checked.blobs} blobs and the files of {checked.trees} layers: "
        + (f"{found} damaged" if found else "all sound")
    )
    if checked.noted:
        lines.append(
            f"{checked.noted} layers had nothing to be compared with; their digests are noted, and the next"
            " check compares with them"
        )
    if checked.elsewhere:
        lines.append(
            f"{checked.elsewhere} unpacked layers were left out: they were made with other user ids or "
            "rights than this command has"
        )
    if found and repaired is None:
        lines.append("jettison check-store --repair mends what can be mended")
    return "".join(line + "\n" for line in lines)


def _json(checked: Checked, repaired: Repaired | None) -> str:
    document = {
        "blobs": checked.blobs,
        "layers": checked.trees,
        "noted": checked.noted,
        "elsewhere": checked.elsewhere,
        "damages": [
            {
                "type": damage.kind,
                "id": damage.id,
                "problem": damage.problem,
                "images": list(checked.hurt[damage]),
                **({"outcome": repaired.outcomes[damage]} if repaired else {}),
            }
            for damage in checked.damages
        ],
        **(
            {"removed_images": list(repaired.images), "removed_records": repaired.records} if repaired else {}
        ),
    }
    return json.dumps(document) + "\n"

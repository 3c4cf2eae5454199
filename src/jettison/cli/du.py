"""`jettison du`: what the local store takes on the disk, and for what."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, familiar, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.upkeep.survey import Item
    from jettison.upkeep.usage import Sum, Usage, Use

COMMAND = Command(
    "du",
    "[OPTIONS]",
    "show what the local store takes on the disk, and for what",
    """
Shows how many bytes of the disk the local store takes: by type, by stage, for each image and cache
mount and, with --verbose, for each step. The types add up to the total: what several need counts for
the first of them. SHARED is the part of a size that something else needs as well: removing one alone
does not free it. RECLAIMABLE is what `jettison prune --all` would free.
""",
    (
        Option(("--verbose", "-v"), "list every step, layer and file too"),
        Option(("--format",), "table (default) or json: one object with everything", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (("Where has my disk gone?", "jettison du"), ("For a program", "jettison du --format json")),
    most=0,
)


def run(console: Console, argv: list[str]) -> int:
    """Measure and show."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="table or json")
    with opened(console, parsed) as local:
        from jettison.upkeep.usage import usage

        found = usage(local.store)
    console.stdout.write(_json(found) if form == "json" else _tables(found, parsed.has("verbose")))
    return 0


def label(item: Item) -> str:
    """An item as people know it, in one line of bounded length."""
    if item.kind == "image":
        return f"{familiar(item.id)[:60]} ({item.title})"
    text = " ".join((item.title or item.id).split())
    text = text if len(text) <= 60 else text[:59] + "…"
    named = item.title and item.kind in ("step", "failed", "log", "cache-mount")
    return text if named else f"{text} {item.id[:19]}".strip()


def ago(moment: float) -> str:
    """How long ago something was used."""
    from jettison.cli.table import age

    if not 0 < moment < 1e11:
        return "in use" if moment else "N/A"
    return age(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)))


def _tables(found: Usage, verbose: bool) -> str:
    from jettison.cli.table import rows, size_text

    total = sum(one.reclaimable for one in found.types)
    types = [[one.name, str(one.count or ""), size_text(one.size), _reclaimable(one)] for one in found.types]
    types.append(["total", "", size_text(found.total), size_text(total)])
    out = rows(["TYPE", "COUNT", "SIZE", "RECLAIMABLE"], types)
    if found.stages:
        stages = [[one.name, str(one.count), size_text(one.size)] for one in found.stages]
        out += "\n" + rows(["STAGE", "STEPS", "SIZE"], stages)
    for kind, title in _LISTED.items():
        uses = [use for use in found.uses if use.item.kind == kind]
        if uses and (verbose or kind in ("image", "cache-mount")):
            out += "\n" + rows([title, "LAST USED", "SIZE", "SHARED"], _lines(uses))
    return out


_LISTED = {
    "image": "IMAGE",
    "cache-mount": "CACHE MOUNT",
    "step": "STEP",
    "failed": "FAILED STEP",
    "tree": "UNPACKED LAYER",
    "orphan": "ORPHAN",
    "memo": "CONTEXT HASHES",
    "log": "LOGS",
}


def _reclaimable(one: Sum) -> str:
    from jettison.cli.table import size_text

    return size_text(one.reclaimable) if one.reclaimable else ""


def _lines(uses: list[Use]) -> list[list[str]]:
    from jettison.cli.table import size_text

    return [
        [label(use.item), ago(use.item.used), size_text(use.size), size_text(use.shared)]
        for use in sorted(uses, key=lambda use: (-use.size, use.item.id))
    ]


def _json(found: Usage) -> str:
    document = {
        "total": found.total,
        "reclaimable": sum(one.reclaimable for one in found.types),
        "folders": found.parts,
        "types": [
            {"type": one.name, "count": one.count, "size": one.size, "reclaimable": one.reclaimable}
            for one in found.types
        ],
        "stages": [{"stage": one.name, "steps": one.count, "size": one.size} for one in found.stages],
        "items": [
            {
                "type": use.item.kind,
                "id": use.item.id,
                "stage": use.item.stage,
                "title": use.item.title,
                "last_used": use.item.used,
                "size": use.size,
                "shared": use.shared,
            }
            for use in found.uses
        ],
    }
    return json.dumps(document) + "\n"

"""`jettison history`: the steps that made an image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jettison.cli.local import STORE_OPTIONS, need, opened, short_id
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.exporters.image import ImageDocument

COMMAND = Command(
    "history",
    "[OPTIONS] IMAGE",
    "show the steps that made an image",
    "Shows an image's history, the last step first. SIZE counts compressed bytes.",
    (
        Option(("--no-trunc",), "show whole ids and commands"),
        Option(("--quiet", "-q"), "show image ids only"),
        Option(("--human", "-H"), "sizes and ages for people (default; --human=false for numbers)"),
        Option(("--format",), "table (default) or json: one object in a line", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (("Where an image's bytes come from", "jettison history shop/web"),),
    least=1,
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Show the history of one image."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="table or json")
    from jettison.exporters.image import read_image

    with opened(console, parsed) as local:
        image = read_image(local.store, need(local.store, parsed.arguments[0]).manifest)
    steps = history(image)
    if parsed.has("quiet"):
        for step in steps:
            console.stdout.write(_id(step["ID"], parsed) + "\n")
    elif form == "json":
        console.stdout.write("".join(json.dumps(step) + "\n" for step in steps))
    else:
        console.stdout.write(_as_table(steps, parsed))
    return 0


def history(image: ImageDocument) -> list[dict[str, Any]]:
    """The entries of an image's history with the sizes of their layers, the last first."""
    sizes = iter([layer.size for layer in image.manifest.layers])
    steps = []
    for entry in image.config.history:
        size = 0 if entry.empty_layer else next(sizes, 0)
        steps.append(
            {
                "ID": "<missing>",
                "CreatedAt": entry.created,
                "CreatedBy": entry.created_by,
                "Size": size,
                "Comment": entry.comment,
            }
        )
    if steps:
        steps[-1]["ID"] = image.config_digest
    return steps[::-1]


def _id(text: str, parsed: Parsed) -> str:
    return text if parsed.has("no-trunc") else short_id(text)


def _as_table(steps: list[dict[str, Any]], parsed: Parsed) -> str:
    from jettison.cli.table import age, rows, size_text

    human = parsed.last("human", "true") == "true"
    lines = []
    for step in steps:
        by = " ".join(step["CreatedBy"].split())
        if not parsed.has("no-trunc") and len(by) > 45:
            by = by[:44] + "…"
        created = age(step["CreatedAt"]) if human else step["CreatedAt"]
        size = size_text(step["Size"]) if human else str(step["Size"])
        lines.append([_id(step["ID"], parsed), created, by, size, step["Comment"]])
    return rows(["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"], lines)

"""`jettison schema`: the JSON Schema of what programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.options import Command, parse

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "schema",
    "",
    "print the JSON Schema of the lines of --progress jsonl",
    """
Prints the JSON Schema (draft 2020-12) that every line of `jettison build --progress jsonl` keeps to.
docs/events.md says what may change in it, and what not.
""",
    (),
    (("For a validator", "jettison schema > events.schema.json"),),
    most=0,
)


def run(console: Console, argv: list[str]) -> int:
    """Print it."""
    if parse(COMMAND, argv).help:
        return console.help(COMMAND)
    from jettison.progress.schema import FILE

    with open(FILE, encoding="utf-8") as file:
        console.stdout.write(file.read())
    return 0

"""`jettison tag`: a further name for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, full_name, need, opened
from jettison.cli.options import Command, parse

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "tag",
    "[OPTIONS] IMAGE NAME[:TAG]",
    "give an image a further name",
    "Lets a name point to an image, whatever it pointed to before.",
    STORE_OPTIONS,
    (("A name to push to", "jettison tag shop/web registry.example/shop/web:1.2"),),
    least=2,
    most=2,
)


def run(console: Console, argv: list[str]) -> int:
    """Tag an image; says nothing when it is done, as docker."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    source, target = parsed.arguments
    name = full_name(target)
    with opened(console, parsed) as local:
        local.store.images.tag(need(local.store, source).name, name)
    return 0

"""`jettison version`: what a bug report needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.options import Command, parse
from jettison.version import VERSION

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "version",
    "",
    "show the version",
    "Shows the versions of jettison, Python and the kernel.",
    (),
    (("What to put into a bug report", "jettison version"),),
    most=0,
)


def run(console: Console, argv: list[str]) -> int:
    """Print the versions."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    import os
    import sys

    kernel = os.uname()
    console.stdout.write(
        f"jettison {VERSION}\n"
        f"Python   {sys.version.split()[0]}\n"
        f"kernel   {kernel.sysname} {kernel.release} {kernel.machine}\n"
    )
    return 0

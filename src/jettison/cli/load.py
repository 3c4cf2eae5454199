"""`jettison load`: images from OCI layouts and archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, familiar, opened, platform_of
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "load",
    "[OPTIONS] [PATH|- [NAME[:TAG]]]",
    "take images from an OCI layout or an archive into the local store",
    """
Reads an OCI layout (a folder), an OCI archive or a docker archive, also
compressed, into the local store. With NAME the image gets that name, otherwise the names it came with.
""",
    (
        Option(("--input", "-i"), "read this file (default: PATH, else standard input)", "PATH"),
        Option(("--platform",), "of an image for several platforms, take this one", "PLATFORM"),
        Option(("--quiet", "-q"), "say nothing"),
        *STORE_OPTIONS,
    ),
    (
        ("What `docker save` wrote", "docker save shop/web | jettison load"),
        ("A folder, with a name", "jettison load bases/golang golang:1.22"),
    ),
    most=2,
)


def run(console: Console, argv: list[str]) -> int:
    """Load images and print their names."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    words = list(parsed.arguments)
    path = parsed.last("input") or (words.pop(0) if words else "-")
    if len(words) > 1:
        raise UsageError(f"jettison load: one argument too many: {words[1]!r}")
    if path == "-" and console.stdin.isatty():
        raise UsageError(
            "an image should come from standard input, which is a terminal", hint="jettison load image.tar"
        )
    platform = platform_of(parsed) if parsed.last("platform") else None
    from jettison.sources.load import load

    with opened(console, parsed) as local:
        names = load(local.store, path, words[0] if words else None, platform)
    if not parsed.has("quiet"):
        for name in names:
            console.stdout.write(f"Loaded image: {familiar(name)}\n")
    return 0

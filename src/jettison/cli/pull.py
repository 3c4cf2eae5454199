"""`jettison pull`: an image from a registry into the local store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, opened, platform_of
from jettison.cli.options import Command, Option, parse

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "pull",
    "[OPTIONS] NAME[:TAG|@DIGEST]",
    "fetch an image from a registry",
    "Fetches an image with all of its layers into the local store, from its registry or a mirror.",
    (
        Option(("--platform",), "platform (default: this machine's)", "PLATFORM"),
        Option(("--quiet", "-q"), "print the full name only"),
        *STORE_OPTIONS,
    ),
    (("A base image, ahead of a build without network", "jettison pull alpine:3.20"),),
    least=1,
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Pull an image and print its name."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    platform = platform_of(parsed)
    from jettison.cli.meter import meter
    from jettison.sources.images import pull_image

    with opened(console, parsed) as local, meter(console, "pulling", parsed.has("quiet")) as tell:
        image = pull_image(local.store, parsed.arguments[0], platform, local.access, tell)
    if not parsed.has("quiet"):
        console.stdout.write(f"Digest: {image.digest}\n")
    console.stdout.write(image.name + "\n")
    return 0

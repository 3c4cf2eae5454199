"""`jettison push`: an image to a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, full_name, need, opened
from jettison.cli.options import Command, Option, parse

if TYPE_CHECKING:
    from jettison.cli.console import Console

COMMAND = Command(
    "push",
    "[OPTIONS] IMAGE [NAME[:TAG]]",
    "send an image to a registry",
    """
Sends an image to the registry of its name, or of a second name given. Layers that the
registry has are not sent. Credentials are those of docker login and podman login.
""",
    (Option(("--quiet", "-q"), "print the digest only"), *STORE_OPTIONS),
    (
        ("To the registry of its name", "jettison push registry.example/shop/web:1.2"),
        ("Under another name", "jettison push shop/web registry.example/shop/web:1.2"),
    ),
    least=1,
    most=2,
)


def run(console: Console, argv: list[str]) -> int:
    """Push an image and print its digest."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    from jettison.cli.meter import meter
    from jettison.exporters.image import read_image
    from jettison.exporters.registry import push_image

    with opened(console, parsed) as local:
        record = need(local.store, parsed.arguments[0])
        name = full_name(parsed.arguments[1]) if len(parsed.arguments) > 1 else record.name
        image = read_image(local.store, record.manifest)
        with meter(console, "pushing", parsed.has("quiet")) as tell:
            digest = push_image(local.store, image, name, local.access, tell)
    console.stdout.write(f"{digest}\n" if parsed.has("quiet") else f"{name}: digest: {digest}\n")
    return 0

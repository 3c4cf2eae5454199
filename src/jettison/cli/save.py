"""`jettison save`: images as OCI layouts and archives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.exporters.save import Format

_FORMATS: dict[str, Format] = {
    "docker": "docker",
    "docker-archive": "docker",
    "oci": "oci",
    "oci-archive": "oci",
    "oci-dir": "oci-dir",
}

COMMAND = Command(
    "save",
    "[OPTIONS] IMAGE...",
    "write images to an OCI layout or an archive",
    """
Writes images to a file or to standard output. The docker format is an OCI layout
too: every container tool reads it.
""",
    (
        Option(("--output", "-o"), "file, or folder for oci-dir (default: standard output)", "PATH"),
        Option(("--format",), "docker (default), oci or oci-dir", "FORMAT"),
        *STORE_OPTIONS,
        Option(("--quiet", "-q")),
    ),
    (
        ("A file for another machine", "jettison save -o web.tar shop/web"),
        ("Straight into Docker", "jettison save shop/web | docker load"),
        ("An OCI layout as a folder", "jettison save --format oci-dir -o layout shop/web"),
    ),
    least=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Write images."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    dest = parsed.last("output", "-")
    form = _FORMATS.get(parsed.last("format") or ("oci-dir" if os.path.isdir(dest) else "docker"))
    if form is None:
        raise UsageError(
            f"--format {parsed.last('format')!r} is not supported", hint="docker, oci or oci-dir"
        )
    if dest == "-" and form == "oci-dir":
        raise UsageError("--format oci-dir needs a folder", hint="name it with -o")
    if dest == "-" and console.stdout.isatty():
        raise UsageError("an image is not written to a terminal", hint="name a file with -o, or use a pipe")
    stream = console.binary_stdout() if dest == "-" else None
    from jettison.exporters.save import save

    with opened(console, parsed) as local:
        save(local.store, parsed.arguments, dest, form, stream)
    return 0

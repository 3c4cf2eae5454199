"""`jettison size`: what an image's bytes are, where they come from, and which are wasted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.cli.build_options import COMMAND as BUILD
from jettison.cli.local import STORE_OPTIONS, Local, need, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.insight.report import Subject
    from jettison.store.store import Store

_OF_BUILD = ("--target", "--file", "--build-arg", "--build-context", "--platform", "--secret", "--ssh")
_MOST_ROWS = 100_000

COMMAND = Command(
    "size",
    "[OPTIONS] IMAGE | --target STAGE [PATH]",
    "show what an image's bytes are, and which are wasted",
    """
Shows the bytes of an image by instruction and by stage, compressed and as files; files that later
layers overwrite, delete or store again for another owner or mode; contents that are there twice;
package caches, development dependencies, build files and sources that need not ship; and how to
write the Dockerfile without them.

With an image of the local store it says what that image holds; with --target or --file, what the
last build of a stage holds, with the options that it was built with.
""",
    (
        *(option for option in BUILD.options if option.names[0] in _OF_BUILD),
        Option(("--top",), "rows of each table (default: 10)", "N"),
        Option(("--format",), "text (default) or json", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (
        ("An image of the local store", "jettison size shop/web"),
        ("A stage as it was last built", "jettison size --target builder ."),
        ("For a program", "jettison size --format json shop/web"),
        ("Let a build fail when it ships too much", "jettison build --max-size 20MB --max-waste 5% ."),
    ),
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Report on one image, or one target."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="text or json")
    most = _most(parsed.last("top", "10"))
    from jettison.cli.size_text import as_json, as_text
    from jettison.insight.report import report

    with opened(console, parsed) as local:
        of_build = any(parsed.values.get(name.lstrip("-")) for name in _OF_BUILD)
        image = _built(console, parsed, local) if of_build else _stored(parsed, local.store)
        found = report(local.store, image)
    console.stdout.write(as_json(found) if form == "json" else as_text(found, most))
    return 0


def _most(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _MOST_ROWS:
        raise UsageError(f"--top {text!r} is not a number of rows", hint="for example --top 20")
    return int(text)


def _stored(parsed: Parsed, store: Store) -> Subject:
    """An image of the store."""
    from jettison.exporters.image import read_image
    from jettison.insight.base import base_layers
    from jettison.insight.origins import recall
    from jettison.insight.report import subject

    if not parsed.arguments:
        usage = f"usage: jettison size {COMMAND.usage}"
        raise UsageError("jettison size needs an image, or --target", hint=usage)
    name = parsed.arguments[0]
    try:
        record = need(store, name)
    except NotFound as error:
        if os.path.isdir(name):
            error.hint = f"for what a build makes of a folder: jettison size --target STAGE {name}"
        raise
    image = read_image(store, record.manifest)
    origins = recall(store.db, record.manifest)
    base, layers = ("", 0) if origins is not None else base_layers(store, image.config.diff_ids)
    return subject(name, image.layers, image.config.history, origins, layers, base)


def _built(console: Console, parsed: Parsed, local: Local) -> Subject:
    """A target as it was last built."""
    from jettison.build import last_built
    from jettison.cli.build import request_of
    from jettison.events import ignore
    from jettison.exporting import target_subject

    parsed.arguments[:] = parsed.arguments or ["."]
    request = request_of(parsed, console)
    console.dockerfile(request.file, request.file_text)
    if len(request.targets) > 1:
        raise UsageError("jettison size looks at one target at a time", hint="give one --target")
    plan, solution = last_built(request, local.settings, local.store, ignore)
    return target_subject(request, plan, plan.graph.targets[0], solution, local.store)

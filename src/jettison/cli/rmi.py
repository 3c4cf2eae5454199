"""`jettison rmi`: images, or names of images, are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, familiar, find, full_name, need, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import JettisonError, NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.store.store import Store

COMMAND = Command(
    "rmi",
    "[OPTIONS] IMAGE...",
    "remove images, or names of images",
    """
Removes names; an image without a name is gone. Given an id, all of its names are
removed: with several of them that needs --force. Layers stay in the cache of builds.
""",
    (
        Option(("--force", "-f"), "remove all names of an id; an image that is not there is no error"),
        *STORE_OPTIONS,
        Option(("--no-prune",)),
    ),
    (("One name", "jettison rmi shop/web:1.1"), ("Everything", "jettison rmi -f $(jettison images -q)")),
    least=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Remove what is named, as much as there is of it."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    failed: list[JettisonError] = []
    with opened(console, parsed) as local:
        for text in parsed.arguments:
            try:
                for line in _remove(local.store, text, parsed.has("force")):
                    console.stdout.write(line + "\n")
            except NotFound as error:
                if not parsed.has("force"):
                    failed.append(error)
            except JettisonError as error:
                failed.append(error)
    if not failed:
        return 0
    from jettison.cli.failure import tell

    return max(tell(console, error) for error in failed)


def _remove(store: Store, text: str, force: bool) -> list[str]:
    record = need(store, text)
    same = [known.name for known in store.images.list() if known.config == record.config]
    named = not text.startswith("sha256:") and store.images.get(full_name(text)) is not None
    names = [record.name] if named else same
    if len(names) > 1 and not force:
        shown = ", ".join(map(familiar, names))
        raise UsageError(f"{text} has several names: {shown}", hint="--force removes all of them")
    lines = []
    for name in names:
        store.images.remove(name)
        lines.append(f"Untagged: {familiar(name)}")
    if find(store, record.config) is None:
        lines.append(f"Deleted: {record.config}")
    return lines

"""`jettison cache-mount`: what RUN --mount=type=cache keeps, listed, saved, restored and removed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jettison.cli.local import STORE_OPTIONS, opened
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.cli.local import Local
    from jettison.store.store import Store

COMMAND = Command(
    "cache-mount",
    "ls|save|restore|rm [OPTIONS] [ID|SOURCE...]",
    "list, save, restore and remove cache mounts",
    """
Works with the folders that RUN --mount=type=cache keeps between builds, so that a machine
which lives for one build can have them too. An id is the mount's id=, else its target.

  ls                 list them
  save ID...         write some to an archive (-o FILE.tar.zst) or push them (--to REFERENCE)
  restore SOURCE     take them from an archive, a reference or oci-layout://DIR[:TAG]
  rm ID...           remove some

A mount that a build uses at the moment is not saved, restored or removed. A restore that fails leaves
the mounts as they were.
""",
    (
        Option(
            ("--output", "-o"), "save: archive, .tar, .tar.gz or .tar.zst (default: standard output)", "FILE"
        ),
        Option(("--to",), "save: push to a reference, or write to oci-layout://DIR[:TAG]", "REFERENCE"),
        Option(("--all", "-a"), "save, rm: all cache mounts"),
        Option(("--quiet", "-q"), "ls: ids only; others: say nothing"),
        Option(("--format",), "ls: table (default) or json: one object in a line", "FORMAT"),
        *STORE_OPTIONS,
    ),
    (
        ("What there is", "jettison cache-mount ls"),
        ("To a file, and back on another machine", "jettison cache-mount save go npm -o mounts.tar.zst"),
        ("", "jettison cache-mount restore mounts.tar.zst"),
        ("To a registry", "jettison cache-mount save --all --to registry.example/shop/mounts:main"),
        ("Remove one", "jettison cache-mount rm /root/.cache/pip"),
    ),
    least=1,
)

_LAYOUT = "oci-layout://"


def run(console: Console, argv: list[str]) -> int:
    """Carry out one of the four."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    word, *rest = parsed.arguments
    actions = {"ls": _ls, "list": _ls, "save": _save, "restore": _restore, "rm": _rm}
    if word not in actions:
        raise UsageError(f"jettison cache-mount has no command {word!r}", hint="ls, save, restore or rm")
    return actions[word](console, parsed, rest)


def _ls(console: Console, parsed: Parsed, rest: Sequence[str]) -> int:
    form = parsed.last("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="table or json")
    if rest:
        raise UsageError(f"jettison cache-mount ls: one argument too many: {rest[0]!r}")
    from datetime import UTC, datetime

    from jettison.cli.table import age, rows, size_text
    from jettison.store.cache_mounts import listed
    from jettison.why.record import cache_mount_users

    quiet = parsed.has("quiet")
    with opened(console, parsed) as local:
        mounts = listed(local.store, sizes=not quiet)
        users = {} if quiet else cache_mount_users(local.store.db)
    if quiet:
        console.stdout.write("".join(mount.id + "\n" for mount in mounts))
        return 0
    lines = []
    for mount in mounts:
        used = datetime.fromtimestamp(mount.last_used, UTC).isoformat(timespec="seconds")
        # Private mounts are numbered copies of one id.
        stage = users.get(mount.id) or users.get(mount.id.rpartition("#")[0], "")
        if form == "json":
            document = {"ID": mount.id, "Size": mount.size, "LastUsed": used, "Stage": stage}
            console.stdout.write(json.dumps(document) + "\n")
        lines.append([mount.id, size_text(mount.size), age(used), stage])
    if form == "table":
        console.stdout.write(rows(["ID", "SIZE", "LAST USED", "STAGE"], lines))
    return 0


def _ids(store: Store, parsed: Parsed, rest: Sequence[str], what: str) -> list[str]:
    if parsed.has("all") == bool(rest):
        raise UsageError(f"jettison cache-mount {what} needs ids, or --all", hint="jettison cache-mount ls")
    if rest:
        return list(dict.fromkeys(rest))
    from jettison.store.cache_mounts import listed

    return [mount.id for mount in listed(store, sizes=False)]


def _save(console: Console, parsed: Parsed, rest: Sequence[str]) -> int:
    dest, to = parsed.last("output"), parsed.last("to")
    if dest and to:
        raise UsageError("cache mounts are saved to --output or to --to, not to both at once")
    dest = dest or "-"
    if not to and dest == "-" and console.stdout.isatty():
        raise UsageError("an archive is not written to a terminal", hint="name a file with -o, or use a pipe")
    from jettison.exporters.cache_mounts import save_archive

    with opened(console, parsed) as local:
        ids = _ids(local.store, parsed, rest, "save")
        if to:
            digest = _save_to(local, ids, to)
            if not parsed.has("quiet"):
                console.stdout.write(f"{to} {digest}\n")
        else:
            save_archive(local.store, ids, dest, console.binary_stdout() if dest == "-" else None)
    return 0


def _save_to(local: Local, ids: Sequence[str], to: str) -> str:
    from jettison.exporters import cache_mounts

    if not to.startswith(_LAYOUT):
        return cache_mounts.push(local.store, ids, to, local.access)
    from jettison.sources.layout import split_layout

    folder, selector = split_layout(to)
    if selector.startswith("@"):
        raise UsageError(f"--to {to}: a digest cannot be chosen", hint="name a tag: oci-layout://DIR:TAG")
    return cache_mounts.save_layout(local.store, ids, folder, selector.removeprefix(":") or "latest")


def _restore(console: Console, parsed: Parsed, rest: Sequence[str]) -> int:
    if len(rest) > 1:
        raise UsageError(f"jettison cache-mount restore: one argument too many: {rest[1]!r}")
    source = rest[0] if rest else "-"
    with opened(console, parsed) as local:
        ids = _restored(console, local, source)
    if not parsed.has("quiet"):
        console.stdout.write("".join(f"restored {mount_id}\n" for mount_id in ids))
    return 0


def _restored(console: Console, local: Local, source: str) -> list[str]:
    from jettison.sources import cache_mounts

    store = local.store
    if source == "-":
        path = cache_mounts.spooled(store, console.open_stdin("an archive of cache mounts"))
        return cache_mounts.restore_archive(store, path)
    if source.startswith(_LAYOUT) or os.path.isdir(source):
        from jettison.sources.layout import split_layout

        return cache_mounts.restore_layout(store, *split_layout(source))
    if os.path.exists(source):
        return cache_mounts.restore_archive(store, os.path.abspath(source))
    if source.startswith(("/", "./", "../")) or source.endswith((".tar", ".gz", ".tgz", ".zst", ".tzst")):
        raise NotFound(f"there is no archive {source}", hint="jettison cache-mount save writes one")
    return cache_mounts.restore_reference(store, source, local.access)


def _rm(console: Console, parsed: Parsed, rest: Sequence[str]) -> int:
    from jettison.store.cache_mounts import remove

    with opened(console, parsed) as local:
        removed = remove(local.store, _ids(local.store, parsed, rest, "rm"))
    if not parsed.has("quiet"):
        console.stdout.write("".join(f"removed {mount_id}\n" for mount_id in removed))
    return 0

"""Images of made-up layers for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.insight.origins import Step
from jettison.insight.report import Report, Subject, report
from jettison.location import Location
from jettison.store.base import Entry
from jettison.store.store import Store

Item = tuple[Entry, bytes | None]
KB = 1000


def file(path: str, data: bytes | int, mode: int = 0o644, uid: int = 0, when: int = 10) -> Item:
    """A file with some content, or with so many bytes that no other size shares."""
    data = (path.encode() * (data // len(path) + 1))[:data] if isinstance(data, int) else data
    return Entry(path, "file", mode, uid, uid, when * 10**9, len(data)), data


def link(path: str, target: str) -> Item:
    """A hard link to an earlier entry of the same layer."""
    return Entry(path, "hardlink", link=target), None


def gone(path: str) -> Item:
    """A whiteout."""
    return Entry(path, "whiteout"), None


def measured(
    store: Store, layers: Sequence[tuple[str, list[Item]]], base: int = 0, blobs: bool = False
) -> Report:
    """The report on an image of layers, each with the instruction that stands in the line of its number."""
    made = []
    for _, items in layers:
        folders = sorted({e.path[:at] for e, _ in items for at, sign in enumerate(e.path) if sign == "/"})
        writer = store.layers.blob_writer() if blobs else store.layers.tree_writer()
        for folder in folders:
            writer.add(Entry(folder, "dir", 0o755, mtime_ns=10**9))
        for entry, data in items:
            writer.add(entry, data)
        made.append(store.layers.ensure_blob(writer.commit().id))
    steps = tuple(
        Step(text, "final", "final", None if at < base else Location("Dockerfile", at, at))
        for at, (text, _) in enumerate(layers)
    )
    return report(store, Subject("app", tuple(made), steps, base, "base:1" if base else "", True))

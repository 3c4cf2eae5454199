"""A blob as a tree, or as an index of its entries."""

from __future__ import annotations

from jettison.store.base import Entry
from jettison.store.index import EntryTree
from jettison.store.readahead import Content
from jettison.store.tar_reader import TarReader
from jettison.store.tree_builder import TreeBuilder, write_all


def unpack(blob: str, root: str) -> tuple[str, int, tuple[str, ...]]:
    """Unpack a compressed layer into an empty folder: its diff ID, the bytes of its files, its implied
    directories.

    Raises StoreError for archives that are damaged or try to leave the folder.
    """
    builder = TreeBuilder(root)
    with Content(blob) as content:
        reader = TarReader(content)
        for entry in reader:
            builder.add(entry, lambda fd: write_all(fd, reader.content()))
        return content.digest(), builder.size, builder.finish()


def scan(blob: str) -> tuple[str, int, list[Entry]]:
    """Read a compressed layer without writing anything: its diff ID, the bytes of its files, its entries."""
    tree = EntryTree()
    found: list[Entry] = []
    with Content(blob) as content:
        for entry in TarReader(content):
            tree.add(entry)
            found.append(entry)
        return content.digest(), sum(entry.size for entry in found if entry.kind == "file"), found

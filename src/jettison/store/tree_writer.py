"""A layer as a folder, ready to be mounted."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from jettison.store.base import Entry, Layer
from jettison.store.contents import changed, pieces, told_pieces
from jettison.store.faults import faults
from jettison.store.temporary import remove_tree
from jettison.store.tree_builder import TreeBuilder, copy_file, write_all

if TYPE_CHECKING:
    from jettison.events import Told


class TreeLayerWriter:
    """A LayerWriter that writes below a temporary folder.

    `keep` gets the finished tree, the bytes of its files and its implied directories; `told` is told
    of the bytes of files as they are written.
    """

    def __init__(
        self, folder: str, keep: Callable[[str, int, tuple[str, ...]], Layer], told: Told | None = None
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._told = told
        self._tree = f"{folder}/tree"
        with faults("making a temporary folder", folder):
            os.mkdir(self._tree)
            os.chmod(self._tree, 0o755)
        self._builder = TreeBuilder(self._tree)

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None) -> None:
        """Add one entry. Raises StoreError when it cannot be made."""

        def fill(fd: int) -> int:
            if isinstance(content, str):
                return copy_file(content, fd, self._told)
            size = write_all(fd, told_pieces(pieces(content), self._told))
            if not isinstance(content, bytes) and content is not None and size != entry.size:
                raise changed(entry.path, entry.size, size)
            return size

        with faults(f"adding {entry.path!r} to a layer", self._folder):
            self._builder.add(entry, fill)

    def commit(self) -> Layer:
        """Make the layer appear in the store, whole."""
        try:
            with faults("finishing a layer", self._folder):
                implied = self._builder.finish()
            return self._keep(self._tree, self._builder.size, implied)
        finally:
            self.abort()

    def abort(self) -> None:
        """Leave nothing behind. Harmless after `commit`."""
        remove_tree(self._folder)

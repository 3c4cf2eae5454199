"""The layers of a store: how they come in, and how one rendering is made from the other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jettison.dataclass import replace
from jettison.errors import StoreError
from jettison.store.base import Blob, Layer, LayerWriter
from jettison.store.faults import faults
from jettison.store.private import private
from jettison.store.temporary import remove_tree

if TYPE_CHECKING:
    from jettison.events import Told
    from jettison.store.blob_writer import BlobLayerWriter, Written
    from jettison.store.compress import Packing
    from jettison.store.store import Store

_HOUR = 3600
_WORTH_A_TABLE = 4 << 20
"""Bytes of a blob; a smaller one is made again in no time."""
_COLUMNS = "id, diff_id, blob, blob_size, media_type, size"


class Layers:
    """The layers of one store.

    Their folders are ROOT/layers/ID, with `tree` and `index` as far as they were made.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folder = f"{store.root}/layers"

    # -- looking up

    def get(self, layer_id: str) -> Layer | None:
        """A layer, or None if the store has it not."""
        rows = self._store.db.read(f"SELECT {_COLUMNS} FROM layers WHERE id = ?", (layer_id,))
        return _layer(rows[0]) if rows else None

    def many(self, layer_ids: Sequence[str]) -> list[Layer]:
        """Layers in the order asked for. Raises StoreError when one is missing."""
        marks = ",".join("?" * len(layer_ids))
        rows = self._store.db.read(f"SELECT {_COLUMNS} FROM layers WHERE id IN ({marks})", tuple(layer_ids))
        found = {row[0]: _layer(row) for row in rows}
        for layer_id in layer_ids:
            if layer_id not in found:
                raise missing(layer_id)
        return [found[layer_id] for layer_id in layer_ids]

    def by_diff_id(self, diff_id: str) -> Layer | None:
        """A layer with this diff ID; one with a tree is preferred."""
        found = self._with_diff_id(diff_id)
        return found[0] if found else None

    def _with_diff_id(self, diff_id: str) -> tuple[Layer, float] | None:
        """The layer, and when it was used last."""
        rows = self._store.db.read(
            f"SELECT {_COLUMNS}, last_used FROM layers WHERE diff_id = ? ORDER BY id", (diff_id,)
        )
        if not rows or not diff_id:
            return None
        row = rows[0]
        if len(rows) > 1:
            row = next((row for row in rows if self.has_tree(row[0])), row)
        return _layer(row), row[6]

    def claim(self, diff_id: str) -> Layer | None:
        """As `by_diff_id`, and note that the layer is used, so that nothing removes it meanwhile."""
        found = self._with_diff_id(diff_id)
        if found is None or found[1] > time.time() - _HOUR:
            return found[0] if found else None
        self.touch([found[0].id])
        return self.by_diff_id(diff_id)

    def all(self) -> list[Layer]:
        """Every layer of the store."""
        return [_layer(row) for row in self._store.db.read(f"SELECT {_COLUMNS} FROM layers ORDER BY id")]

    def tree(self, layer_id: str) -> str:
        """Where the tree of a layer is, or would be: that with owners as this process can have them."""
        from jettison.store.trees import tree_name

        return f"{self.folder}/{layer_id}/{tree_name()}"

    def has_tree(self, layer_id: str) -> bool:
        """Whether the layer can be mounted as it is."""
        return os.path.isdir(self.tree(layer_id))

    def is_open(self, layer_id: str) -> bool:
        """Whether it can be looked into without unpacking or fetching anything."""
        return self.has_tree(layer_id) or os.path.exists(f"{self.folder}/{layer_id}/index")

    def implied(self, layer_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """For layers whose trees have some: the directories that no entry of the layer names."""
        marks = ",".join("?" * len(layer_ids))
        rows = self._store.db.read(
            f"SELECT id, implied FROM layers WHERE implied != '[]' AND id IN ({marks})", tuple(layer_ids)
        )
        return {row[0]: tuple(json.loads(row[1])) for row in rows}

    # -- coming in

    def register(self, diff_id: str, blob: Blob, origin: str) -> Layer:
        """Make a base layer known; nothing is fetched. A layer with the same diff ID is used again."""
        with self._store.db.transaction():
            known = self.claim(diff_id)
            if known is None:
                known = Layer(self._new_id(), diff_id, blob)
                self._insert(known, origin, base=True)
            elif known.blob is None or not self._store.blobs.has(known.blob.digest):
                # Whoever registered it first may be gone: the newest origin is the one that answers.
                known = replace(known, blob=blob)
                self._store.db.write(
                    "UPDATE layers SET blob = ?, blob_size = ?, media_type = ?, origin = ? WHERE id = ?",
                    (blob.digest, blob.size, blob.media_type, origin, known.id),
                )
            return known

    def tree_writer(self, told: Told | None = None) -> LayerWriter:
        """A writer whose layer becomes a folder that can be mounted. `told` hears of the bytes of files."""
        from jettison.store.tree_writer import TreeLayerWriter

        return TreeLayerWriter(self._store.session.new_folder("layer"), self._keep_tree, told)

    def blob_writer(
        self,
        chosen: Packing | None = None,
        clamp: int | None = None,
        before: str = "",
        told: Told | None = None,
    ) -> BlobLayerWriter:
        """A writer whose layer becomes a compressed blob, with modification times no later than `clamp`
        (seconds since the epoch).

        `before` names a layer that is likely to share much with the new one, if there is such. `told` hears
        of the bytes of files.
        """
        from jettison.store.blob_writer import BlobLayerWriter, LayerStream
        from jettison.store.compress import Packing
        from jettison.store.index import IndexWriter
        from jettison.store.pieces import open_pieces

        chosen = chosen or Packing()
        blobs, session = self._store.blobs, self._store.session
        with faults("making a layer", self._store.root):
            table = f"{self.folder}/{before}/pieces"
            known = open_pieces(table, chosen.name, blobs.folder) if before else None
            index = IndexWriter(session.new_name("index"))

        def keep(written: Written) -> Layer:
            return self._keep_blob(written, chosen.name)

        return BlobLayerWriter(blobs, LayerStream(blobs, chosen, known), index, clamp, keep, told)

    def commit_upper(
        self, upper: str, below: Sequence[str] | None = None, maker: tuple[int, int] = (0, 0)
    ) -> Layer:
        """Adopt the upper directory of an overlay mount as a layer; it is gone from its place afterwards.

        It has to be on the store's filesystem. With `below`, the ids of the layers under it, whiteouts and
        opaque marks for what these layers have not are dropped. `maker` is the user and group that the step
        ran as: theirs are the new files where none can have an owner.
        """
        from jettison.store import owners
        from jettison.store.trees import virtual
        from jettison.store.upper import bytes_of_files, drop_needless, note_owners

        with faults("adopting the files of a step", self._store.root):
            view = self._store.view(below or ())
            if below is not None:
                drop_needless(upper, view)
            if virtual():
                note_owners(upper, view, maker)
            empty: list[str] = []
            size = bytes_of_files(upper, empty)
            for path in () if virtual() else empty:
                owners.drop_forged(f"{upper}/{path}", view.lookup(path))
            return self._keep_tree(upper, size, ())

    def _keep_tree(self, tree: str, size: int, implied: tuple[str, ...]) -> Layer:
        from jettison.store import owners

        layer = Layer(self._new_id(), size=size)
        with self._store.db.transaction(), faults("storing a layer", self._store.root):
            self._insert(layer, "", implied=implied)
            os.mkdir(f"{self.folder}/{layer.id}", 0o700)
            owners.bring(tree, self.tree(layer.id))
        return layer

    def _keep_blob(self, written: Written, packing: str) -> Layer:
        layer = Layer(self._new_id(), written.diff_id, written.blob, written.size)
        folder = self._store.session.new_folder("layer")
        with faults("storing a layer", self._store.root):
            os.rename(written.index, f"{folder}/index")
            if written.blob.size >= _WORTH_A_TABLE and written.pieces:
                from jettison.store.pieces import to_bytes

                with open(f"{folder}/pieces", "xb", opener=private) as file:
                    file.write(to_bytes(written.pieces, packing, written.blob.digest))
            with self._store.db.transaction():
                self._insert(layer, "")
                os.rename(folder, f"{self.folder}/{layer.id}")
        return layer

    def _new_id(self) -> str:
        # Short: the names of all layers of a mount have to fit into one page.
        return os.urandom(5).hex()

    def _insert(self, layer: Layer, origin: str, base: bool = False, implied: tuple[str, ...] = ()) -> None:
        now = time.time()
        blob = layer.blob or Blob("", 0, "")
        self._store.db.write(
            f"INSERT INTO layers ({_COLUMNS}, origin, base, implied, created, last_used)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                layer.id, layer.diff_id, blob.digest, blob.size, blob.media_type, layer.size,
                origin, int(base), json.dumps(implied), now, now,
            ),
        )  # fmt: skip

    # -- renderings

    def ensure_tree(self, layer_id: str) -> str:
        """The tree of a layer; when there is none, its blob is fetched if need be, and unpacked."""
        tree = self.tree(layer_id)
        if not os.path.isdir(tree):
            from jettison.store.renderings import make_tree

            with self._store.lock(f"tree-{layer_id}"):
                if not os.path.isdir(tree):
                    make_tree(self._store, self._need(layer_id))
        return tree

    def ensure_index(self, layer_id: str) -> bytes:
        """The index of the entries of a layer that is a blob; made from the blob when there is none."""
        path = f"{self.folder}/{layer_id}/index"
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            from jettison.store.renderings import make_index

            with self._store.lock(f"index-{layer_id}"):
                if not os.path.exists(path):
                    make_index(self._store, self._need(layer_id))
            with open(path, "rb") as file:
                return file.read()

    def ensure_blob(
        self,
        layer_id: str,
        clamp: int | None = None,
        chosen: Packing | None = None,
        told: Told | None = None,
    ) -> Layer:
        """The layer with its diff ID and a blob that is in the store.

        `clamp` (seconds since the epoch) cuts later modification times, in a rendering of its own.
        Base layers are given as they came, whatever `clamp` and `chosen` are. Without
        `chosen` any compression will do. `told` hears of the bytes of files as they are packed.
        """
        layer = self._need(layer_id)
        if self.is_base(layer_id):
            self.fetch(layer)
            return layer
        blob = layer.blob
        fits = clamp is None and blob and (chosen is None or chosen.fits(blob.media_type))
        if fits and blob and self._store.blobs.has(blob.digest):
            return layer
        from jettison.store.renderings import make_blob

        with self._store.lock(f"blob-{layer_id}"):
            return make_blob(self._store, self._need(layer_id), clamp, chosen, told)

    def fetch(self, layer: Layer) -> str:
        """The file of a layer's blob, which is brought from its origin when the store has it not."""
        blob = layer.blob
        if blob is None:
            raise StoreError(
                f"layer {layer.id} has neither files nor a blob", hint="build again with --no-cache"
            )
        path = self._store.blobs.path(blob.digest)
        if not _is_whole(path, blob):
            with self._store.lock(f"fetch-{blob.digest.rpartition(':')[2]}"):
                if not _is_whole(path, blob):
                    # A power cut may leave a file that has a name, but not all of its content.
                    self._store.blobs.remove(blob.digest)
                    self._fetch(layer.id, blob)
        return path

    def _fetch(self, layer_id: str, blob: Blob) -> None:
        origin = self._store.db.read("SELECT origin FROM layers WHERE id = ?", (layer_id,))[0][0]
        if self._store.fetch is None or not origin:
            raise StoreError(
                f"the blob {blob.digest} of layer {layer_id} is not in the store",
                hint="pull or load its image again",
            )
        self._store.fetch(blob, origin)
        if not self._store.blobs.has(blob.digest):
            raise StoreError(f"the blob {blob.digest} did not come from {origin}", temporary=True)

    def is_base(self, layer_id: str) -> bool:
        """Whether the layer came with an image, and is never rendered anew."""
        rows = self._store.db.read("SELECT base FROM layers WHERE id = ?", (layer_id,))
        return bool(rows and rows[0][0])

    # -- upkeep

    def touch(self, layer_ids: Sequence[str]) -> None:
        """Note that layers were used now, for whoever has to choose what to remove."""
        now = time.time()
        self._store.db.write_many(
            "UPDATE layers SET last_used = ? WHERE id = ?", [(now, i) for i in layer_ids]
        )

    def usable(self, layer_ids: Sequence[str]) -> bool:
        """Whether all layers are known, and each has a tree, or a blob that is here or can be fetched.

        A tree that only others can use counts too.
        """
        from jettison.store.trees import TREES

        marks = ",".join("?" * len(layer_ids))
        rows = self._store.db.read(
            f"SELECT id, blob, origin FROM layers WHERE id IN ({marks})", tuple(layer_ids)
        )
        if len(rows) < len(set(layer_ids)):
            return False
        return all(
            any(os.path.isdir(f"{self.folder}/{layer_id}/{name}") for name in TREES)
            or (blob and (origin or self._store.blobs.has(blob)))
            for layer_id, blob, origin in rows
        )

    def sweep(self) -> None:
        """Remove the folders of layers that a process was about to make when it died."""
        from jettison.store.trees import removable

        doomed = []
        with self._store.db.transaction(), faults("sweeping the store", self._store.root):
            known = {row[0] for row in self._store.db.read("SELECT id FROM layers")}
            for name in os.listdir(self.folder):
                if name not in known:
                    for path in removable(f"{self.folder}/{name}"):
                        doomed.append(self._store.session.new_name("dead"))
                        os.rename(path, doomed[-1])
        for path in doomed:
            remove_tree(path)

    def remove(self, layer_id: str) -> None:
        """Forget a layer and remove its folder, as far as its files are ours. Its blobs stay: others may be
        equal.
        """
        from jettison.store.trees import removable

        doomed = []
        with self._store.db.transaction(), faults("removing a layer", self._store.root):
            self._store.db.write("DELETE FROM layers WHERE id = ?", (layer_id,))
            self._store.db.write("DELETE FROM renderings WHERE layer = ?", (layer_id,))
            for path in removable(f"{self.folder}/{layer_id}"):
                doomed.append(self._store.session.new_name("dead"))
                try:
                    os.rename(path, doomed[-1])
                except FileNotFoundError:
                    pass
        for path in doomed:
            remove_tree(path)

    def _need(self, layer_id: str) -> Layer:
        layer = self.get(layer_id)
        if layer is None:
            raise missing(layer_id)
        return layer


def missing(layer_id: str) -> StoreError:
    """The error for a layer that was removed behind a build's back."""
    return StoreError(f"layer {layer_id} is not in the store", hint="it was pruned meanwhile; build again")


def _is_whole(path: str, blob: Blob) -> bool:
    try:
        return os.stat(path).st_size == blob.size
    except FileNotFoundError:
        return False


def _layer(row: tuple[Any, ...]) -> Layer:
    blob = Blob(row[2], row[3], row[4]) if row[2] else None
    return Layer(row[0], row[1], blob, row[5])

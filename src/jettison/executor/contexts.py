"""What COPY and ADD take of build contexts: digests of it, and layers that are written on the way to them.

The key of a step has to be known before it is looked up, so all that it takes has to be read first. For
a folder that was never seen, or has changed, the step will most likely have to run:
its layer is then written by the walk that makes the digest, and nothing is read twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass, replace
from jettison.digests import digest_of
from jettison.graph.ops import CopyOp, to_json
from jettison.solver.base import Known, Layers
from jettison.sources.context import ContextTree
from jettison.sources.memo import Memo
from jettison.sources.seen import Found, Seen, is_settled
from jettison.store.base import FileTree, LayerWriter
from jettison.store.compress import Packing
from jettison.store.resolve import resolve
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.events import Pace
    from jettison.executor.folder import FolderWalk
    from jettison.store.blob_writer import BlobLayerWriter


FIXED_TIME_NS = 315_619_200 * 1_000_000_000
"""2 January 1980: of directories and files that a step makes without having a time for them.

Always the same one, so that cached and clean builds give equal layers; not 1970, which zip files cannot hold.
"""


@dataclass(frozen=True, slots=True)
class Context:
    """A build context, and what is remembered of it."""

    tree: ContextTree
    memo: Memo
    seen: Seen

    def save(self) -> None:
        """Keep what was learned for the next build."""
        self.memo.save()
        self.seen.save()


def open_context_of(tree: ContextTree, path: str) -> Context:
    """A context with its memory in files that begin with `path` ("": none)."""
    return Context(tree, Memo(path), Seen(f"{path}.seen" if path else ""))


@dataclass(frozen=True, slots=True)
class Ready:
    """A layer that waits to be committed. `base` is what it was made for, `changed` as for `run_copy`."""

    base: Layers
    writer: BlobLayerWriter
    changed: tuple[str, ...]


def whole_folder(op: CopyOp, tree: object) -> str | None:
    """The folder that a COPY takes the content of, when that is all it does; else None."""
    plain = isinstance(tree, ContextTree) and len(op.paths) == 1
    if not plain or op.parents or op.files or op.exclude or op.keep_owner:
        return None
    assert isinstance(tree, ContextTree)
    if not op.literal and not set(op.paths[0]).isdisjoint("*?[\\"):
        return None
    path = resolve(tree, op.paths[0])
    node = tree.lookup(path)
    return path if node is not None and node.kind == "dir" else None


def _settled(walk: FolderWalk, memo: Memo, began_ns: int) -> bool:
    """Whether the fingerprint of a walk stands for what was read, whenever it comes again."""
    from jettison.store.clocks import silent_devices

    fresh = memo.unsure or not is_settled(walk.seen.newest_ns, began_ns)
    return not (fresh or walk.changed or silent_devices(walk.seen.devices))


class ContextCopies:
    """The COPYs and ADDs of one build that read contexts.

    First all digests are asked for, by one thread; then the other methods may be called by several.
    """

    def __init__(self, store: Store, contexts: Mapping[str, Context], chosen: Packing | None = None) -> None:
        self.contexts = contexts
        self._packing = (chosen or Packing()).plain()
        self._store = store
        self._listings = f"{store.root}/listings"
        self._digests: dict[str, str] = {}
        self._folders: dict[str, tuple[Context, str, str]] = {}
        """Of the steps that take a whole folder: it, and under which key it is remembered."""
        self._sizes: dict[str, int] = {}
        """The bytes of those folders that were walked."""
        self._ready: dict[str, Ready] = {}

    def digest(self, vertex: str, op: CopyOp, base: Known, pace: Pace) -> str:
        """The content digest of what a step takes. Raises NotFound and SourceError.

        `base` gives the layers that its blob goes onto, where they can be looked into at once; `pace` tells
        how far the reading is.
        """
        known = self._digests.get(vertex)
        if known is None:
            known = self._digests[vertex] = self._digest(vertex, op, base, pace)
            pace.end()
        return known

    def _digest(self, vertex: str, op: CopyOp, base: Known, pace: Pace) -> str:
        assert op.context is not None
        context = self.contexts[op.context]
        folder = whole_folder(op, context.tree)
        if folder is None:
            from jettison.executor.select import content_digest
            from jettison.store.listings import keep_rows

            keep = partial(keep_rows, self._listings, partial(self._store.session.new_name, "listing"))
            return content_digest(op, context.tree, context.memo, keep, pace)
        key = digest_of([to_json(op), folder, context.tree.rules])
        self._folders[vertex] = (context, folder, key)
        before = context.seen.get(key)
        if before is not None:
            from jettison.sources.sweep import fingerprint

            now = fingerprint(context.tree, folder, before.files)
            same = now.digest() == before.fingerprint
            if same and before.settled:
                return before.content
            if same:
                return self._walk(vertex, op, None, pace)
        return self._walk(vertex, op, base(), pace)

    def _walk(self, vertex: str, op: CopyOp, base: Layers | None, pace: Pace) -> str:
        """Read the folder, and write the layer as well where its base is known."""
        from jettison.executor.copy import copy_folder
        from jettison.executor.folder import FolderWalk
        from jettison.sources.sweep import size_of_few
        from jettison.store.listings import ListingWriter

        context, folder, key = self._folders[vertex]
        pace.total = partial(size_of_few, context.tree, folder)
        layer = self.layer_before(vertex)
        began = time.time_ns()
        listing = ListingWriter(self._store.session.new_name("listing"), [(folder, True)])
        writer: BlobLayerWriter | None = None
        try:
            walk = FolderWalk(op, context.tree, folder, context.memo, listing, pace.add)
            if base is not None:
                writer = self._store.layers.blob_writer(self._packing, before=layer, told=pace.add)
                if not copy_folder(op, self._store.view(base), walk, writer, FIXED_TIME_NS):
                    writer.abort()
                    writer = None
            content = walk.run()
            listing.keep(self._listings)
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        finally:
            listing.drop()
        self._sizes[vertex] = walk.size
        settled = _settled(walk, context.memo, began)
        context.seen.put(key, Found(walk.seen.digest(), settled, content, walk.seen.files, layer))
        if writer is not None and base is not None:
            self._ready[vertex] = Ready(base, writer, tuple(walk.changed))
        return content

    def take(self, vertex: str, base: Layers) -> Ready | None:
        """The layer of a step, if it was written for this base. The caller commits or aborts it."""
        ready = self._ready.pop(vertex, None)
        if ready is not None and ready.base != base:
            ready.writer.abort()
            return None
        return ready

    def write(
        self, vertex: str, op: CopyOp, base: FileTree, writer: LayerWriter, pace: Pace
    ) -> tuple[str, ...] | None:
        """Write the entries of a step that takes a whole folder, and give what has changed since its digest.

        None where it takes something else, or merges it into what is there. `pace` learns how much it is.
        """
        from jettison.executor.copy import copy_folder
        from jettison.executor.folder import FolderWalk

        if vertex not in self._folders:
            return None
        context, folder, key = self._folders[vertex]
        pace.total = self._sizes.get(vertex, 0)
        walk = FolderWalk(op, context.tree, folder, context.memo.reader())
        if not copy_folder(op, base, walk, writer, FIXED_TIME_NS):
            return None
        walk.run()
        found = context.seen.get(key)
        if not walk.changed and (found is None or walk.seen.digest() != found.fingerprint):
            return (f"{context.tree.folder}/{folder}".rstrip("/"),)
        return tuple(walk.changed)

    def layer_before(self, vertex: str) -> str:
        """The layer that a step has made of an earlier state of its folder; "" where there is none."""
        if vertex not in self._folders:
            return ""
        context, _, key = self._folders[vertex]
        found = context.seen.get(key)
        return found.layer if found is not None else ""

    def made(self, vertex: str, layer: str) -> None:
        """Note which layer a step has made, for the next time that its folder has changed a little."""
        if vertex not in self._folders:
            return
        context, _, key = self._folders[vertex]
        found = context.seen.get(key)
        if found is not None:
            context.seen.put(key, replace(found, layer=layer))

    def save(self) -> None:
        """End of the build: keep what was learned, drop what nobody took."""
        for ready in self._ready.values():
            ready.writer.abort()
        self._ready.clear()
        for context in self.contexts.values():
            context.save()

"""The executor that works on this machine: which op is done by which module, and where contexts are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING

from jettison.cache import records
from jettison.cache.key import CacheKey
from jettison.dataclass import dataclass, field, replace
from jettison.digests import digest_of
from jettison.errors import Cancelled, JettisonError, StepFailed, StoreError
from jettison.events import (
    COPYING,
    PACK,
    READ,
    Emit,
    Event,
    Pace,
    StepOutput,
    StepRetried,
    Told,
    Warned,
)
from jettison.executor.contexts import FIXED_TIME_NS, ContextCopies
from jettison.executor.demand import exported_vertices, wanted_as_tree
from jettison.graph.ops import CopyOp, GitOp, HttpOp, MkdirOp, RunOp, SourceOp
from jettison.graph.vertex import BuildGraph, Vertex
from jettison.side_by_side import side_by_side
from jettison.solver.base import Built, Hit, Known, Layers
from jettison.sources.memo import Memo
from jettison.store.base import FileTree, LayerWriter
from jettison.store.compress import Packing
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.executor.network import BuildNetwork
    from jettison.executor.remote import Remotes
    from jettison.executor.run import RunSettings
    from jettison.store.listings import Sources


_DOWNLOADS = 4


@dataclass(frozen=True, slots=True)
class StoreCache:
    """The solver's cache, kept in the store's database."""

    store: Store

    def find(self, keys: list[str]) -> dict[str, Hit]:
        # A tree that was made with other user ids than we have is of no use.
        has_tree = self.store.layers.has_tree
        found = records.find(self.store.db, keys, has_tree)
        if records.touch(self.store.db, found.values()):
            found = records.find(self.store.db, keys, has_tree)
        return {
            key: Hit(record.layers, record.created, record.seconds, record.size)
            for key, record in found.items()
        }

    def save(self, keys: list[CacheKey], layers: Layers, seconds: float, created: float | None) -> float:
        size = 0
        if layers:
            top = self.store.layers.get(layers[-1])
            size = top.size if top else 0
        return records.save(self.store.db, keys, layers, seconds, size, created)


@dataclass(slots=True)
class LocalExecutor:
    """Carries out vertices with this machine's store and sandbox.

    `copies` has the build contexts.
    """

    store: Store
    graph: BuildGraph
    copies: ContextCopies
    run_settings: Callable[[], RunSettings]
    emit: Emit
    cancel: threading.Event
    remotes: Callable[[], Remotes]
    images: bool = True
    """Whether images are made of the targets; without, no layer needs to become a blob."""
    packing: Packing = field(default_factory=Packing)
    downloads: dict[str, str] = field(default_factory=dict)
    """The step that each blob is downloaded for, by digest."""
    networks: list[BuildNetwork] = field(default_factory=list)
    """What steps have of the network, once there is one; `finish` ends it."""
    failed: dict[str, Layers] = field(default_factory=dict)
    """What failed steps left, as far as that is kept: their root filesystems, by vertex."""
    _kept: ExitStack = field(default_factory=ExitStack)
    _trees: frozenset[str] = field(default=frozenset())
    _exported: frozenset[str] = field(default=frozenset())
    _background: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._trees = wanted_as_tree(self.graph)
        self._exported = exported_vertices(self.graph) if self.images else frozenset()

    def context_digest(self, vertex: Vertex, base: Known) -> str:
        op = vertex.op
        if not isinstance(op, CopyOp) or op.context is None:
            return ""
        with _located(vertex):
            return self.copies.digest(
                vertex.id, op, partial(self._base_of_blob, vertex, base), self._reading(vertex)
            )

    def _base_of_blob(self, vertex: Vertex, base: Known) -> Layers | None:
        """What a layer that becomes a blob goes onto, if that can be looked into before anything has run."""
        layers = base() if self._becomes_blob(vertex) else None
        return layers if layers is not None and all(map(self.store.layers.is_open, layers)) else None

    def _becomes_blob(self, vertex: Vertex) -> bool:
        return vertex.id in self._exported and vertex.id not in self._trees

    def known(self, vertex: Vertex) -> Layers | None:
        if not isinstance(vertex.op, SourceOp):
            return None
        ids = []
        for diff_id in vertex.op.diff_ids:
            layer = self.store.layers.claim(diff_id)
            if layer is None:
                return None
            ids.append(layer.id)
        return tuple(ids)

    def content_inputs(self, vertex: Vertex, inputs: dict[str, Layers]) -> tuple[Layers | str, ...]:
        op = vertex.op
        given: list[Layers | str] = [inputs[name] for name in vertex.inputs]
        if isinstance(op, CopyOp):
            if op.context is not None:
                given.append(self.context_digest(vertex, lambda: None))
            elif op.paths and len(given) > op.has_base:
                from jettison.executor.select import content_digest

                with _located(vertex):
                    pace = self._reading(vertex)
                    tree = self.store.view(inputs[vertex.inputs[-1]])
                    given[-1] = content_digest(op, tree, Memo(), self._keep, pace)
                    pace.end()
            if op.link and op.has_base:
                # Such a layer depends on what is below only so far as its own entries show it.
                given[0] = self._outline(vertex, op, inputs)
        elif isinstance(op, RunOp):
            for mount in op.mounts:
                if mount.type == "bind" and mount.input >= 0:
                    given[mount.input] = self._tree_digest(inputs[vertex.inputs[mount.input]], mount.source)
        return tuple(given)

    def _reading(self, vertex: Vertex) -> Pace:
        """Tells how far the reading is that shows whether a step has to run."""
        return Pace(self._tell, READ, _doing("reading for", vertex))

    def _tell(self, event: Event) -> None:
        """Tell how far something is that takes so long that it has to look whether it is still wanted."""
        if self.cancel.is_set():
            raise Cancelled("the build was cancelled")
        self.emit(event)

    def _outline(self, vertex: Vertex, op: CopyOp, inputs: dict[str, Layers]) -> str:
        from jettison.executor.outline import outline

        with _located(vertex):
            base = self.store.view(inputs[vertex.base])
            source = self._source(vertex, op, inputs)
            return outline(op, source, base, FIXED_TIME_NS, f"{self.store.root}/tmp")

    def _keep(self, sources: Sources, rows: Sequence[bytes], digest: str) -> None:
        """Keep the listing of what is copied or mounted from a stage, if that can be done."""
        from jettison.store.listings import keep_rows

        new_name = partial(self.store.session.new_name, "listing")
        with suppress(OSError):
            keep_rows(f"{self.store.root}/listings", new_name, sources, rows, digest)

    def _tree_digest(self, layers: Layers, path: str) -> str:
        """The content below a path of a stack of layers; the layers themselves where it cannot be told."""
        from jettison.executor.select import content_digest

        # With --parents the mode and owner of the directory itself count, which a mount shows.
        inside = path.strip("/")
        op = CopyOp("/", True, (inside or "/",), parents=bool(inside), literal=True, keep_owner=True)
        try:
            return content_digest(op, self.store.view(layers), Memo(), self._keep)
        except JettisonError:
            return digest_of(list(layers))

    def execute(self, vertex: Vertex, inputs: dict[str, Layers]) -> Built:
        op = vertex.op
        with _located(vertex):
            if isinstance(op, SourceOp):
                return Built(self._fetch(vertex))
            if isinstance(op, RunOp):
                built = Built(self._run(vertex, op, inputs))
            elif isinstance(op, (CopyOp, MkdirOp)):
                built = self._write(vertex, op, inputs)
            else:
                built = Built(self._download(vertex, op))
        top = self.store.layers.get(built.layers[-1]) if built.layers else None
        size = top.size if top else 0
        if vertex.id in self._exported:
            self._render_early(vertex, built.layers[-1], size)
        return replace(built, size=size)

    def exclusive(self, key: str) -> AbstractContextManager[bool]:
        return self.store.lock(key, cancel=self.cancel)

    def finish(self) -> None:
        """Wait for blobs that are made while later steps run, and keep what was learned of contexts."""
        for network in self.networks:
            network.end()
        self._kept.close()
        for thread in self._background:
            thread.join()
        self._background.clear()
        self.copies.save()
        while self.networks:
            self.networks.pop().wait()

    def _fetch(self, vertex: Vertex) -> Layers:
        layers = self.known(vertex)
        if layers is None:
            raise StoreError(f"{vertex.name}: the base image is gone from the store", temporary=True)
        for layer in self.store.layers.many(layers):
            if layer.blob is not None:
                self.downloads[layer.blob.digest] = vertex.short
        # What is to be mounted is unpacked as soon as it is here, while other layers are on their way.
        bring: Callable[[str], object] = self.store.layers.ensure_blob
        if vertex.id in self._trees:
            bring = self.store.layers.ensure_tree
        side_by_side([partial(bring, layer) for layer in layers], _DOWNLOADS)
        return layers

    def _run(self, vertex: Vertex, op: RunOp, inputs: dict[str, Layers]) -> Layers:
        settings = self.run_settings()
        from jettison.executor.run import run

        def output(stream: int, data: bytes) -> None:
            self.emit(StepOutput(time.time(), vertex.short, stream, data))

        for left in range(settings.retries, -1, -1):
            try:
                return run(self.store, vertex, op, inputs, settings, output, self.cancel, keep=not left)
            except StepFailed as error:
                if not left:
                    self._keep_in_mind(vertex, error)
                    raise
                self.emit(
                    StepRetried(
                        time.time(), vertex.short, vertex.name, vertex.stage, error.message,
                        left, settings.retries + 1, error.exit_code,
                    )
                )  # fmt: skip
        raise AssertionError("unreachable")

    def _keep_in_mind(self, vertex: Vertex, error: StepFailed) -> None:
        """What a failed step left stays at least as long as this build goes on."""
        from jettison.store import failed

        kept = failed.read(self.store, error.state) if error.state else None
        if kept is not None:
            self._kept.enter_context(failed.in_use(self.store, kept))
            self.failed[vertex.id] = kept.layers

    def _writer(self, vertex: Vertex, told: Told) -> LayerWriter:
        if not self._becomes_blob(vertex):
            return self.store.layers.tree_writer(told)
        before = self.copies.layer_before(vertex.id)
        return self.store.layers.blob_writer(self.packing.plain(), before=before, told=told)

    def _write(self, vertex: Vertex, op: CopyOp | MkdirOp, inputs: dict[str, Layers]) -> Built:
        base = inputs[vertex.base] if vertex.base else ()
        ready = self.copies.take(vertex.id, base)
        if ready is not None:
            return self._made(vertex, base, ready.writer, ready.changed)
        pace = Pace(self._tell, vertex.short, COPYING)
        writer = self._writer(vertex, pace.add)
        changed: tuple[str, ...] = ()
        try:
            if isinstance(op, MkdirOp):
                from jettison.executor.mkdir import run_mkdir

                run_mkdir(op, self.store.view(base), writer, FIXED_TIME_NS)
            else:
                from jettison.executor.copy import run_copy

                done = self.copies.write(vertex.id, op, self.store.view(base), writer, pace)
                changed = done if done is not None else run_copy(
                    op, self._source(vertex, op, inputs), self.store.view(base), writer, FIXED_TIME_NS,
                    f"{self.store.root}/tmp", pace,
                )  # fmt: skip
            pace.end()
            return self._made(vertex, base, writer, changed)
        finally:
            writer.abort()

    def _made(self, vertex: Vertex, base: Layers, writer: LayerWriter, changed: tuple[str, ...]) -> Built:
        """Commit the layer of a COPY, ADD or WORKDIR."""
        layer = writer.commit()
        if isinstance(vertex.op, CopyOp):
            self.copies.made(vertex.id, layer.id)
        if changed:
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            message = f"{changed[0]}{more} changed while it was copied; the step will run again next time"
            self.emit(Warned(time.time(), message, vertex.location))
        return Built((*base, layer.id), not changed)

    def _source(self, vertex: Vertex, op: CopyOp, inputs: dict[str, Layers]) -> FileTree | None:
        if op.context is not None:
            return self.copies.contexts[op.context].tree
        if not op.paths:
            return None
        given = vertex.inputs[op.has_base :]
        return self.store.view(inputs[given[0]] if given else ())

    def _download(self, vertex: Vertex, op: HttpOp | GitOp) -> Layers:
        writer = self.store.layers.tree_writer()
        try:
            with self.store.new_work_dir() as work:
                self.remotes().write(op, writer, work.path, self.cancel)
                layer = writer.commit()
        finally:
            writer.abort()
        return (layer.id,)

    def _render_early(self, vertex: Vertex, layer: str, size: int) -> None:
        pace = Pace(self.emit, PACK, _doing("packing", vertex), size)

        def body() -> None:
            try:
                self.store.layers.ensure_blob(layer, chosen=self.packing, told=pace.add)
                pace.end()
            except Exception:
                pass  # The export renders it again, and reports what is wrong.

        thread = threading.Thread(target=body, name=f"blob {layer}", daemon=True)
        thread.start()
        self._background.append(thread)


def _doing(verb: str, vertex: Vertex) -> str:
    """The name of a step with what is done for it: `[final 2/3] packing RUN make`."""
    place, closed, what = vertex.name.partition("] ")
    return f"{place}{closed}{verb} {what}" if closed else f"{verb} {place}"


@dataclass(frozen=True, slots=True)
class _located:
    """Gives errors of a block the vertex's place in the Dockerfile where they have none."""

    vertex: Vertex

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if isinstance(error, JettisonError) and error.location is None:
            error.location = self.vertex.location

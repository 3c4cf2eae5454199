"""From solved targets to outputs: image documents, tags, archives, folders, registries, daemons."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jettison.errors import UsageError
from jettison.events import Emit, Exported
from jettison.exporters.image import ImageDocument, make_image
from jettison.graph.vertex import Target
from jettison.oci import reference
from jettison.oci.config import History, ImageConfig
from jettison.planning import Plan
from jettison.request import BuildRequest, BuiltImage, Output
from jettison.solver.solve import Solution
from jettison.store.base import Layer
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess

TYPES = ("image", "oci", "docker", "tar", "local", "registry")


def check_outputs(request: BuildRequest) -> None:
    """Refuse outputs and tags that cannot work, before anything is built. Raises UsageError."""
    for output in request.outputs:
        if output.type not in TYPES:
            raise UsageError(
                f"--output: unknown type {output.type!r}", hint=f"the types are {', '.join(TYPES)}"
            )
        if output.type in ("oci", "docker", "tar", "local") and not output.dest:
            raise UsageError(
                f"--output type={output.type} needs a destination",
                hint=f"for example type={output.type},dest=out",
            )
    for tag in request.tags:
        reference.parse(tag.rpartition("=")[2])
    if (request.push or any(output.type == "registry" for output in request.outputs)) and not request.tags:
        if not any(dict(output.attributes).get("name") for output in request.outputs):
            raise UsageError("pushing needs a name", hint="tag the image: -t REGISTRY/NAME:TAG")


def export(
    request: BuildRequest,
    plan: Plan,
    solution: Solution,
    store: Store,
    access: Callable[[], RegistryAccess],
    emit: Emit,
) -> tuple[BuiltImage, ...]:
    """Make every target's image and write all outputs. Raises ExportError, RegistryError and StoreError."""
    images = []
    for target, tags in zip(plan.graph.targets, plan.tags, strict=True):
        layers = solution.layers[target.vertex] if target.vertex else ()
        names = tuple(str(reference.parse(tag)) for tag in tags)
        document = target_image(store, target, layers, solution, plan.epoch, request.annotations)
        images.append((target.name, document, names))
    for output in request.outputs or (Output("image"),):
        _write(output, images, store, access, emit)
    if request.push:
        _write(Output("registry"), images, store, access, emit)
    if request.load:
        from jettison.exporters.daemon import load_into_daemon

        for name, document, names in images:
            where = load_into_daemon(store, [(document, names)])
            emit(Exported(time.time(), name, "load", where, document.manifest_digest, document.size))
    return tuple(
        BuiltImage(name, document.config_digest, document.manifest_digest, names, document.size)
        for name, document, names in images
    )


def target_image(
    store: Store,
    target: Target,
    layers: Sequence[str],
    solution: Solution,
    epoch: int | None,
    annotations: dict[str, str],
) -> ImageDocument:
    """The image of one target. Its layers are rendered into blobs where they are not yet."""
    config = dated(target, solution, epoch)
    return make_image(store, config, _blobs(store, layers, target.base_layers, epoch), annotations)


def _blobs(store: Store, layers: Sequence[str], base: int, epoch: int | None) -> list[Layer]:
    own = layers[base:]
    known = store.layers.many(layers) if layers else []
    todo = [
        layer.id
        for layer in known[base:]
        if epoch is not None or layer.blob is None or not store.blobs.has(layer.blob.digest)
    ]
    if not todo:
        return known
    if len(todo) == 1:
        made = {todo[0]: store.layers.ensure_blob(todo[0], epoch)}
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(2) as pool:
            made = dict(
                zip(todo, pool.map(lambda name: store.layers.ensure_blob(name, epoch), todo), strict=True)
            )
    return known[:base] + [made.get(layer.id, layer) for layer in known[base : base + len(own)]]


def dated(target: Target, solution: Solution, epoch: int | None) -> ImageConfig:
    """The configuration with its times: those at which the steps ran, or SOURCE_DATE_EPOCH for all.

    A rebuild that finds everything cached so gives the same image to the last byte.
    """
    times = [solution.created.get(step.vertex, 0.0) for step in target.history if step.vertex]
    newest = float(epoch) if epoch is not None else max(times, default=0.0)
    created = rfc3339(newest)
    if not times and epoch is None:
        created = max((item.created for item in target.base_history if item.created), default=created)
    history: list[History] = list(target.base_history)
    for step in target.history:
        moment = solution.created.get(step.vertex) if epoch is None else None
        history.append(replace(step.entry, created=created if moment is None else rfc3339(moment)))
    return replace(target.config, created=created, history=tuple(history))


def rfc3339(seconds: float) -> str:
    """A time as OCI documents have it, in UTC and whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


_Built = tuple[str, ImageDocument, tuple[str, ...]]


def _write(
    output: Output,
    images: Sequence[_Built],
    store: Store,
    access: Callable[[], RegistryAccess],
    emit: Emit,
) -> None:
    attributes = dict(output.attributes)
    extra = tuple(str(reference.parse(name)) for name in attributes.get("name", "").split(",") if name)
    named = [(name, document, (*names, *extra)) for name, document, names in images]
    if output.type == "image":
        _store(named, store, emit)
        if attributes.get("push") == "true":
            _push(named, store, access, emit)
    elif output.type == "registry":
        _push(named, store, access, emit)
    elif output.type in ("oci", "docker"):
        _archive(output, attributes, named, store)
        for name, document, _ in named:
            emit(
                Exported(time.time(), name, output.type, output.dest, document.manifest_digest, document.size)
            )
    else:
        _files(output, named, store, emit)


def _store(images: Sequence[_Built], store: Store, emit: Emit) -> None:
    from jettison.exporters.store import tag_image

    for name, document, names in images:
        tag_image(store, document, names)
        shown = ", ".join(reference.parse(item).familiar() for item in names) or document.config_digest
        emit(Exported(time.time(), name, "image", shown, document.manifest_digest, document.size))


def _push(images: Sequence[_Built], store: Store, access: Callable[[], RegistryAccess], emit: Emit) -> None:
    from jettison.exporters.registry import push_image

    for name, document, names in images:
        for item in names:
            push_image(store, document, item, access())
            emit(Exported(time.time(), name, "registry", item, document.manifest_digest, document.size))


def _archive(output: Output, attributes: dict[str, str], images: Sequence[_Built], store: Store) -> None:
    from jettison.exporters.docker import write_docker_archive
    from jettison.exporters.layout import write_oci_archive, write_oci_folder

    named = [(document, names) for _, document, names in images]
    if output.type == "docker":
        write_docker_archive(store, named, output.dest, sys.stdout.buffer)
    elif attributes.get("tar") == "false":
        write_oci_folder(store, named, output.dest)
    else:
        write_oci_archive(store, named, output.dest, sys.stdout.buffer)


def _files(output: Output, images: Sequence[_Built], store: Store, emit: Emit) -> None:
    from jettison.exporters.filesystem import write_folder, write_tar

    if output.type == "tar" and len(images) > 1:
        raise UsageError(
            f"--output type=tar,dest={output.dest}: {len(images)} targets cannot share one tar",
            hint="build one target at a time, or use type=local: each target gets a folder",
        )
    for name, document, _ in images:
        tree = store.view([layer.id for layer in document.layers])
        dest = f"{output.dest}/{name}" if len(images) > 1 else output.dest
        if output.type == "tar":
            write_tar(tree, dest, sys.stdout.buffer)
        else:
            write_folder(tree, dest)
        emit(Exported(time.time(), name, output.type, dest, document.manifest_digest, document.size))

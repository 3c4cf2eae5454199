"""From solved targets to outputs: image documents, tags, archives, folders, registries, daemons."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass, replace
from jettison.errors import UsageError
from jettison.events import EXPORT, PACK, PUSH, Emit, Exported, Pace, Warned, ignore
from jettison.exporters.attributes import annotations_of, check_attributes, flag, packing_of
from jettison.exporters.image import ImageDocument, make_image
from jettison.graph.vertex import Target
from jettison.oci import reference
from jettison.oci.config import History, ImageConfig
from jettison.planning import Plan
from jettison.request import BuildRequest, BuiltImage, Output
from jettison.side_by_side import side_by_side
from jettison.solver.solve import Solution
from jettison.store.base import FileTree, Layer
from jettison.store.compress import Packing
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.insight.origins import Origins
    from jettison.insight.report import Subject
    from jettison.oci.registry.access import RegistryAccess

_RENDERERS = 2
FILES = ("tar", "local")
TYPES = ("image", "oci", "docker", "registry", *FILES)


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
        check_attributes(output)
    for tag in request.tags:
        reference.parse(tag.rpartition("=")[2])
    pushed = [Output("registry")] if request.push else []
    pushed += [output for output in request.outputs if output.type == "registry"]
    if pushed and not request.tags and not any(dict(output.attributes).get("name") for output in pushed):
        raise UsageError("pushing needs a name", hint="tag the image: -t REGISTRY/NAME:TAG")


def wants_images(request: BuildRequest) -> bool:
    """Whether an image has to be made: not when only files are asked for, which need no compressed layers."""
    only_files = request.outputs and all(output.type in FILES for output in request.outputs)
    limited = request.max_size is not None or request.max_waste is not None
    return not only_files or request.push or request.load or limited


def export(
    request: BuildRequest,
    plan: Plan,
    solution: Solution,
    store: Store,
    access: Callable[[], RegistryAccess],
    emit: Emit,
) -> tuple[BuiltImage, ...]:
    """Write all outputs of every target, or none when an image is beyond a limit of the request.

    Raises ExportError, RegistryError and StoreError.
    """
    outputs = [*request.outputs]
    if request.push or request.load or not outputs:
        outputs.append(Output("image"))
    if request.push:
        outputs.append(Output("registry"))
    annotations = dict(request.annotations)
    for output in outputs:
        annotations.update(annotations_of(output))
    with_images, chosen = wants_images(request), packing_of(request)
    built = []
    for target, tags in zip(plan.graph.targets, plan.tags, strict=True):
        layers = solution.layers[target.vertex] if target.vertex else ()
        names = tuple(str(reference.parse(tag)) for tag in tags)
        document = (
            target_image(store, target, layers, solution, plan.epoch, annotations, chosen, emit)
            if with_images
            else None
        )
        origins = partial(_origins, plan, target, solution)
        built.append(_Built(target.name, layers, names, document, origins))
    if request.max_size is not None or request.max_waste is not None:
        _check_limits(request, built, store)
    for output in outputs:
        if output.type in FILES:
            _files(output, built, store, plan.epoch, emit)
        else:
            _images(output, built, store, access, emit)
    if request.load:
        _load(built, store, emit)
    return tuple(
        BuiltImage(
            item.name,
            item.document.config_digest if item.document else "",
            item.document.manifest_digest if item.document else "",
            item.names,
            item.document.size if item.document else 0,
        )
        for item in built
    )


def target_image(
    store: Store,
    target: Target,
    layers: Sequence[str],
    solution: Solution,
    epoch: int | None,
    annotations: dict[str, str],
    chosen: Packing,
    emit: Emit = ignore,
) -> ImageDocument:
    """The image of one target. Its layers are rendered into blobs where they are not yet."""
    config = dated(target, solution, epoch)
    blobs = _blobs(store, layers, target, epoch, chosen, emit)
    if epoch is not None:
        # A layer with earlier times has a diff ID of its own, by which an image of the store is run.
        for layer in blobs:
            if layer.blob is not None:
                store.layers.register(layer.diff_id, layer.blob, "")
    return make_image(store, config, blobs, annotations)


def _blobs(
    store: Store, layers: Sequence[str], target: Target, epoch: int | None, chosen: Packing, emit: Emit
) -> list[Layer]:
    known = store.layers.many(layers) if layers else []
    base = target.base_layers
    todo = [
        (number, layer)
        for number, layer in enumerate(known[base:], base + 1)
        if epoch is not None
        or layer.blob is None
        or not chosen.fits(layer.blob.media_type)
        or not store.blobs.has(layer.blob.digest)
    ]

    def pack(number: int, layer: Layer) -> Layer:
        pace = Pace(emit, PACK, f"packing layer {number} of {target.name}", layer.size)
        made = store.layers.ensure_blob(layer.id, epoch, chosen, pace.add)
        pace.end()
        return made

    made = side_by_side([partial(pack, *item) for item in todo], _RENDERERS)
    by_id = {layer.id: layer for layer in made}
    return known[:base] + [by_id.get(layer.id, layer) for layer in known[base:]]


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


@dataclass(frozen=True, slots=True)
class _Built:
    """One target, ready to be written. `names` are full references."""

    name: str
    layers: tuple[str, ...]
    names: tuple[str, ...]
    document: ImageDocument | None
    origins: Callable[[], Origins]


_Named = tuple[str, ImageDocument, tuple[str, ...], Callable[[], "Origins"]]


def _origins(plan: Plan, target: Target, solution: Solution) -> Origins:
    from jettison.insight.origins import origins_of

    return origins_of(plan.graph, target, solution.layers)


def target_subject(
    request: BuildRequest, plan: Plan, target: Target, solution: Solution, store: Store
) -> Subject:
    """What `insight` looks at when it reports on a target that has been built."""
    from jettison.insight.report import subject

    layers = solution.layers[target.vertex] if target.vertex else ()
    image = target_image(
        store, target, layers, solution, plan.epoch, dict(request.annotations), packing_of(request)
    )
    origins = _origins(plan, target, solution)
    return subject(target.name, image.layers, image.config.history, origins)


def _check_limits(request: BuildRequest, built: Sequence[_Built], store: Store) -> None:
    from jettison.insight.limits import check_size, check_waste
    from jettison.insight.report import subject

    for item in built:
        assert item.document is not None
        image = subject(item.name, item.document.layers, item.document.config.history, item.origins())
        if request.max_size is not None:
            check_size(image, request.max_size)
        if request.max_waste is not None:
            check_waste(store, image, request.max_waste)


def _images(
    output: Output,
    built: Sequence[_Built],
    store: Store,
    access: Callable[[], RegistryAccess],
    emit: Emit,
) -> None:
    extra = tuple(
        str(reference.parse(name)) for name in dict(output.attributes).get("name", "").split(",") if name
    )
    images: list[_Named] = [
        (item.name, item.document, (*item.names, *extra), item.origins)
        for item in built
        if item.document is not None
    ]
    if output.type == "image":
        _store(images, store, emit)
        if flag(output, "push", False):
            _push(images, store, access, emit)
    elif output.type == "registry":
        _push(images, store, access, emit)
    else:
        _archive(output, [(document, names) for _, document, names, _ in images], store, emit)
        for name, document, _, _ in images:
            emit(
                Exported(time.time(), name, output.type, output.dest, document.manifest_digest, document.size)
            )


def _store(images: Sequence[_Named], store: Store, emit: Emit) -> None:
    from jettison.exporters.image import bring_blobs
    from jettison.exporters.store import tag_image

    for name, document, names, origins in images:
        # An image of the store must outlive the folder or the registry that its base came from.
        bring_blobs(store, document)
        tag_image(store, document, names, partial(_remember, store, document.manifest_digest, origins))
        shown = ", ".join(reference.parse(item).familiar() for item in names) or document.config_digest
        emit(Exported(time.time(), name, "image", shown, document.manifest_digest, document.size))


def _remember(store: Store, manifest_digest: str, origins: Callable[[], Origins]) -> None:
    from jettison.insight.origins import remember

    remember(store.db, manifest_digest, origins())


def _push(images: Sequence[_Named], store: Store, access: Callable[[], RegistryAccess], emit: Emit) -> None:
    from jettison.exporters.registry import push_image

    for name, document, names, _ in images:
        for item in names:
            pace = Pace(emit, PUSH, f"pushing {item}", at_once=True)
            push_image(store, document, item, access(), pace.reach)
            pace.end()
            emit(Exported(time.time(), name, "registry", item, document.manifest_digest, document.size))


def _load(built: Sequence[_Built], store: Store, emit: Emit) -> None:
    from jettison.exporters.daemon import load_into_daemon

    for item in built:
        if item.document is not None:
            images = [(item.document, item.names)]
            pace = _writing(images, f"loading {item.name}", emit)
            where = load_into_daemon(store, images, told=pace.add)
            pace.end()
            digest, size = item.document.manifest_digest, item.document.size
            emit(Exported(time.time(), item.name, "load", where, digest, size))


def _writing(images: Sequence[tuple[ImageDocument, tuple[str, ...]]], label: str, emit: Emit) -> Pace:
    """Tells how far the writing of some images is."""
    parts = [part for image, _ in images for part in (image.manifest.config, *image.manifest.layers)]
    return Pace(emit, EXPORT, label, sum({part.digest: part.size for part in parts}.values()))


def _archive(
    output: Output, images: Sequence[tuple[ImageDocument, tuple[str, ...]]], store: Store, emit: Emit
) -> None:
    from jettison.exporters.layout import write_oci_archive, write_oci_folder

    stream = sys.stdout.buffer if output.dest == "-" else None
    pace = _writing(images, f"writing {'the output' if stream else output.dest}", emit)
    if output.type == "docker":
        from jettison.exporters.docker import write_docker_archive

        oci_types = flag(output, "oci-mediatypes", False)
        write_docker_archive(store, images, output.dest, stream, oci_types=oci_types, told=pace.add)
    elif flag(output, "tar", True):
        write_oci_archive(store, images, output.dest, stream, told=pace.add)
    else:
        write_oci_folder(store, images, output.dest, told=pace.add)
    pace.end()


def _files(output: Output, built: Sequence[_Built], store: Store, epoch: int | None, emit: Emit) -> None:
    from jettison.exporters.filesystem import write_folder, write_tar
    from jettison.store.trees import virtual

    if output.type == "tar" and len(built) > 1:
        raise UsageError(
            f"--output type=tar,dest={output.dest}: {len(built)} targets cannot share one tar",
            hint="build one target at a time, or use type=local: each target gets a folder",
        )
    for item in built:
        tree = store.view(item.layers)
        dest = f"{output.dest}/{item.name}" if len(built) > 1 else output.dest
        shown = "the output" if dest == "-" else dest
        pace = Pace(emit, EXPORT, f"writing {shown}", partial(_size_of, store, item.layers, tree))
        if output.type == "tar":
            write_tar(tree, dest, sys.stdout.buffer if dest == "-" else None, epoch, pace.add)
        else:
            owners = flag(output, "owners", False)
            left_out = write_folder(tree, dest, owners, pace.add)
            if owners and virtual():
                emit(Warned(time.time(), f"the files in {dest} are yours: this user can give none away"))
            if left_out:
                emit(
                    Warned(time.time(), f"{dest} lacks what this user cannot make: {', '.join(left_out[:5])}")
                )
        pace.end()
        emit(Exported(time.time(), item.name, output.type, dest, "", 0))


def _size_of(store: Store, layers: Sequence[str], tree: FileTree) -> int:
    """The bytes of all files of a tree, where that is known at once: layers may hide each other."""
    from jettison.exporters.filesystem import size_of_few

    return store.layers.many(layers)[0].size if len(layers) == 1 else size_of_few(tree)

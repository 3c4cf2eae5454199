"""Layers stacked as a root filesystem that can be entered: with overlayfs, else by copying."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from jettison.dataclass import dataclass
from jettison.errors import StoreError
from jettison.kernel import MNT_DETACH, MS_NODEV, may_mount, mount, umount
from jettison.side_by_side import side_by_side
from jettison.store import xattrs
from jettison.store.base import Entry, FileTree, Node
from jettison.store.resolve import resolve
from jettison.store.temporary import remove_tree
from jettison.store.tree_builder import TreeBuilder

if TYPE_CHECKING:
    from jettison.store.store import Store

_PAGE = 4096
_NO_OVERLAY = (errno.EPERM, errno.EACCES, errno.ENODEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Says that the kernel has no overlayfs, or none for this user or on this filesystem."""

_UNPACKERS = 3


@dataclass(frozen=True, slots=True)
class Stub:
    """Something that must be there to be mounted on. `path` is relative to the root."""

    path: str
    kind: Literal["file", "dir"]


@contextmanager
def mounted(
    store: Store,
    layer_ids: Sequence[str],
    upper: str | None,
    work: str,
    stubs: Sequence[Stub] = (),
    *,
    overlay: bool = True,
    only: str | None = None,
) -> Iterator[str]:
    """Stack layers, the lowest first, and give the folder. What is written goes to `upper`, at the end of the
    block at the latest; without it, it is lost or refused.

    Has to be called inside `kernel.private_mounts`: it changes the working directory of its
    thread for a moment. `stubs` that are in no layer are put into a throwaway layer on top, with the parents'
    own metadata, so that they never get into `upper`. Where overlayfs is refused, and without `overlay`,
    the layers are copied. Whoever looks at one path only, and keeps nothing of `upper`, names that path with
    `only`. Raises StoreError.
    """
    packed = [layer_id for layer_id in dict.fromkeys(layer_ids) if not store.layers.has_tree(layer_id)]
    side_by_side([partial(store.layers.ensure_tree, layer_id) for layer_id in packed], _UNPACKERS)
    folder = store.session.new_folder("mount")
    try:
        lower = _lower(store, layer_ids, stubs, folder)
        if overlay and may_mount() and _mount(store, lower, upper, work, folder):
            try:
                yield f"{folder}/root"
            finally:
                umount(f"{folder}/root", MNT_DETACH)
        else:
            from jettison.store.copying import copied

            with copied(store, layer_ids, f"{folder}/top", upper, folder, only) as root:
                yield root
    finally:
        remove_tree(folder)


def _mount(store: Store, lower: list[str], upper: str | None, work: str, folder: str) -> bool:
    """Mount at `root` of a folder. False: there is no overlayfs here, or not for this filesystem."""
    target = f"{folder}/root"
    options = _options(store, lower, upper, work)
    os.mkdir(target)
    here = os.open(".", os.O_PATH | os.O_CLOEXEC)
    os.chdir(store.layers.folder)
    try:
        # Device nodes of a layer, or made by a step, are names only: behind some lies the host's disk.
        mount("overlay", target, "overlay", MS_NODEV, options)
        return True
    except OSError as error:
        if error.errno not in _NO_OVERLAY:
            raise _refused(error, len(lower), store.root) from error
    finally:
        os.fchdir(here)
        os.close(here)
    os.rmdir(target)
    return False


def _lower(store: Store, layer_ids: Sequence[str], stubs: Sequence[Stub], folder: str) -> list[str]:
    """The folders to stack, the uppermost first."""
    trees = [store.layers.tree(layer_id) for layer_id in layer_ids]
    lower: list[str] = []
    for tree in reversed(trees):
        # Images repeat layers (empty ones), overlayfs refuses that; the upper one hides all of the lower.
        if tree not in lower:
            lower.append(tree)
        # overlayfs heeds the mark on every directory but the root.
        if xattrs.has(tree, xattrs.OPAQUE):
            break
    top = f"{folder}/top"
    os.mkdir(top)
    os.chmod(top, 0o755)
    implied = store.layers.implied(layer_ids)
    if stubs or implied:
        _fill_top(
            top, store.view(layer_ids), stubs, sorted({path for paths in implied.values() for path in paths})
        )
    if not lower:
        # A mount without an upper directory needs two lower ones.
        lower = [f"{folder}/bottom"]
        os.mkdir(lower[0])
        os.chmod(lower[0], 0o755)
    return [top, *lower]


def _fill_top(top: str, view: FileTree, stubs: Sequence[Stub], implied: Sequence[str]) -> None:
    builder = TreeBuilder(top)
    made: set[str] = set()

    def copy_folder(path: str) -> None:
        if not path or path in made:
            return
        copy_folder(path.rpartition("/")[0])
        node = view.lookup(path) or Node("dir", 0o755, 0, 0, 0, 0)
        if node.kind != "dir":
            raise StoreError(f"/{path} is a {node.kind}: nothing can be mounted below it")
        builder.add(
            Entry(path, "dir", node.mode, node.uid, node.gid, node.mtime_ns, xattrs=view.xattrs(path))
        )
        made.add(path)

    for path in implied:
        node = view.lookup(path)
        if node is not None and node.kind == "dir":
            copy_folder(path)
    for stub in stubs:
        path = resolve(view, stub.path)
        if not path or path in made or view.lookup(path) is not None:
            continue
        copy_folder(path.rpartition("/")[0])
        builder.add(Entry(path, stub.kind, 0o755 if stub.kind == "dir" else 0o644))
        made.add(path)
    builder.finish()


def _options(store: Store, lower: list[str], upper: str | None, work: str) -> str:
    """The data of the mount.

    Names relative to the folder of the layers, because it has to fit into a page.
    """

    def short(path: str) -> str:
        name = os.path.relpath(path, store.layers.folder)
        return name.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")

    parts = ["userxattr", "index=off", "lowerdir=" + ":".join(short(path) for path in lower)]
    if upper is not None:
        # Nothing of a step outlives a crash of the machine anyway.
        parts += ["volatile", f"upperdir={short(upper)}", f"workdir={short(work)}"]
    data = ",".join(parts)
    if len(os.fsencode(data)) >= _PAGE:
        raise StoreError(
            f"{len(lower)} layers are more than one overlay mount can hold",
            hint="merge some instructions, or use a base image with fewer layers",
        )
    return data


def _refused(error: OSError, layers: int, root: str) -> StoreError:
    return StoreError(
        f"cannot mount {layers} layers with overlayfs: {error.strerror or error}",
        hint=f"overlayfs may not work on top of the filesystem of {root}; --root names another folder",
    )

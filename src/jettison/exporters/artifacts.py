"""Files copied out of stages, whether those were built or failed: `--artifact STAGE:/path=DIR`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import BinaryIO

from jettison.dockerfile.glob import compiled, is_pattern
from jettison.errors import JettisonError, NotFound
from jettison.events import Emit, Exported, Warned
from jettison.exporters.filesystem import flattened, write_folder
from jettison.graph.vertex import BuildGraph
from jettison.request import Artifact
from jettison.store.base import FileTree, Node
from jettison.store.resolve import resolve
from jettison.store.store import Store

_MOST_NAMED = 5
_KINDS = ("file", "dir", "symlink")


def copy_out(
    artifacts: tuple[Artifact, ...],
    graph: BuildGraph,
    results: Mapping[str, tuple[str, ...]],
    failed: Mapping[str, tuple[str, ...]],
    store: Store,
    emit: Emit,
    strict: bool,
) -> None:
    """Copy all artifacts, whose stages are labels, out of the newest state of these.

    `results` are the layers of steps that are done, `failed` what failed ones left. With `strict` a missing
    path raises NotFound, and what cannot be written ExportError; else each is a warning.
    """
    ends = dict(graph.beside)
    for artifact in artifacts:
        try:
            _copy(artifact, _newest(graph, ends[artifact.stage], results, failed), store, emit)
        except (JettisonError, OSError) as error:
            if strict:
                raise
            text = error.message if isinstance(error, JettisonError) else str(error)
            emit(Warned(time.time(), text))


def _newest(
    graph: BuildGraph,
    vertex: str,
    results: Mapping[str, tuple[str, ...]],
    failed: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    """The root filesystem of a stage as far as it has come."""
    while vertex:
        if vertex in failed:
            return failed[vertex]
        if vertex in results:
            return results[vertex]
        vertex = graph.vertices[vertex].base
    return ()


def _copy(artifact: Artifact, layers: tuple[str, ...], store: Store, emit: Emit) -> None:
    tree = store.view(layers)
    names = _chosen(tree, artifact.path)
    named = f"--artifact {artifact.stage}:{artifact.path}"
    if names is None:
        raise NotFound(
            f"{named}: nothing is there", hint=f"to look around in the stage: jettison shell {artifact.stage}"
        )
    picked = _Picked(tree, names)
    left_out = write_folder(picked, artifact.dest)
    size = sum(entry.size for entry, _ in flattened(picked))
    if left_out := [*picked.dropped, *left_out]:
        more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
        text = ", ".join(left_out[:_MOST_NAMED]) + more
        emit(Warned(time.time(), f"{named}: left out: {text}: devices, and symlinks that lead out of it"))
    emit(Exported(time.time(), artifact.stage, "artifact", artifact.dest, "", size))


def _chosen(tree: FileTree, path: str) -> dict[str, str] | None:
    """What a path picks: paths in the tree by the names that they get. None: nothing is there.

    Of a folder it is its content. What wildcards pick keeps its name.
    """
    if not is_pattern(path):
        found = resolve(tree, path)
        node = tree.lookup(found)
        if node is None or node.kind not in _KINDS:
            return None
        if node.kind == "dir":
            return {name: f"{found}/{name}" if found else name for name in tree.listdir(found)}
        return {path.rstrip("/").rpartition("/")[2]: found}
    matches = _matching(tree, [part for part in path.split("/") if part])
    return {found.rpartition("/")[2]: found for found in matches} or None


def _matching(tree: FileTree, parts: list[str]) -> list[str]:
    """The paths that a pattern fits, in order; symlinks on the way are followed inside the tree."""
    todo = [("", 0)]
    out: list[str] = []
    while todo:
        at, done = todo.pop()
        if done == len(parts):
            out.append(at)
            continue
        folder = resolve(tree, at)
        node = tree.lookup(folder)
        if node is None or node.kind != "dir":
            continue
        part = parts[done]
        below = f"{folder}/" if folder else ""
        if part == "**":
            todo.append((folder, done + 1))
            inside = [name for name in tree.listdir(folder) if _is_folder(tree, below + name)]
            todo += [(below + name, done) for name in inside]
        else:
            fits = compiled(part).fullmatch
            todo += [(below + name, done + 1) for name in tree.listdir(folder) if fits(name)]
    return sorted(set(out))


def _is_folder(tree: FileTree, path: str) -> bool:
    node = tree.lookup(path)
    return node is not None and node.kind == "dir"


class _Picked:
    """A FileTree of some files of another one. `names` has what is at its top.

    What is no file, folder or symlink is not there, nor are symlinks that lead out; `dropped` lists those.
    """

    def __init__(self, tree: FileTree, names: Mapping[str, str]) -> None:
        self._tree = tree
        self._names = names
        self._dropped: dict[str, None] = {}

    @property
    def dropped(self) -> list[str]:
        return list(self._dropped)

    def _inside(self, path: str) -> str:
        name, slash, rest = path.partition("/")
        return f"{self._names[name]}{slash}{rest}"

    def lookup(self, path: str) -> Node | None:
        inside = self._inside(path)
        node = self._tree.lookup(inside)
        if node is None:
            return None
        if node.kind not in _KINDS or (node.kind == "symlink" and _leads_out(path, node.link)):
            self._dropped[f"/{inside}"] = None
            return None
        return node

    def listdir(self, path: str) -> list[str]:
        return self._tree.listdir(self._inside(path)) if path else sorted(self._names)

    def open(self, path: str) -> BinaryIO:
        return self._tree.open(self._inside(path))

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        return self._tree.xattrs(self._inside(path))


def _leads_out(path: str, link: str) -> bool:
    """Whether a symlink may lead out of the tree: `..` may stand at its beginning only, and not too often.

    What comes behind a name could be a symlink itself, whose `..` is somewhere else.
    """
    if link.startswith("/"):
        return True
    parts = [part for part in link.split("/") if part not in ("", ".")]
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return up > path.count("/") or ".." in parts[up:]

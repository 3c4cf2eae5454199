"""Files copied out of stages, whether those were built or failed: `--artifact STAGE:/path=DIR`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
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
    for artifact in artifacts:
        try:
            _copy(artifact, _tree(artifact, graph, results, failed, store), emit)
        except (JettisonError, OSError) as error:
            if strict:
                raise
            text = error.message if isinstance(error, JettisonError) else str(error)
            emit(Warned(time.time(), text))


def files_of(
    artifact: Artifact,
    graph: BuildGraph,
    results: Mapping[str, tuple[str, ...]],
    failed: Mapping[str, tuple[str, ...]],
    store: Store,
) -> Iterator[tuple[str, int, Callable[[], BinaryIO]]]:
    """The files of an artifact, if there are any: their paths in the stage, sizes, and what opens them."""
    tree = _tree(artifact, graph, results, failed, store)
    picked = _Picked(tree, _chosen(tree, artifact.path) or {})
    for entry, _ in flattened(picked):
        if entry.kind == "file":
            yield picked.inside(entry.path) or "", entry.size, partial(picked.open, entry.path)


def _tree(
    artifact: Artifact,
    graph: BuildGraph,
    results: Mapping[str, tuple[str, ...]],
    failed: Mapping[str, tuple[str, ...]],
    store: Store,
) -> FileTree:
    return store.view(_newest(graph, dict(graph.beside)[artifact.stage], results, failed))


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


def _copy(artifact: Artifact, tree: FileTree, emit: Emit) -> None:
    roots = _chosen(tree, artifact.path)
    named = f"--artifact {artifact.stage}:{artifact.path}"
    if roots is None:
        raise NotFound(
            f"{named}: nothing is there", hint=f"to look around in the stage: jettison shell {artifact.stage}"
        )
    picked = _Picked(tree, roots)
    left_out = write_folder(picked, artifact.dest)
    size = sum(entry.size for entry, _ in flattened(picked))
    if left_out := [*picked.dropped, *left_out]:
        more = f" and {len(left_out) - _MOST_NAMED} more" if len(left_out) > _MOST_NAMED else ""
        text = ", ".join(left_out[:_MOST_NAMED]) + more
        emit(Warned(time.time(), f"{named}: left out: {text}: devices, and symlinks that lead out of it"))
    emit(Exported(time.time(), artifact.stage, "artifact", artifact.dest, "", size))


def _chosen(tree: FileTree, path: str) -> dict[str, str] | None:
    """What a path picks: paths in the tree by the paths that they get. None: nothing is there.

    Of a folder it is its content. What wildcards pick keeps the folders that they stand for, so that no two
    files come to the same place.
    """
    parts = [part for part in path.split("/") if part]
    fixed = next((number for number, part in enumerate(parts) if is_pattern(part)), len(parts))
    top = resolve(tree, "/".join(parts[:fixed]))
    if fixed < len(parts):
        below = f"{top}/" if top else ""
        return {name: below + name for name in _matching(tree, top, parts[fixed:])} or None
    node = tree.lookup(top)
    if node is None or node.kind not in _KINDS:
        return None
    return {"" if node.kind == "dir" else parts[-1]: top}


def _matching(tree: FileTree, top: str, parts: Sequence[str]) -> list[str]:
    """The paths below a folder that fit a pattern. Symlinks are not followed."""
    todo, seen, out = [("", 0)], set[tuple[str, int]](), set[str]()
    while todo:
        here = todo.pop()
        at, done = here
        if here in seen:
            continue
        seen.add(here)
        if done == len(parts):
            out.add(at)
            continue
        folder = "/".join(filter(None, (top, at)))
        if not _is_folder(tree, folder):
            continue
        below = f"{at}/" if at else ""
        names = tree.listdir(folder)
        if parts[done] == "**":
            todo.append((at, done + 1))
            todo += [(below + name, done) for name in names]
            if done + 1 == len(parts):
                out.update(below + name for name in names)
        else:
            fits = compiled(parts[done]).fullmatch
            todo += [(below + name, done + 1) for name in names if fits(name)]
    return sorted(out - {""})


def _is_folder(tree: FileTree, path: str) -> bool:
    node = tree.lookup(path)
    return node is not None and node.kind == "dir"


class _Picked:
    """A FileTree of some files of another one: `roots` says which of its paths are where in this one.

    What is no file, folder or symlink is not there, nor are symlinks that lead out; `dropped` lists those.
    """

    def __init__(self, tree: FileTree, roots: Mapping[str, str]) -> None:
        self._tree = tree
        self._roots = roots
        self._above: dict[str, set[str]] = {}
        """The folders above the roots, with the names in them that lead there."""
        for root in roots:
            while root:
                folder, _, name = root.rpartition("/")
                self._above.setdefault(folder, set()).add(name)
                root = folder
        self.dropped: dict[str, None] = {}

    def inside(self, path: str) -> str | None:
        """Where a path is in the other tree; None for what is in no root."""
        parts = path.split("/") if path else []
        for number in range(len(parts) + 1):
            root = self._roots.get("/".join(parts[:number]))
            if root is not None:
                return "/".join(filter(None, (root, *parts[number:])))
        return None

    def lookup(self, path: str) -> Node | None:
        inside = self.inside(path)
        if inside is None:
            return Node("dir", 0o755, 0, 0, time.time_ns(), 0) if path in self._above else None
        node = self._tree.lookup(inside)
        if node is None:
            return None
        if node.kind not in _KINDS or (node.kind == "symlink" and _leads_out(path, node.link)):
            self.dropped[f"/{inside}"] = None
            return None
        return node

    def listdir(self, path: str) -> list[str]:
        inside = self.inside(path)
        return sorted(self._above.get(path, ())) if inside is None else self._tree.listdir(inside)

    def open(self, path: str) -> BinaryIO:
        return self._tree.open(self.inside(path) or "")

    def xattrs(self, path: str) -> tuple[tuple[str, bytes], ...]:
        inside = self.inside(path)
        return self._tree.xattrs(inside) if inside is not None else ()


def _leads_out(path: str, link: str) -> bool:
    """Whether a symlink may lead out of the tree: `..` may stand at its beginning only, and not too often.

    What comes behind a name could be a symlink itself, whose `..` is somewhere else.
    """
    if link.startswith("/"):
        return True
    parts = [part for part in link.split("/") if part not in ("", ".")]
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    return up > path.count("/") or ".." in parts[up:]

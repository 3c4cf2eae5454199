"""Symlinks inside a file tree."""

from __future__ import annotations

from jettison.errors import SourceError
from jettison.store.base import FileTree

_LINKS = 255


def resolve(tree: FileTree, path: str, follow_last: bool = True) -> str:
    """The path with all its symlinks resolved inside the tree, as chroot would have it.

    `..` stops at the root, absolute targets start there. What is missing is kept as it is
    written. Raises SourceError for a loop.
    """
    todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
    at: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            del at[-1:]
            continue
        at.append(part)
        if not todo and not follow_last:
            break
        node = tree.lookup("/".join(at))
        if node is None or node.kind != "symlink":
            continue
        links += 1
        if links > _LINKS:
            raise SourceError(f"/{path} leads into a loop of symlinks")
        del at[-1:]
        if node.link.startswith("/"):
            at.clear()
        todo += [name for name in node.link.split("/") if name not in ("", ".")][::-1]
    return "/".join(at)

"""Walks over file trees: all that is below a folder, and what a pattern with `**` matches.

They keep lists in place of a call for each level: folders may be nested as deeply as a path is long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from jettison.dataclass import dataclass
from jettison.dockerfile.dockerignore import Matcher
from jettison.dockerfile.glob import match
from jettison.errors import SourceError
from jettison.store.base import FileTree, Node


@dataclass(frozen=True, slots=True)
class Found:
    """One file, directory or other thing below a Source; `target` is its path there."""

    path: str
    target: str
    node: Node


@runtime_checkable
class Scanning(Protocol):
    """A FileTree that gives a directory in one go."""

    def scan(self, path: str) -> dict[str, Node]: ...


def join(folder: str, name: str) -> str:
    """The path of a name in a folder; either may be ""."""
    return f"{folder}/{name}" if folder and name else folder or name


def descend(tree: FileTree, root: str, segments: list[str], out: dict[str, None]) -> None:
    """Add what matches a pattern, segment by segment; `**` is any number of directories, also none."""
    todo = [("", segments)]
    seen = set()
    while todo:
        at, segments = todo.pop()
        if (at, len(segments)) in seen:
            continue
        # Several `**` lead to one place by many ways.
        seen.add((at, len(segments)))
        if not segments:
            if at:
                out[at] = None
            continue
        first, rest = segments[0], segments[1:]
        deep = first == "**"
        found = [(at, rest)] if deep else []
        for name in names(tree, join(root, at)):
            path = join(at, name)
            if deep:
                node = tree.lookup(join(root, path))
                if node is not None and node.kind == "dir":
                    found.append((path, segments))
                elif not rest:
                    found.append((path, rest))
            elif match(first, name):
                found.append((path, rest))
        todo += reversed(found)


def walk(tree: FileTree, folder: str, prefix: str, matcher: Matcher | None, shift: int) -> Iterator[Found]:
    """All that is below a folder, directories first, without what the matcher drops.

    It is asked about paths without their first `shift` characters. `prefix` comes before each target.
    """
    todo = [(folder, f"{folder}/" if folder else "", prefix, _scan(tree, folder))]
    held: list[Found] = []
    """Excluded folders above: they come along if something in them does."""
    while todo:
        folder, below, prefix, items = todo[-1]
        name, node = next(items, ("", None))
        if node is None:
            todo.pop()
            if held and held[-1].path == folder:
                held.pop()
            continue
        path = below + name
        if node.kind == "socket":
            continue
        found = Found(path, prefix + name, node)
        if matcher is None or not matcher.ignored(path[shift:]):
            yield from held
            held.clear()
            yield found
        elif node.kind == "dir" and matcher.may_reinclude_below(path[shift:]):
            held.append(found)
        else:
            continue
        if node.kind == "dir":
            todo.append((path, f"{path}/", f"{found.target}/", _scan(tree, path)))


def names(tree: FileTree, path: str) -> list[str]:
    """The names in a directory; none in what isn't one."""
    node = tree.lookup(path)
    return tree.listdir(path) if node is not None and node.kind == "dir" else []


def _scan(tree: FileTree, folder: str) -> Iterator[tuple[str, Node]]:
    if isinstance(tree, Scanning):
        yield from tree.scan(folder).items()
        return
    below = f"{folder}/" if folder else ""
    for name in tree.listdir(folder):
        node = tree.lookup(below + name)
        if node is not None:
            yield name, node


def unreadable(error: OSError) -> SourceError:
    """What is told when a file of a source is there but cannot be read, or is gone again."""
    return SourceError(
        f"cannot read {error.filename}: {error.strerror}",
        hint="make it readable, leave it out with .dockerignore, or keep it unchanged while the build runs",
    )

"""Files that a build left in its image though they are not needed to run it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from jettison.dataclass import dataclass
from jettison.insight.packages import is_below
from jettison.insight.rules import PACKAGES, TYPESCRIPT, Rule, rule_of

LEAST = 4096
"""Bytes of one kind that are worth a word."""
_BUILT = ("dist", "build", "out")
_SCRIPTS = (".js", ".mjs", ".cjs")


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one rule found in one layer. `path` is the deepest folder that holds all of it."""

    rule: Rule
    layer: int
    path: str
    files: int
    size: int


def leftovers(
    files: Iterable[tuple[str, int, int]], development: Collection[str] = ()
) -> tuple[Leftover, ...]:
    """What is left in the files (path, layer, size) that a build added, the most bytes first.

    `development` are folders of packages that only development needs.
    """
    kept = list(files)
    built = {folder for path, _, _ in kept for folder in _built_from(path)}
    found: dict[tuple[Rule, int], list[tuple[str, int]]] = {}
    for path, layer, size in kept:
        fits = (PACKAGES, path) if development and is_below(path, development) else rule_of(path)
        if fits is None or (fits[0] is TYPESCRIPT and not _is_built(path, built)):
            continue
        found.setdefault((fits[0], layer), []).append((fits[1], size))
    out = []
    for (rule, layer), items in found.items():
        size = sum(size for _, size in items)
        if size >= LEAST:
            out.append(Leftover(rule, layer, _deepest(name for name, _ in items), len(items), size))
    return tuple(sorted(out, key=lambda item: (-item.size, item.path, item.layer)))


def _built_from(path: str) -> list[str]:
    """The folders whose `dist` a script lies in; not those of packages."""
    if not path.endswith(_SCRIPTS) or "node_modules/" in path:
        return []
    parts = path.split("/")[:-1]
    return ["/".join(parts[:at]) for at, part in enumerate(parts) if part in _BUILT]


def _is_built(path: str, built: Collection[str]) -> bool:
    while path:
        path = path.rpartition("/")[0]
        if path in built:
            return True
    return False


def _deepest(paths: Iterable[str]) -> str:
    shared: list[str] | None = None
    for path in paths:
        parts = path.split("/")
        if shared is None:
            shared = parts
        same = 0
        while same < min(len(shared), len(parts)) and shared[same] == parts[same]:
            same += 1
        shared = shared[:same]
    return "/".join(shared or [])

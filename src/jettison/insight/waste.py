"""Bytes that an image carries for nothing: hidden by later layers, or there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from jettison.dataclass import dataclass
from jettison.insight.stack import File, Stack

Why = Literal["overwritten", "deleted", "stored again", "duplicate"]
SMALLEST_READ = 16 << 10
"""Bytes of a file whose content is read. Smaller ones count as stored again when size and time are the
same, and are never looked for twice: there are many of them, and hardly a byte to be saved."""

Key = tuple[int, str]
"""A file by the number of its layer and its path in there."""
Content = Callable[[Key], bytes | None]
"""Gives the hash of a file's content, or None where it could not be read."""
_Item = tuple[str, File, File | None]
"""A path, the file that is wasted, and the one that replaced it or that it equals."""


@dataclass(frozen=True, slots=True)
class Waste:
    """Bytes of layer `owner` that layer `culprit` makes useless, for one reason.

    `paths` are the largest files, of duplicates with what each is `same_as`. What was stored again has
    `changes`; `uid`, `gid` and `mode` are what all of it was given, -1 where that differs.
    """

    why: Why
    owner: int
    culprit: int
    files: int
    size: int
    paths: tuple[str, ...]
    same_as: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    uid: int = -1
    gid: int = -1
    mode: int = -1


@dataclass(frozen=True, slots=True)
class Candidates:
    """Files whose contents have to be compared before anything can be said of them."""

    again: tuple[tuple[File, File], ...]
    equal_size: tuple[tuple[tuple[str, File], ...], ...]

    def wanted(self) -> dict[int, set[str]]:
        """The paths to read, by layer."""
        out: dict[int, set[str]] = {}
        for pair in self.again:
            for file in pair:
                out.setdefault(file.layer, set()).add(file.entry.path)
        for group in self.equal_size:
            for _, file in group:
                out.setdefault(file.layer, set()).add(file.entry.path)
        return out


def candidates(stack: Stack, base: int) -> Candidates:
    """What has to be read of an image whose lowest `base` layers came with its base image."""
    again = []
    for file in stack.hidden:
        after = file.successor
        if file.hidden_by >= base and after is not None and _same_size(file, after, SMALLEST_READ):
            again.append((file, after))
    by_size: dict[int, dict[int, tuple[str, File]]] = {}
    for path, file in stack.visible():
        if file.entry.size >= SMALLEST_READ:
            # Of the names of one file, the first in the alphabet: the same one each time.
            names = by_size.setdefault(file.entry.size, {})
            names[id(file)] = min(names.get(id(file), (path, file)), (path, file), key=lambda item: item[0])
    groups = []
    for names in by_size.values():
        found = sorted(names.values(), key=lambda item: (item[1].layer, item[0]))
        if len(found) > 1 and found[-1][1].layer >= base:
            groups.append(tuple(found))
    return Candidates(tuple(again), tuple(groups))


def wastes(stack: Stack, base: int, found: Candidates, content: Content) -> tuple[Waste, ...]:
    """All waste that the layers above the base cause, the most bytes first."""
    groups: dict[tuple[Why, int, int], list[_Item]] = {}

    def note(why: Why, owner: int, culprit: int, item: _Item) -> None:
        groups.setdefault((why, owner, culprit), []).append(item)

    for file in stack.hidden:
        if file.hidden_by >= base:
            why = _why(file, file.successor, content)
            note(why, file.layer, file.hidden_by, (file.entry.path, file, file.successor))
    told = set()
    for file, after in stack.split:
        # Both are needed now, each under other names: one of them would do if nothing had been changed.
        needed = file.names and after.names and after.entry.size
        if needed and after.layer >= base and _why(file, after, content) == "stored again":
            told.add(id(after))
            note("stored again", file.layer, after.layer, (after.entry.path, file, after))
    for copies in found.equal_size:
        for first, path, file in _copies(copies, base, content):
            if id(file) not in told:
                note("duplicate", first.layer, file.layer, (path, file, first))
    out = [_waste(*key, items) for key, items in groups.items()]
    for number, layer in enumerate(stack.layers):
        if layer.repeated and number >= base:
            out.append(Waste("overwritten", number, number, 0, layer.repeated, ()))
    return tuple(sorted(out, key=lambda item: (-item.size, item.why, item.owner, item.culprit)))


def base_waste(stack: Stack, base: int) -> int:
    """Bytes that the layers of the base image make useless among themselves."""
    hidden = sum(file.entry.size for file in stack.hidden if file.hidden_by < base)
    return hidden + sum(layer.repeated for layer in stack.layers[:base])


def _same_size(file: File, after: File, least: int) -> bool:
    return file.entry.size == after.entry.size >= least


def _why(file: File, after: File | None, content: Content) -> Why:
    if after is None:
        return "deleted"
    if not _same_size(file, after, 1):
        return "overwritten"
    if file.entry.size < SMALLEST_READ:
        same = file.entry.mtime_ns // 10**9 == after.entry.mtime_ns // 10**9
    else:
        before = content((file.layer, file.entry.path))
        same = before is not None and before == content((after.layer, after.entry.path))
    return "stored again" if same else "overwritten"


def _copies(
    files: Iterable[tuple[str, File]], base: int, content: Content
) -> Iterable[tuple[File, str, File]]:
    """The further copies of contents that are there already: the first one, a path, and its file."""
    firsts: dict[bytes, File] = {}
    for path, file in files:
        known = content((file.layer, file.entry.path))
        if known is None:
            continue
        first = firsts.setdefault(known, file)
        if first is not file and file.layer >= base:
            yield first, path, file


def _waste(why: Why, owner: int, culprit: int, items: list[_Item]) -> Waste:
    items.sort(key=lambda item: (-item[1].entry.size, item[0]))
    size = sum(file.entry.size for _, file, _ in items)
    paths = tuple(path for path, _, _ in items[:3])
    if why != "stored again":
        same_as = tuple(first.entry.path for _, _, first in items[:3] if first is not None)
        return Waste(why, owner, culprit, len(items), size, paths, same_as if why == "duplicate" else ())
    pairs = [(file.entry, after.entry) for _, file, after in items if after is not None]
    changed = {
        "owner": any((old.uid, old.gid) != (new.uid, new.gid) for old, new in pairs),
        "mode": any(old.mode != new.mode for old, new in pairs),
        "attributes": any(old.xattrs != new.xattrs for old, new in pairs),
        "time": any(old.mtime_ns // 10**9 != new.mtime_ns // 10**9 for old, new in pairs),
    }
    return Waste(
        why,
        owner,
        culprit,
        len(items),
        size,
        paths,
        changes=tuple(name for name, yes in changed.items() if yes),
        uid=_common(new.uid for _, new in pairs),
        gid=_common(new.gid for _, new in pairs),
        mode=_common(new.mode for _, new in pairs),
    )


def _common(values: Iterable[int]) -> int:
    """The one value that all have, or -1."""
    different = set(values)
    return different.pop() if len(different) == 1 else -1

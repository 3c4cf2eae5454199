"""Two listings of copied files, compared in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jettison.store.listings import Listed

Ignored = Callable[[str], str]
"""Why a path of the build context is excluded now ("" where it is not), as `.dockerignore:3 ("dist")`."""

_NAMES = {"dir": "a folder", "file": "a file", "symlink": "a symlink"}


def changes(old: Sequence[Listed], new: Sequence[Listed], ignored: Ignored = lambda path: "") -> str:
    """What differs, one part per kind of change; empty when nothing does.

    For example `src/a.py content changed (and 2 more); b.sh mode 664 → 644`.
    """
    before, now = {item.path: item for item in old}, {item.path: item for item in new}
    gone = [path for path in before if path not in now]
    added = [path for path in now if path not in before]
    both = [(before[path], item) for path, item in now.items() if path in before]
    same = [(a, b) for a, b in both if a.kind == b.kind]
    renamed = _renamed([before[path] for path in gone], [now[path] for path in added])
    gone = [path for path in gone if path not in renamed]
    added = [path for path in added if path not in renamed.values()]
    hidden = {path: why for path in gone if (why := ignored(path))}
    groups = [
        [f"{b.path} content changed" for a, b in same if a.digest != b.digest],
        [f"{path} is excluded by {why}" for path, why in hidden.items()],
        [f"{path} removed" for path in gone if path not in hidden],
        [f"{path} added" for path in added],
        [f"{path} renamed to {other}" for path, other in renamed.items()],
        [f"{b.path} was {_kind(a)}, is {_kind(b)}" for a, b in both if a.kind != b.kind],
        [f"{b.path} {_link(b)} {a.link or 'none'} → {b.link or 'none'}" for a, b in same if a.link != b.link],
        [f"{b.path} mode {a.mode:o} → {b.mode:o}" for a, b in same if a.mode != b.mode],
        [f"{b.path} owner {a.owner or '0:0'} → {b.owner or '0:0'}" for a, b in same if a.owner != b.owner],
        [f"{b.path} extended attributes changed" for a, b in same if a.xattrs != b.xattrs],
    ]
    return "; ".join(_first(group) for group in groups if group)


def _renamed(gone: Sequence[Listed], added: Sequence[Listed]) -> dict[str, str]:
    free = {item.digest: item.path for item in reversed(added) if item.kind == "file" and item.digest}
    out: dict[str, str] = {}
    for item in gone:
        if item.kind == "file" and item.digest in free:
            out[item.path] = free.pop(item.digest)
    return out


def _first(group: list[str]) -> str:
    return group[0] if len(group) == 1 else f"{group[0]} (and {len(group) - 1} more)"


def _kind(item: Listed) -> str:
    return _NAMES.get(item.kind, f"a {item.kind}")


def _link(item: Listed) -> str:
    return {"symlink": "symlink", "file": "hard link"}.get(item.kind, "device")

"""What the trees of layers are called, which tells whose files they have: owners may only be noted."""

from __future__ import annotations

import functools
import os

from jettison.kernel import capabilities

TREES = ("tree", "virtual", "plain")
"""With real owners; with noted ones; with noted ones and wider modes, which no step may see."""

_CHOWN, _DAC_OVERRIDE = 1 << 0, 1 << 1


def virtual() -> bool:
    """Whether this process cannot give files to others: owners are noted then."""
    return tree_name() != TREES[0]


def tree_name() -> str:
    """Which of TREES this process makes and reads."""
    return _tree_name(os.geteuid())


@functools.cache
def _tree_name(uid: int) -> str:
    """Kept by user id: it changes when a process enters a user namespace."""
    can = capabilities()
    if not can & _DAC_OVERRIDE:
        return TREES[2]
    return TREES[1] if uid or not can & _CHOWN or _has_one_id() else TREES[0]


def _has_one_id() -> bool:
    from jettison.sandbox.identity import mapped_ids

    return sum(count for _, _, count in mapped_ids()) == 1


def removable(folder: str) -> list[str]:
    """What of a layer's folder this process may remove: all of it, or what is not under others' ids."""
    if not virtual() or not os.path.isdir(f"{folder}/{TREES[0]}"):
        return [folder]
    return [f"{folder}/{name}" for name in os.listdir(folder) if name != TREES[0]]


def measurable() -> tuple[str, ...]:
    """The names of the trees that this process may remove, and so counts."""
    return TREES[1:] if virtual() else TREES

"""Finds what of a store others than its owner can use, and closes it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from jettison.store.trees import TREES

_AS_IMAGES_SAY = ("tmp", "cache-mounts")
"""The folders in these hold what images and steps made, with the modes that those chose; so do trees."""


def exposed(root: str) -> Iterator[tuple[str, str]]:
    """What in a store is not its owner's alone: paths below its folder, with what is wrong with each."""
    folders = [""]
    while folders:
        folder = folders.pop()
        with suppress(FileNotFoundError), os.scandir(os.path.join(root, folder)) as found:
            for item in found:
                path = os.path.join(folder, item.name)
                status = item.stat(follow_symlinks=False)
                is_tree = item.name in TREES and folder.startswith("layers/")
                if is_tree or folder == "cache-mounts":
                    continue
                if problem := _problem(status):
                    yield path, problem
                if stat.S_ISDIR(status.st_mode) and folder not in _AS_IMAGES_SAY:
                    folders.append(path)


def _problem(status: os.stat_result) -> str:
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}"
    mode = stat.S_IMODE(status.st_mode)
    return f"its mode {mode:o} lets others use it" if mode & 0o077 else ""


def close_to_others(path: str) -> None:
    """Give a file or folder of a store to its owner alone. Raises OSError."""
    os.lchown(path, os.geteuid(), os.getegid())
    mode = os.lstat(path).st_mode
    if not stat.S_ISLNK(mode):
        os.chmod(path, 0o700 if stat.S_ISDIR(mode) else 0o600)

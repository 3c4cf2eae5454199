"""What things take on the disk: allocated blocks, as `du` counts them."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from jettison.store.trees import measurable

if TYPE_CHECKING:
    from jettison.store.store import Store

_BLOCK = 512


def disk_of(path: str) -> int:
    """The bytes allocated for a file, or a folder with all below it; several names of one file count once.

    What is not there takes nothing, and neither does what vanishes meanwhile.
    """
    try:
        at = os.lstat(path)
    except OSError:
        return 0
    total = at.st_blocks
    seen: set[tuple[int, int]] = set()
    todo = [path] if os.path.isdir(path) and not os.path.islink(path) else []
    while todo:
        try:
            with os.scandir(todo.pop()) as found:
                for item in found:
                    try:
                        at = item.stat(follow_symlinks=False)
                        folder = item.is_dir(follow_symlinks=False)
                    except OSError:
                        continue
                    if at.st_nlink > 1 and not folder:
                        if (at.st_dev, at.st_ino) in seen:
                            continue
                        seen.add((at.st_dev, at.st_ino))
                    total += at.st_blocks
                    if folder:
                        todo.append(item.path)
        except OSError:
            continue
    return total * _BLOCK


def measure(store: Store, anew: bool = False) -> None:
    """Note what layers and cache mounts take on the disk, where that is not known or, with `anew`, always.

    The tree of a layer never changes; a cache mount may have, when it was used since.
    """
    known = dict(store.db.read("SELECT folder, measured FROM measured WHERE disk >= 0")) if not anew else {}
    wanted: dict[str, str] = {}
    for (layer_id,) in store.db.read("SELECT id FROM layers"):
        for name in measurable():
            tree = f"layers/{layer_id}/{name}"
            if tree not in known:
                wanted[tree] = f"{store.root}/{tree}"
    for folder, used in store.db.read("SELECT folder, last_used FROM cache_mounts"):
        name = f"cache-mounts/{folder}"
        # A step that uses it now goes on writing to it.
        if known.get(name, 0.0) < used + 3600:
            wanted[name] = f"{store.root}/{name}"
    now = time.time()
    rows = [(name, disk_of(path), now) for name, path in wanted.items() if os.path.isdir(path)]
    if rows:
        store.db.write_many(
            "INSERT INTO measured (folder, disk, measured) VALUES (?, ?, ?)"
            " ON CONFLICT (folder) DO UPDATE SET disk = excluded.disk, measured = excluded.measured",
            rows,
        )

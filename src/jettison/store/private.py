"""Files that nobody else may read: whatever the umask is, those of a store are their owner's alone."""

from __future__ import annotations

import os

from jettison.errors import StoreError


def private(path: str, flags: int) -> int:
    """An `opener` for `open`: a new file has the mode 0600."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def refuse_foreign(root: str) -> os.stat_result:
    """Raises StoreError where a folder is somebody else's: its owner decides what is built from it."""
    status = os.stat(root)
    if status.st_uid != os.geteuid():
        raise StoreError(
            f"the store {root} belongs to another user ({status.st_uid}), who could put anything into it",
            hint=f"if that is fine: chown -R {os.geteuid()} {root}; else --root names another folder",
        )
    return status


def keep_private(root: str) -> None:
    """Close a store that is open to others, as a restored cache may be. Raises as `refuse_foreign`."""
    if refuse_foreign(root).st_mode & 0o077:
        os.chmod(root, 0o700)

"""What the operating system says, as a StoreError."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from jettison.errors import StoreError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What says that a disk has no room, or its user no more quota."""


TOO_DEEP = "folders nested deeper than a path may be long (4095 bytes) can be in no layer: leave them out"


def brief(text: str) -> str:
    """A text with a path in it, without the middle of one that nobody would read."""
    return text if len(text) <= 300 else f"{text[:200]}…{text[-60:]}"


def store_error(error: OSError, doing: str, folder: str) -> StoreError:
    """The StoreError for an OSError met while `doing` something in a folder of the store."""
    if error.errno in FULL:
        return StoreError(
            f"{doing}: no space left in {folder}",
            hint="remove images that are not needed, or use another folder with --root",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"{doing}: {error.strerror}: {error.filename or folder}",
            hint=f"the store {folder} has to be writable for this user; --root names another",
        )
    name = f" ({brief(str(error.filename))})" if error.filename else ""
    return StoreError(
        f"{brief(doing)}: {error.strerror or error}{name}",
        hint=TOO_DEEP if error.errno == errno.ENAMETOOLONG else None,
    )


@contextmanager
def faults(doing: str, folder: str) -> Iterator[None]:
    """Turns an OSError of the block into a StoreError."""
    try:
        yield
    except OSError as error:
        raise store_error(error, doing, folder) from error

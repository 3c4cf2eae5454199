"""Extended attributes: which belong into a layer, which are overlayfs's or ours."""

from __future__ import annotations

import errno
import os

OPAQUE = "user.overlay.opaque"
ORIGIN = "user.overlay.origin"
"""Is on whatever overlayfs copied from a lower layer, whatever it holds, and on nothing that is new."""
IMPLIED = "user.jettison.implied"
"""Marks a directory that no entry of its layer names: what is below it in the stack says how it looks."""

KEPT = "user.jettison.kept."
"""Comes before the name of an attribute that this process may not set, and so only keeps."""

_OWN = (
    "user.overlay.",
    "trusted.overlay.",
    "user.jettison.",
    "security.selinux",
    "security.evm",
    "security.ima",
)
_UNABLE = (errno.ENOTSUP, errno.EPERM, errno.ERANGE, errno.EINVAL, errno.ENOSPC, errno.E2BIG)
"""What a filesystem says that cannot have an attribute: of this kind, of this value, of this size."""
_MISSING = (errno.ENODATA, errno.ENOTSUP, errno.ENOENT)


def belongs(name: str) -> bool:
    """Whether an attribute is part of a layer: not this machine's labels, nor overlayfs's notes."""
    return not name.startswith(_OWN)


def read(path: str | int) -> tuple[tuple[str, bytes], ...]:
    """The attributes of a file that belong into a layer, sorted. Empty where the filesystem has none."""
    follow = isinstance(path, int)
    try:
        names = os.listxattr(path, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            return ()
        raise
    if not names:
        return ()
    found = {name: name for name in names if belongs(name)}
    kept = {name[len(KEPT) :]: name for name in names if name.startswith(KEPT)}
    if kept and _virtual():
        found = {**{name: there for name, there in kept.items() if belongs(name)}, **found}
    return tuple(
        (name, os.getxattr(path, there, follow_symlinks=follow)) for name, there in sorted(found.items())
    )


def write(path: str | int, xattrs: tuple[tuple[str, bytes], ...]) -> None:
    """Set attributes, as far as this filesystem and this user can have them."""
    for name, value in xattrs:
        if belongs(name) and not _set(path, name, value) and _virtual():
            _set(path, KEPT + name, value)


def _set(path: str | int, name: str, value: bytes) -> bool:
    """Whether the attribute could be set."""
    try:
        os.setxattr(path, name, value, follow_symlinks=isinstance(path, int))
        return True
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        return False


def _virtual() -> bool:
    from jettison.store.trees import virtual

    return virtual()


def has(path: str, name: str) -> bool:
    """Whether one of the markers above is set on a directory."""
    return _marker(path, name) == b"y"


def is_set(path: str, name: str) -> bool:
    """Whether a file has a marker, with any content or none."""
    return _marker(path, name) is not None


def _marker(path: str, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise


def mark(path: str, name: str) -> None:
    """Set one of the markers above."""
    os.setxattr(path, name, b"y", follow_symlinks=False)


def unmark(path: str, name: str) -> None:
    """Take a marker away; one that is not there is no error."""
    try:
        os.removexattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _MISSING:
            raise

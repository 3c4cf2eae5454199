"""Whiteouts as files: the mark of a removed path in a layer's tree."""

from __future__ import annotations

import errno
import os
import stat

_ELSEWHERE = os.makedev(0, 1)
"""No device has the major number 0. For a store that lies on an overlay itself, which makes no 0:0."""


def is_whiteout(found: os.stat_result) -> bool:
    """Whether a file of a layer's tree says that the path is removed."""
    return stat.S_ISCHR(found.st_mode) and os.major(found.st_rdev) == 0


def make_whiteout(path: str) -> None:
    """Make one. Raises FileExistsError where there is something already, and other OSErrors."""
    try:
        os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        os.mknod(path, stat.S_IFCHR, _ELSEWHERE)

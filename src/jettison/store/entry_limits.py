"""What an entry of an archive may be at most: what Linux can keep, so that nothing else has to ask.

Archives say anything: owners and times that fit into no field of the kernel, names with zeros in them.
"""

from __future__ import annotations

import os

from jettison.errors import StoreError
from jettison.store.base import Entry

LONGEST_PATH = 4095
"""Bytes of a path or of a link's target (PATH_MAX, without the zero at its end)."""
_LONGEST_NAME = 255
_LARGEST_ID = (1 << 32) - 2
_LATEST = 1 << 55
_DEVICES = (1 << 12, 1 << 20)
_LARGEST_VALUE = 1 << 16


def check(entry: Entry) -> None:
    """Raise StoreError for an entry that no filesystem could hold."""
    problem = (
        _of_name(entry.path)
        or (_of_link(entry.link) if entry.kind in ("symlink", "hardlink") else "")
        or _of_numbers(entry)
        or next((found for name, value in entry.xattrs if (found := _of_xattr(name, value))), "")
    )
    if problem:
        raise StoreError(
            f"the archive has an entry that no filesystem can hold: {_shown(entry.path)} has {problem}",
            hint="it was made wrongly, or to do harm; it is not unpacked",
        )


def _of_name(path: str) -> str:
    if len(path) < 64 and "\0" not in path:
        return ""  # all of them, nearly
    if "\0" in path:
        return "a zero in its name"
    if len(os.fsencode(path)) > LONGEST_PATH:
        return f"a path of more than {LONGEST_PATH} bytes"
    if any(len(os.fsencode(name)) > _LONGEST_NAME for name in path.split("/")):
        return f"a name of more than {_LONGEST_NAME} bytes"
    return ""


def _of_link(target: str) -> str:
    if "\0" in target:
        return "a zero in its target"
    return f"a target of more than {LONGEST_PATH} bytes" if len(os.fsencode(target)) > LONGEST_PATH else ""


def _of_numbers(entry: Entry) -> str:
    if not 0 <= entry.uid <= _LARGEST_ID or not 0 <= entry.gid <= _LARGEST_ID:
        return f"the owner {entry.uid}:{entry.gid}"
    if not -_LATEST < entry.mtime_ns // 10**9 < _LATEST:
        return f"the time {entry.mtime_ns // 10**9}"
    if any(not 0 <= number < limit for number, limit in zip(entry.device, _DEVICES, strict=True)):
        return f"the device number {entry.device[0]}:{entry.device[1]}"
    return ""


def _of_xattr(name: str, value: bytes) -> str:
    if "\0" in name:
        return "a zero in the name of an attribute"
    return "an attribute of more than 64 KiB" if len(value) > _LARGEST_VALUE else ""


def _shown(path: str) -> str:
    return repr(path if len(path) <= 100 else path[:97] + "...")

"""Which filesystems show every change of a file in its times, so that a hash may be remembered."""

from __future__ import annotations

import os
from collections.abc import Iterable

_SILENT = ("tmpfs", "ramfs", "devtmpfs", "vfat", "msdos", "exfat", "fuse.sshfs")
"""Files that live in memory keep their times when a program writes to them by mapping them. The others have
no time of a change but the one that anybody may set."""


def silent_devices(devices: Iterable[int]) -> set[int]:
    """Those of some devices (`st_dev`) whose files may change and show nothing of it."""
    try:
        return _mounted(_SILENT, devices)
    except OSError:
        return set(devices)


def in_memory(path: str) -> bool:
    """Whether a file or folder is on no disk. Raises OSError when there is no such file."""
    device = os.stat(path).st_dev
    try:
        return bool(_mounted(("tmpfs", "ramfs"), [device]))
    except OSError:
        return False


def _mounted(kinds: tuple[str, ...], devices: Iterable[int]) -> set[int]:
    mounted: set[str] = set()
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            place, _, kind = line.partition(" - ")
            if kind.startswith(tuple(f"{name} " for name in kinds)):
                mounted.add(place.split(" ", 3)[2])
    return {device for device in devices if f"{os.major(device)}:{os.minor(device)}" in mounted}

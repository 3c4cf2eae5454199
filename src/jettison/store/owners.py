"""Owners, devices and modes of a layer's files, where this process cannot give them to files.

A process that has a single user id, in a user namespace or outside of any, owns every file that it makes.
What a file is in truth is then noted in extended attributes; for symlinks and fifos, which can have none,
in a listing beside the tree. A device is an empty file with a note. Trees with notes have names of their
own (`store/trees.py`), so that whoever can have real owners never takes them for the truth.

Root of a user namespace can have real owners and no devices: there the note of a device is the only one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal, TypeVar, cast

from jettison.dataclass import dataclass, replace
from jettison.errors import StoreError
from jettison.store import xattrs
from jettison.store.base import Entry, Node
from jettison.store.private import private
from jettison.store.trees import TREES, tree_name, virtual

OWNER = "user.jettison.owner"
"""b"uid:gid" in decimal; without it a file of such a tree is root's.

b"0:0:NAME" if a step gave the open file to root while it had that name.
"""
_NAMED = b"0:0:"
_DEVICE = "user.jettison.device"
"""b"char:major:minor" or b"block:…" on the empty file that stands for a device."""
_MODE = "user.jettison.mode"
"""The mode in octal, where the file itself has a wider one."""
LISTING = ".owners"
"""What is behind a tree's name in that of its listing."""

_LARGEST = (1 << 32) - 2
_NO_NOTES = (errno.ENOTSUP, errno.EPERM, errno.EACCES)

Item = TypeVar("Item", Entry, Node)


# -- making


def own(path: str | int, uid: int, gid: int, name: str, *, follow: bool = True) -> None:
    """Give a file to somebody in truth. Raises StoreError, with its `name`, for whom there is not here."""
    try:
        os.chown(path, uid, gid, follow_symlinks=follow)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        from jettison.sandbox.identity import MORE_IDS, missing_id

        missing = missing_id(uid, gid)
        if not missing:
            raise
        raise StoreError(
            f"{name} belongs to {uid}:{gid}, and there is no {missing} in this user namespace", hint=MORE_IDS
        ) from error


def give(path: str, uid: int, gid: int) -> None:
    """Let a file or folder belong to somebody; where that is impossible it is noted, if it can be.

    Raises StoreError for somebody whom there is not here.
    """
    if not virtual():
        own(path, uid, gid, "a mount")
        return
    try:
        os.setxattr(path, OWNER, _owner(uid, gid))
    except OSError as error:
        if error.errno not in _NO_NOTES:
            raise


def note(path: str | int, uid: int, gid: int) -> None:
    """Note whose a file or a folder is. Raises StoreError where files can have no notes."""
    _put(path, OWNER, _owner(uid, gid))


def _owner(uid: int, gid: int) -> bytes:
    return b"%d:%d" % (uid, gid)


def _put(path: str | int, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        raise StoreError(
            "the filesystem of the store has no extended attributes, which say whose files are whose",
            hint="--root names a folder on another filesystem",
        ) from error


def adorn(path: str | int, entry: Entry) -> None:
    """Give a new file or folder the mode of an entry, and note the rest. A device is a file here.

    Raises StoreError as `note`.
    """
    mode = entry.mode
    if tree_name() == TREES[2]:
        # Nothing else lets its own files be read and filled whatever their modes are.
        mode |= 0o700 if entry.kind == "dir" else 0o600
    os.chmod(path, mode)
    if mode != entry.mode:
        _put(path, _MODE, b"%o" % entry.mode)
    if entry.kind in ("char", "block"):
        note_device(path, entry)
    if entry.uid or entry.gid:
        note(path, entry.uid, entry.gid)


def note_device(path: str | int, entry: Entry) -> None:
    """Note on an empty file which device it stands for. Raises StoreError as `note`."""
    _put(path, _DEVICE, b"%s:%d:%d" % (entry.kind.encode(), *entry.device))


def forget(path: str) -> None:
    """Take all notes from a folder that is described anew."""
    for name in os.listxattr(path, follow_symlinks=False):
        if name in (OWNER, _MODE):
            os.removexattr(path, name, follow_symlinks=False)


def write_listing(tree: str, owners: Mapping[str, tuple[int, int]]) -> None:
    """Keep whose the symlinks and fifos of a tree are, by path. Those that it has not are root's."""
    if owners:
        with open(tree + LISTING, "x", encoding="ascii", opener=private) as file:
            json.dump(owners, file)


def bring(tree: str, place: str) -> None:
    """Rename a finished tree to its place, its listing first: whoever sees the tree finds it."""
    if virtual():
        try:
            os.rename(tree + LISTING, place + LISTING)
        except FileNotFoundError:
            _unlink(place + LISTING)
    os.rename(tree, place)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


# -- reading


@dataclass(frozen=True, slots=True)
class Notes:
    """What the files of one tree are in truth. `listed` are the owners of its symlinks and fifos."""

    listed: Mapping[str, tuple[int, int]]

    def correct(self, item: Item, path: str, where: str) -> Item:
        """An entry or node as its notes say, made of the file `where`; `path` is that below the tree."""
        if item.kind in ("symlink", "fifo") or path in self.listed:
            uid, gid = self.listed.get(path, (0, 0))
            return replace(item, uid=uid, gid=gid)
        names = os.listxattr(where, follow_symlinks=False)
        uid, gid = (OWNER in names and noted(where)) or (0, 0)
        mode = _number(_get(where, _MODE), 8, 0o7777) if _MODE in names else None
        item = replace(item, uid=uid, gid=gid, mode=item.mode if mode is None else mode)
        return _stood_for(item, where) if item.kind == "file" and _DEVICE in names else item


def corrected(notes: Notes | None, item: Item, path: str, where: str) -> Item:
    """As `Notes.correct`; where owners are real (None), an empty file may still stand for a device."""
    if notes is not None:
        return notes.correct(item, path, where)
    return _stood_for(item, where) if item.kind == "file" and not item.size else item


def _stood_for(item: Item, where: str) -> Item:
    kind, numbers = _device(_get(where, _DEVICE))
    return replace(item, kind=kind, device=numbers, size=0) if kind else item


def drop_forged(path: str, was: Node | None) -> None:
    """Take the note of a device from a file that somebody else than root owns, and so could make a device of.

    It stays where the layers below have (`was`) a device there.
    """
    if was is None or was.kind not in ("char", "block"):
        with suppress(OSError):
            os.removexattr(path, _DEVICE, follow_symlinks=False)


def notes_of(tree: str) -> Notes | None:
    """The notes on a tree of this process's kind; None where owners are real.

    Raises StoreError when the listing cannot be read.
    """
    if not virtual():
        return None
    try:
        with open(tree + LISTING, encoding="ascii") as file:
            listed = json.load(file)
        return Notes({path: (int(uid), int(gid)) for path, (uid, gid) in listed.items()})
    except FileNotFoundError:
        return Notes({})
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{tree}{LISTING} is damaged: it must say whose links are", hint="jettison check-store --repair"
        ) from error


def is_note(attribute: str) -> bool:
    """Whether a copy of a file needs this extended attribute to be the same file."""
    return attribute in (OWNER, _DEVICE, _MODE) or attribute.startswith(xattrs.KEPT)


def noted(path: str) -> tuple[int, int] | None:
    """The owner that is noted on a file or folder; None where there is none that makes sense."""
    value = _get(path, OWNER)
    if value.startswith(_NAMED):
        return 0, 0
    user, _, group = value.partition(b":")
    uid, gid = _number(user, 10, _LARGEST), _number(group, 10, _LARGEST)
    return None if uid is None or gid is None else (uid, gid)


def name_when_given(path: str) -> str:
    """The name that a file had when a step gave it to root by its open descriptor; "" if none did."""
    value = _get(path, OWNER)
    return os.fsdecode(value[len(_NAMED) :]) if value.startswith(_NAMED) else ""


def owner_of(path: str, at: os.stat_result) -> tuple[int, int]:
    """Whose a file or folder is."""
    return (noted(path) or (0, 0)) if virtual() else (at.st_uid, at.st_gid)


def _get(path: str, name: str) -> bytes:
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return b""
        raise


def _number(text: bytes, base: int, most: int) -> int | None:
    # A step can write what it likes.
    try:
        value = int(text, base) if text.isdigit() and len(text) < 12 else -1
    except ValueError:
        return None
    return value if 0 <= value <= most else None


def _device(text: bytes) -> tuple[Literal["char", "block", ""], tuple[int, int]]:
    kind, _, numbers = text.decode("latin-1").partition(":")
    major, _, minor = numbers.partition(":")
    device = _number(major.encode("latin-1"), 10, 0xFFF), _number(minor.encode("latin-1"), 10, 0xFFFFF)
    if kind not in ("char", "block") or None in device or device == (0, 0):
        return "", (0, 0)
    return cast(Literal["char", "block"], kind), cast(tuple[int, int], device)

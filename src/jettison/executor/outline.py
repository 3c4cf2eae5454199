"""What a COPY would write, without writing it: so that its layer can be known on another base."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import BinaryIO

from jettison.executor.copy import run_copy
from jettison.graph.ops import CopyOp
from jettison.store.base import Entry, FileTree


class _Outline:
    """A writer that keeps nothing but the digest of the entries; contents are left unread."""

    def __init__(self) -> None:
        self.hash = sha256()

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None) -> None:
        row = [
            entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns, entry.size, entry.link,
            list(entry.device), [[name, value.hex()] for name, value in entry.xattrs],
        ]  # fmt: skip
        self.hash.update(json.dumps(row).encode("ascii") + b"\n")

    def commit(self) -> None:
        """Nothing is kept."""

    def abort(self) -> None:
        """Nothing is kept."""


def outline(op: CopyOp, source: FileTree | None, base: FileTree, now_ns: int, spool: str) -> str:
    """The digest of all entries of the layer that a copy onto this base makes; see `run_copy`."""
    writer = _Outline()
    run_copy(op, source, base, writer, now_ns, spool)  # type: ignore[arg-type]
    return "sha256:" + writer.hash.hexdigest()

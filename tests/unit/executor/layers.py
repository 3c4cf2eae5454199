"""What the tests of this room share: folders as trees, and a writer that remembers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from jettison.executor.copy import run_copy
from jettison.graph.ops import CopyOp, InlineFile
from jettison.sources.context import ContextTree, open_context
from jettison.store.base import Entry, FileTree, Layer

EPOCH = 1_000_000_000_000_000_000


class Recorder:
    """A LayerWriter that keeps what it is given, and holds its callers to the rules."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.data: dict[str, bytes] = {}
        self.last = ""

    def add(self, entry: Entry, content: str | bytes | BinaryIO | None = None) -> None:
        assert entry.path.split("/") > self.last.split("/"), f"{entry.path} after {self.last}"
        self.last = entry.path
        parent = entry.path.rpartition("/")[0]
        assert not parent or self.entries[parent].kind == "dir", f"{entry.path} before its directory"
        self.entries[entry.path] = entry
        if entry.kind == "file":
            if isinstance(content, str):
                self.data[entry.path] = Path(content).read_bytes()
            else:
                assert content is not None
                self.data[entry.path] = content if isinstance(content, bytes) else content.read()
            assert len(self.data[entry.path]) == entry.size
        if entry.kind == "hardlink":
            assert self.entries[entry.link].kind == "file"

    def commit(self) -> Layer:
        return Layer("recorded")

    def abort(self) -> None:
        self.entries.clear()

    def text(self, path: str) -> str:
        entry = self.entries[path]
        return self.data[entry.link if entry.kind == "hardlink" else path].decode()

    def modes(self) -> dict[str, str]:
        return {path: f"{entry.mode:o}" for path, entry in self.entries.items()}

    def owners(self) -> dict[str, tuple[int, int]]:
        return {path: (entry.uid, entry.gid) for path, entry in self.entries.items()}


Spec = Mapping[str, str | tuple[str, str] | None]


def folder(path: Path, files: Spec) -> ContextTree:
    """A folder with these files (text), directories (None) and symlinks ("->", target), as a tree."""
    path.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            place.mkdir(exist_ok=True)
        elif isinstance(content, tuple):
            place.symlink_to(content[1])
        else:
            place.write_text(content)
    for top, dirs, names in os.walk(path):
        for name in dirs:
            if not os.path.islink(os.path.join(top, name)):
                os.chmod(os.path.join(top, name), 0o755)
        for name in names:
            if not os.path.islink(os.path.join(top, name)):
                os.chmod(os.path.join(top, name), 0o644)
    return open_context(str(path), None)


def copy_op(*paths: str, to: str, **more: object) -> CopyOp:
    """A COPY from the main context, with the destination as in a Dockerfile."""
    values: dict[str, object] = {"context": "", **more}
    files = values.pop("files", ())
    assert isinstance(files, tuple)
    inline = tuple(InlineFile(name, data) for name, data in files)
    dest = to.rstrip("/") or "/"
    return CopyOp(dest, to.endswith("/"), paths, files=inline, **values)  # type: ignore[arg-type]


def copied(op: CopyOp, source: FileTree | None, base: FileTree) -> Recorder:
    """What the layer of a COPY has in it."""
    writer = Recorder()
    run_copy(op, source, base, writer, EPOCH)
    return writer

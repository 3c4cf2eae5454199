"""Is a store sound? Looks at the files and the database themselves, not through the code that wrote them."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from jettison.dataclass import replace
from jettison.store.compress import decompressed
from jettison.store.render import entries
from jettison.store.tar import END, header, padding

Rows = list[dict[str, Any]]


class StoreCheck:
    """Checks one store again and again. What was hashed once and has not changed is not hashed again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._hashed: dict[tuple[int, ...], str] = {}
        self._packed: dict[str, str] = {}

    def problems(self) -> list[str]:
        """All that is wrong with a store that no process uses. Blobs that nothing names are fine."""
        with closing(sqlite3.connect(self.root / "jettison.db", isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            tables = {
                name: [dict(row) for row in db.execute(f"SELECT * FROM {name}")]
                for name in ("layers", "renderings", "records", "images")
            }
            sound = db.execute("PRAGMA integrity_check").fetchall()
        found = [] if [tuple(row) for row in sound] == [("ok",)] else [f"the database: {sound}"]
        found += self._blobs()
        found += self._layers(tables["layers"])
        found += self._references(tables)
        found += [line for image in tables["images"] for line in self._image(image)]
        return found

    def leftovers(self) -> list[str]:
        """Files that a process left which died: there are none after the next build."""
        names = [f"{folder}/{name}" for folder in ("tmp", "locks") for name in os.listdir(self.root / folder)]
        names.remove("locks/in-use")
        return names + [f"memo/{name}" for name in os.listdir(self.root / "memo") if name.startswith(".")]

    def assert_sound(self) -> None:
        """Nothing is wrong, and nothing was left behind."""
        found = self.problems() + self.leftovers()
        assert not found, "\n".join(found)

    def _blob(self, digest: str) -> Path:
        algorithm, _, name = digest.partition(":")
        return self.root / "blobs" / algorithm / name

    def _blobs(self) -> Iterator[str]:
        for path in (self.root / "blobs").glob("*/*"):
            at = path.stat()
            key = (at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns)
            if key not in self._hashed:
                with path.open("rb") as file:
                    self._hashed[key] = file_digest(file, path.parent.name).hexdigest()
            if self._hashed[key] != path.name:
                yield f"the blob {path.name} holds something else"

    def _layers(self, rows: Rows) -> Iterator[str]:
        ids = {row["id"] for row in rows}
        for name in os.listdir(self.root / "layers"):
            if name not in ids:
                yield f"layers/{name} is no layer of the database"
        for row in rows:
            folder = self.root / "layers" / row["id"]
            blob = self._blob(row["blob"]) if row["blob"] else None
            if blob is not None and blob.exists() and blob.stat().st_size != row["blob_size"]:
                yield f"layer {row['id']}: its blob has another size"
            if not (folder / "tree").is_dir() and not row["origin"] and not (blob and blob.exists()):
                yield f"layer {row['id']} has neither a tree nor a blob"
            if folder.is_dir() and not set(os.listdir(folder)) <= {"tree", "index"}:
                yield f"layers/{row['id']} holds {os.listdir(folder)}"
            # A tree that was rendered, or unpacked from what this store packed, gives its diff ID again.
            if row["diff_id"] and not row["base"] and (folder / "tree").is_dir():
                if row["id"] not in self._packed:
                    self._packed[row["id"]] = _diff_id(folder / "tree")
                if self._packed[row["id"]] != row["diff_id"]:
                    yield f"layer {row['id']}: its tree is not what its diff ID says"

    def _references(self, tables: dict[str, Rows]) -> Iterator[str]:
        ids = {row["id"] for row in tables["layers"]}
        for row in tables["records"]:
            if lost := set(json.loads(row["layers"])) - ids:
                yield f"a record names layers that are gone: {lost}"
        for row in tables["renderings"]:
            if row["layer"] not in ids:
                yield f"a rendering of the layer {row['layer']}, which is gone"
            elif not self._blob(row["blob"]).exists():
                yield f"a rendering of the layer {row['layer']} has no blob"

    def _image(self, row: dict[str, Any]) -> Iterator[str]:
        missing = [
            digest
            for digest in (row["manifest"], row["config"], *json.loads(row["blobs"]))
            if not self._blob(digest).exists()
        ]
        if missing:
            yield f"the image {row['name']} lacks {missing}"
            return
        manifest = json.loads(self._blob(row["manifest"]).read_bytes())
        config = json.loads(self._blob(row["config"]).read_bytes())
        for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
            if self._unpacked(layer["digest"]) != diff_id:
                yield f"the image {row['name']}: {layer['digest']} does not unpack to {diff_id}"

    def _unpacked(self, digest: str) -> str:
        if digest not in self._packed:
            total = sha256()
            for piece in decompressed(str(self._blob(digest))):
                total.update(piece)
            self._packed[digest] = f"sha256:{total.hexdigest()}"
        return self._packed[digest]


def _diff_id(tree: Path) -> str:
    total = sha256()
    for entry in entries(str(tree)):
        # Layers have times of whole seconds.
        total.update(header(replace(entry, mtime_ns=entry.mtime_ns // 10**9 * 10**9)))
        if entry.kind == "file":
            total.update((tree / entry.path).read_bytes())
            total.update(padding(entry.size))
    total.update(END)
    return f"sha256:{total.hexdigest()}"


def users_of(root: Path) -> list[str]:
    """The processes that still see a mount of a session of the store: steps that outlived their build."""
    marks = [f"tmp/{name}/" for name in os.listdir(root / "tmp")]
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc") if marks else ()):
        try:
            mounts = Path("/proc", pid, "mountinfo").read_text()
            if any(mark in mounts for mark in marks):
                found.append(f"{pid}: {Path('/proc', pid, 'cmdline').read_bytes()!r}")
        except OSError:
            continue
    return found

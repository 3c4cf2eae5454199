"""Images of the store by name.

A name is a full reference; what it points to is a manifest in the blob store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jettison.dataclass import dataclass

if TYPE_CHECKING:
    from jettison.store.database import Database

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_COLUMNS = "name, manifest, media_type, config, platform, blobs, created"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One name. `manifest` and `config` are digests (an image's id is that of its configuration).

    `blobs` are the digests that the image keeps alive; `created` is when the name was given, in seconds
    since the epoch.
    """

    name: str
    manifest: str
    media_type: str = MANIFEST
    config: str = ""
    platform: str = ""
    blobs: tuple[str, ...] = ()
    created: float = 0.0


class Images:
    """The table of names."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def put(
        self,
        name: str,
        manifest_digest: str,
        *,
        media_type: str = MANIFEST,
        config_digest: str = "",
        platform: str = "",
        blobs: Sequence[str] = (),
    ) -> bool:
        """Let a name point to an image, whatever it was before.

        False, and nothing is written, when it does already.
        """
        known = self.get(name)
        if known is not None and (known.manifest, known.config) == (manifest_digest, config_digest):
            return False
        self._db.write(
            f"INSERT OR REPLACE INTO images ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                name,
                manifest_digest,
                media_type,
                config_digest,
                platform,
                json.dumps(list(blobs)),
                time.time(),
            ),
        )
        return True

    def get(self, name: str) -> ImageRecord | None:
        """The image of a full reference."""
        rows = self._db.read(f"SELECT {_COLUMNS} FROM images WHERE name = ?", (name,))
        return _record(rows[0]) if rows else None

    def find(self, prefix: str) -> list[ImageRecord]:
        """The images whose id or manifest digest starts like this, with or without "sha256:"."""
        if not prefix or set(prefix.removeprefix("sha256:")) - set("0123456789abcdef"):
            return []
        start = "sha256:" + prefix.removeprefix("sha256:")
        rows = self._db.read(
            f"SELECT {_COLUMNS} FROM images WHERE substr(config, 1, ?1) = ?2 OR substr(manifest, 1, ?1) = ?2"
            " ORDER BY name",
            (len(start), start),
        )
        return [_record(row) for row in rows]

    def list(self) -> list[ImageRecord]:
        """All images, by name."""
        return [_record(row) for row in self._db.read(f"SELECT {_COLUMNS} FROM images ORDER BY name")]

    def remove(self, name: str) -> bool:
        """Forget a name, and say whether there was one. Blobs stay until they are pruned."""
        return self._db.write("DELETE FROM images WHERE name = ?", (name,)) > 0

    def tag(self, name: str, new_name: str) -> bool:
        """Give an image another name as well; False when the first is unknown."""
        return (
            self._db.write(
                "INSERT OR REPLACE INTO images SELECT ?, manifest, media_type, config, platform, blobs, ?"
                " FROM images WHERE name = ?",
                (new_name, time.time(), name),
            )
            > 0
        )


def _record(row: tuple[Any, ...]) -> ImageRecord:
    return ImageRecord(row[0], row[1], row[2], row[3], row[4], tuple(json.loads(row[5])), row[6])

"""The schema of a store's database, as the steps that lead from one version to the next.

A new store takes all of them, an older one those that it lacks. Each is one transaction: whatever interrupts
it, the database has the version before or the version after. A step only adds: another build that opened the
store before it goes on with the tables it knows.

To change the schema append a step, and raise `SCHEMA_VERSION` in `database`.
"""

from __future__ import annotations

MIGRATIONS = (
    # 0 -> 1
    """
CREATE TABLE layers (
    id TEXT PRIMARY KEY, diff_id TEXT NOT NULL DEFAULT '', blob TEXT NOT NULL DEFAULT '',
    blob_size INTEGER NOT NULL DEFAULT 0, media_type TEXT NOT NULL DEFAULT '',
    size INTEGER NOT NULL DEFAULT 0, origin TEXT NOT NULL DEFAULT '', base INTEGER NOT NULL DEFAULT 0,
    implied TEXT NOT NULL DEFAULT '[]', created REAL NOT NULL, last_used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX layers_by_diff_id ON layers (diff_id) WHERE diff_id != '';
CREATE TABLE renderings (
    layer TEXT NOT NULL, compression TEXT NOT NULL, clamp INTEGER NOT NULL, diff_id TEXT NOT NULL,
    blob TEXT NOT NULL, blob_size INTEGER NOT NULL, media_type TEXT NOT NULL,
    PRIMARY KEY (layer, compression, clamp)
) WITHOUT ROWID;
CREATE TABLE records (
    key TEXT PRIMARY KEY, layers TEXT NOT NULL, parts TEXT NOT NULL, created REAL NOT NULL,
    last_used REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE images (
    name TEXT PRIMARY KEY, manifest TEXT NOT NULL, media_type TEXT NOT NULL, config TEXT NOT NULL,
    platform TEXT NOT NULL, blobs TEXT NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE cache_mounts (
    id TEXT PRIMARY KEY, folder TEXT NOT NULL, created REAL NOT NULL, last_used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE remembered (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
""",
    # 1 -> 2: what a folder of the store takes on the disk and what its files are; which step made a layer
    """
CREATE TABLE measured (
    folder TEXT PRIMARY KEY, disk INTEGER NOT NULL DEFAULT -1, measured REAL NOT NULL DEFAULT 0,
    digest TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE steps (layer TEXT PRIMARY KEY, stage TEXT NOT NULL, name TEXT NOT NULL) WITHOUT ROWID;
""",
)

"""Old stores under new code: what the first version wrote is kept, whatever happens on the way."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store.database import SCHEMA_VERSION, Database
from jettison.store.migrations import MIGRATIONS
from jettison.store.store import Store

FIRST = """
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
INSERT INTO layers (id, diff_id, size, created, last_used) VALUES ('0123456789', 'sha256:d', 5, 1, 2);
INSERT INTO records VALUES ('sha256:k', '["0123456789"]', '{"by":"definition"}', 1.0, 2.0, 3.0, 5);
INSERT INTO images VALUES ('docker.io/library/a:1', 'sha256:m', 'type', 'sha256:c', 'linux/amd64', '[]', 1.0);
INSERT INTO cache_mounts VALUES ('/root/.cache', 'xyz', 1.0, 2.0);
INSERT INTO remembered VALUES ('name', 'value');
PRAGMA user_version = 1;
"""
"""What the first version of jettison made and filled. Never to be changed."""

TABLES = ("layers", "records", "images", "cache_mounts", "remembered")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as the first version left it."""
    root = tmp_path / "old"
    for name in ("blobs/sha256", "layers/0123456789/tree", "tmp", "locks", "cache-mounts", "memo"):
        (root / name).mkdir(parents=True)
    (root / "layers/0123456789/tree/file").write_text("12345")
    with sqlite3.connect(root / "jettison.db") as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(FIRST)
    connection.close()
    (root / "version").write_text("1\n")
    return root


def held(root: Path) -> dict[str, list[object]]:
    with sqlite3.connect(root / "jettison.db") as connection:
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}


def version(root: Path) -> int:
    with sqlite3.connect(root / "jettison.db") as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_the_number_of_the_version_is_that_of_the_migrations() -> None:
    assert len(MIGRATIONS) == SCHEMA_VERSION


def test_an_old_store_is_brought_to_todays_version_with_all_that_is_in_it(old: Path) -> None:
    before = held(old)
    with Store.open(str(old)) as store:
        assert store.layers.many(["0123456789"])[0].size == 5
        assert store.layers.has_tree("0123456789")
        assert [image.name for image in store.images.list()] == ["docker.io/library/a:1"]
    assert held(old) == before
    assert (old / "version").read_text() == f"{SCHEMA_VERSION}\n" and version(old) == SCHEMA_VERSION


def test_an_old_store_and_a_new_one_have_the_same_schema(old: Path, store: Store) -> None:
    with Store.open(str(old)) as migrated:
        sql = "SELECT name, sql FROM sqlite_master ORDER BY name"
        squeezed = [[(name, "".join((text or "").split())) for name, text in s.db.read(sql)]
                    for s in (migrated, store)]  # fmt: skip
    assert squeezed[0] == squeezed[1]


def test_several_processes_open_an_old_store_at_once(old: Path) -> None:
    before = held(old)
    program = (
        "import sys\nfrom jettison.store.store import Store\n"
        "with Store.open(sys.argv[1]) as s:\n"
        " s.db.write(f\"INSERT INTO steps VALUES ('{sys.argv[2]}', '', '')\")"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(old), name]) for name in "abcd"]
    assert [process.wait(timeout=60) for process in started] == [0] * 4
    with Store.open(str(old)) as store:
        assert [row[0] for row in store.db.read("SELECT layer FROM steps ORDER BY layer")] == [*"abcd"]
    assert held(old) == before


def test_a_migration_that_is_killed_half_way_is_done_by_the_next_one(old: Path) -> None:
    before = held(old)
    program = (
        "import os, signal, sqlite3, sys\nfrom jettison.store.migrations import MIGRATIONS\n"
        "c = sqlite3.connect(sys.argv[1] + '/jettison.db', isolation_level=None)\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute(MIGRATIONS[1].split(';')[0])\n"
        "c.execute('PRAGMA user_version=2')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(old)], timeout=60).returncode == -9
    assert version(old) == 1
    with Store.open(str(old)) as store:
        assert store.db.version() == SCHEMA_VERSION
    assert held(old) == before


def test_a_process_that_died_before_it_wrote_the_version_does_no_harm(old: Path) -> None:
    with Store.open(str(old)):
        pass
    (old / "version").write_text("1\n")
    (old / "version.new").write_text("")
    with Store.open(str(old)) as store:
        assert store.db.version() == SCHEMA_VERSION
    assert (old / "version").read_text() == f"{SCHEMA_VERSION}\n" and not (old / "version.new").exists()


def test_a_full_disk_leaves_the_old_version_and_another_try_succeeds(old: Path) -> None:
    before = held(old)
    db = Database(f"{old}/jettison.db")
    db.write(f"PRAGMA max_page_count={db.read('PRAGMA page_count')[0][0]}")
    with pytest.raises(StoreError, match="no space left"):
        db.prepare()
    db.close()
    assert version(old) == 1 and held(old) == before
    with Store.open(str(old)) as store:
        assert store.db.version() == SCHEMA_VERSION
    assert held(old) == before

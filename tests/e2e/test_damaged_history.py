"""A history that a bad disk or a careless hand has changed: commands say so, and builds go on."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.errors import JettisonError, StoreError
from jettison.journal import keep
from jettison.store.store import Store
from jettison.why import record
from tests.conftest import Jettison

Project = Callable[..., Path]

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("builds",), ("builds", "show", "b1"), ("builds", "trace", "b1"), ("builds", "compare", "b1", "b2"),
    ("logs", "b1"), ("why", "-C", "."), ("graph", "."), ("cache-mount", "ls"),
    ("builds", "compare", "b2", "b2"),
)  # fmt: skip
"""All that read the history."""


@pytest.fixture
def built(jettison: Jettison, project: Project) -> Path:
    """A project that was built twice, from files alone."""
    dockerfile = "FROM scratch\nCOPY a /\nFROM scratch AS other\nCOPY --from=0 /a /b\n"
    for content in ("1", "2"):
        folder = project({"a": content}, dockerfile)
        jettison.ok("build", "--progress", "plain", folder)
    return folder


def plain(rows: object) -> bytes:
    return zlib.compress(json.dumps(rows).encode())


VALUES = (None, "x", -1, 1e999, b"", b"\xff{", zlib.compress(b"\xff"), zlib.compress(b"[" * 100_000))
ROWS = (
    [], {}, {"steps": 1, "spans": []}, {"steps": [[1]], "spans": []}, {"steps": [], "spans": [[1] * 6]},
    {"steps": [[1, "i", "n", "s", [1], "ran", 0, 0, 0, [], "", 0]], "spans": []},
    {"steps": [[1, "i", "n", "s", [1, 2], "ran", 0, "x", 0, [], "", 0]], "spans": []},
    {"steps": [[1, "i", "n", "s", [1, 2], "ran", 0, 0, 0, [5], "", 0, "", 1, 1]], "spans": []},
    {"at": 1.0, "folder": "", "file": "", "generation": 1, "values": {"": {"A": []}}, "steps": []},
    {"at": 1.0, "folder": "", "file": "", "generation": 1, "values": {}, "steps": [["i"]]},
    {"at": 1.0, "folder": "", "file": "", "generation": "x", "values": {}, "steps": []},
)  # fmt: skip


@pytest.mark.parametrize("table", ["history", "builds"])
def test_any_value_is_told_from_a_sound_one(jettison: Jettison, built: Path, table: str) -> None:
    with Store.open(str(jettison.root)) as store:
        columns = [row[1] for row in store.db.read(f"PRAGMA table_info({table})")][2:]
        values = [(name, value) for name in columns for value in VALUES]
        for name, value in (*values, *(("data", plain(rows)) for rows in ROWS)):
            before = store.db.read(f"SELECT {name} FROM {table} WHERE number = 1")[0][0]
            try:
                store.db.write(f"UPDATE {table} SET {name} = ? WHERE number = 1", (value,))
            except StoreError:
                continue  # NULL where none may be
            for look in (
                lambda: keep.listed(store, 9),
                lambda: keep.read(store, 1),
                lambda: keep.maker(store, "none"),
                lambda: record.read(store.db, 1),
                lambda: record.before(store.db, record.read(store.db, 2)),
                lambda: record.read_some(store.db, [1, 2]),
                lambda: record.cache_mount_users(store.db),
            ):
                try:
                    look()
                except JettisonError as error:
                    assert "damaged" in error.message, (name, value)
            store.db.write(f"UPDATE {table} SET {name} = ? WHERE number = 1", (before,))
        assert [len(found) for found in keep.listed(store, 9)] == [2, 0]


def test_a_damaged_build_is_named_and_the_others_are_shown(jettison: Jettison, built: Path) -> None:
    with sqlite3.connect(jettison.root / "jettison.db") as db:
        db.execute("UPDATE history SET targets = '{', data = x'00' WHERE number = 1")
        db.execute("UPDATE builds SET data = x'00'")
    done = jettison.ok("builds")
    assert "note: left out: what the history has of b1 is damaged" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["BUILD", "b2"]
    for words in COMMANDS:
        done = jettison(*words, cwd=built)
        assert "nternal" not in done.err and "Traceback" not in done.err and done.code in (0, 1), (
            words,
            done,
        )
        assert "damaged" in done.err or words[-1] in ("b2", "ls"), words
    (built / "a").write_text("3")
    done = jettison.ok("build", "--progress", "plain", "--explain", built)
    assert "(build b3)" in done.err and "warning" not in done.err.lower()


def test_a_build_whose_history_cannot_be_kept_succeeds(jettison: Jettison, built: Path) -> None:
    with sqlite3.connect(jettison.root / "jettison.db") as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((size,),) = db.execute("PRAGMA page_size")
        pages = [
            row[0]
            for row in db.execute("SELECT rootpage FROM sqlite_master WHERE name IN ('history', 'builds')")
        ]
    with open(jettison.root / "jettison.db", "r+b") as file:
        for page in pages:
            file.seek((page - 1) * size)
            file.write(b"\xa5" * size)
    (built / "a").write_text("3")
    done = jettison.ok("build", "--progress", "plain", built)
    assert done.err.count("the logs of this build are not whole: the store's database") == 1
    for words in COMMANDS:
        done = jettison(*words, cwd=built)
        assert "nternal" not in done.err and "Traceback" not in done.err, (words, done)
        assert words[0] in ("graph",) or (done.code == 1 and "malformed" in done.err), (words, done)


@pytest.mark.parametrize("harm", ["garbage", "cut", "later"])
def test_a_database_that_is_none_ends_every_command_with_one_error(
    jettison: Jettison, built: Path, harm: str
) -> None:
    path = jettison.root / "jettison.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        if harm == "later":
            db.execute("ALTER TABLE history RENAME COLUMN targets TO goals")
            db.execute("ALTER TABLE builds RENAME COLUMN data TO facts")
    if harm != "later":
        data = path.read_bytes()
        path.write_bytes({"garbage": os.urandom(len(data)), "cut": data[: len(data) // 2 + 100]}[harm])
    (built / "a").write_text("3")
    for words in (("build", "--progress", "plain", "."), *COMMANDS):
        done = jettison(*words, cwd=built)
        assert "nternal" not in done.err and "Traceback" not in done.err, (words, done)
        assert done.code in (0, 1) and done.err.count("ERROR") == done.code, (words, done)
        assert words[0] != "build" or harm != "later" or done.code == 0, done

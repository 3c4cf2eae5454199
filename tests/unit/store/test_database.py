"""The SQLite file: schema, versions, several writers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store.database import SCHEMA_VERSION, Database
from jettison.store.store import Store


def test_the_records_table_is_as_agreed(store: Store) -> None:
    columns = [row[1] for row in store.db.read("PRAGMA table_info(records)")]
    assert columns == ["key", "layers", "parts", "created", "last_used", "seconds", "size"]


def test_nobody_else_reads_the_store(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        store.db.write("INSERT INTO remembered VALUES ('a', 'b')")
        modes = {path.name: path.stat().st_mode & 0o777 for path in Path(store.root).iterdir()}
    assert {modes.pop(name) for name in list(modes) if "jettison.db" in name} == {0o600}
    assert modes.pop("version") & 0o022 == 0
    assert set(modes.values()) == {0o700} and "memo" in modes


def test_a_newer_schema_is_refused(store: Store) -> None:
    store.db.write(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    with pytest.raises(StoreError, match="understands versions up to"):
        store.db.prepare()


def test_a_newer_store_is_refused(store: Store) -> None:
    Path(store.root, "version").write_text("99\n")
    with pytest.raises(StoreError, match="version 99") as caught:
        Store.open(store.root)
    assert caught.value.hint


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("")
    with pytest.raises(StoreError, match="other things"):
        Store.open(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_a_file_in_the_place_of_the_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="opening the store"):
        Store.open(str(tmp_path / "file"))


def test_a_store_whose_creation_was_cut_short_is_finished(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "blobs").mkdir()
    with Store.open(str(tmp_path)) as store:
        assert store.layers.all() == []


def test_a_damaged_database_is_told(store: Store) -> None:
    root = store.root
    store.close()
    Path(root, "jettison.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        Store.open(root).layers.all()


def test_an_exception_undoes_the_whole_transaction(store: Store) -> None:
    def broken() -> None:
        with store.db.transaction():
            store.images.put("a", "sha256:1")
            with store.db.transaction():
                store.images.put("b", "sha256:2")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert store.images.list() == []
    store.images.put("c", "sha256:3")
    assert [image.name for image in store.images.list()] == ["c"]


def test_a_wrong_statement_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError):
        store.db.read("SELECT nothing FROM nowhere")
    assert isinstance(store.db, Database)


def test_threads_share_the_connection(store: Store) -> None:
    def work(number: int) -> None:
        for step in range(20):
            with store.db.transaction():
                store.images.put(f"{number}/{step}", "sha256:1")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.images.list()) == 100


def test_processes_open_and_write_at_the_same_time(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom jettison.store.store import Store\n"
        "with Store.open(sys.argv[1]) as s:\n"
        " for n in range(20): s.images.put(sys.argv[2] + str(n), 'sha256:1')"
    )
    root = str(tmp_path / "new")
    processes = [subprocess.Popen([sys.executable, "-c", program, root, name]) for name in "abcd"]
    assert [process.wait() for process in processes] == [0] * 4
    with Store.open(root) as store:
        assert len(store.images.list()) == 80
    with sqlite3.connect(f"{root}/jettison.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)

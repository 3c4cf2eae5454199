"""Cache records and keys, on a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.cache.key import content_key, definition_key
from jettison.cache.records import find, save, touch
from jettison.store.base import Entry
from jettison.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def layer(store: Store) -> str:
    writer = store.layers.tree_writer()
    writer.add(Entry("f", "file", 0o644), b"")
    return writer.commit().id


OP = {"type": "run", "args": ["x"]}


def test_a_record_is_found_under_each_of_its_keys(store: Store) -> None:
    one = layer(store)
    keys = [definition_key(OP, ("k",), ""), content_key(OP, (("l",),))]
    made = save(store.db, keys, (one,), 1.5, 10)
    found = find(store.db, [key.digest for key in keys] + ["sha256:unknown"])
    assert {record.layers for record in found.values()} == {(one,)}
    assert {(record.created, record.seconds, record.size) for record in found.values()} == {(made, 1.5, 10)}


def test_a_record_whose_layer_is_gone_is_not_given(store: Store) -> None:
    one, two = layer(store), layer(store)
    key = definition_key(OP, (), "")
    save(store.db, [key], (one, two), 0.0, 0)
    store.layers.remove(two)
    assert find(store.db, [key.digest]) == {}


def test_a_newer_result_takes_the_place_of_an_older_one(store: Store) -> None:
    one, two = layer(store), layer(store)
    key = definition_key(OP, (), "")
    save(store.db, [key], (one,), 0.0, 0)
    save(store.db, [key], (two,), 0.0, 0, created=5.0)
    record = find(store.db, [key.digest])[key.digest]
    assert (record.layers, record.created) == ((two,), 5.0)


def test_a_use_within_the_hour_writes_nothing(store: Store) -> None:
    key = definition_key(OP, (), "")
    save(store.db, [key], (layer(store),), 0.0, 0)
    before = store.db.read("SELECT last_used FROM records")
    touch(store.db, find(store.db, [key.digest]).values())
    assert store.db.read("SELECT last_used FROM records") == before
    store.db.write("UPDATE records SET last_used = 1")
    touch(store.db, find(store.db, [key.digest]).values())
    assert store.db.read("SELECT last_used FROM records") > [(1.0,)]


def test_many_keys_are_asked_for_at_once(store: Store) -> None:
    one = layer(store)
    keys = [definition_key(OP, (str(number),), "") for number in range(1200)]
    save(store.db, keys, (one,), 0.0, 0)
    assert len(find(store.db, [key.digest for key in keys])) == 1200


def test_each_part_of_a_key_counts() -> None:
    keys = {
        definition_key(OP, (), "").digest,
        definition_key({**OP, "args": ["y"]}, (), "").digest,
        definition_key(OP, ("a",), "").digest,
        definition_key(OP, ("a", "b"), "").digest,
        definition_key(OP, ("ab",), "").digest,
        definition_key(OP, (), "a").digest,
        content_key(OP, ()).digest,
        content_key(OP, (("a", "b"),)).digest,
        content_key(OP, (("a",), ("b",))).digest,
        content_key(OP, ("a", "b")).digest,
    }
    assert len(keys) == 10

"""Stacked layers as one tree: whiteouts, opaque directories, links between names."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from jettison.errors import SourceError, StoreError
from jettison.store.base import Entry
from jettison.store.index import IndexWriter, from_bytes
from jettison.store.resolve import resolve
from jettison.store.store import Store
from tests.unit.store.layers_of import base_layer, member, needs_root

pytestmark = needs_root


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target)


@pytest.fixture(params=["index", "tree"])
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def stack(store: Store, form: str, *layers: list[tuple[tarfile.TarInfo, bytes]]) -> list[str]:
    ids = [base_layer(store, *members).id for members in layers]
    if form == "tree":
        for layer_id in ids:
            store.layers.ensure_tree(layer_id)
    return ids


def test_upper_layers_hide_lower_ones(store: Store, form: str) -> None:
    view = store.view(
        stack(
            store,
            form,
            [
                member("d"),
                member("d/a", b"1"),
                member("d/b", b"1"),
                member("f", b"1"),
                member("o"),
                member("o/x", b""),
            ],
            [
                member("d", mode=0o700),
                member("d/.wh.a", b""),
                member("d/b", b"22"),
                member("f"),
                member("f/in", b""),
            ],
            [member("o"), member("o/.wh..wh..opq", b""), member("o/y", b""), member(".wh.absent", b"")],
        )
    )
    assert view.listdir("") == ["d", "f", "o"]
    assert view.listdir("d") == ["b"] and view.listdir("o") == ["y"] and view.listdir("f") == ["in"]
    node = view.lookup("d/b")
    assert node and node.size == 2
    assert view.lookup("d/a") is None and view.lookup("o/x") is None
    directory = view.lookup("d")
    assert directory and directory.mode == 0o700
    with view.open("d/b") as file:
        assert file.read() == b"22"


def test_a_file_is_no_parent(store: Store, form: str) -> None:
    view = store.view(
        stack(store, form, [member("d"), member("d/x", b"")], [member("d", b"file"), link("l", "d")])
    )
    assert view.lookup("d/x") is None and view.lookup("l/x") is None and view.lookup("no/such/thing") is None
    for path in ("d", "l", "no"):
        with pytest.raises(StoreError):
            view.listdir(path)
    with pytest.raises(StoreError):
        view.open("l")


def test_a_directory_recreated_after_its_removal_is_empty(store: Store, form: str) -> None:
    view = store.view(
        stack(store, form, [member("d"), member("d/x", b"")], [member(".wh.d", b"")], [member("d")])
    )
    assert view.listdir("d") == []


def test_removed_and_recreated_in_one_layer(store: Store, form: str) -> None:
    view = store.view(
        stack(store, form, [member("d"), member("d/x", b"")], [member(".wh.d", b""), member("d/y", b"")])
    )
    assert view.listdir("d") == ["y"]


def test_names_of_one_file_have_one_identity(store: Store, form: str) -> None:
    view = store.view(
        stack(
            store,
            form,
            [member("a", b"x"), link("b", "a", tarfile.LNKTYPE), member("c", b"x")],
            [member("d", b"x")],
        )
    )
    identities = {name: node.identity for name in "abcd" if (node := view.lookup(name))}
    assert identities["a"] == identities["b"] is not None
    assert len(set(identities.values())) == 3


def test_attributes_come_from_the_layer_that_counts(store: Store, form: str) -> None:
    headers = {"SCHILY.xattr.user.two": "2", "SCHILY.xattr.user.one": "1"}
    view = store.view(
        stack(store, form, [member("d", pax_headers=headers), member("e")], [member("d/x", b"")])
    )
    assert view.xattrs("d") == (("user.one", b"1"), ("user.two", b"2"))
    assert view.xattrs("e") == view.xattrs("") == view.xattrs("none") == ()


def test_names_are_sorted_by_their_bytes(store: Store, form: str) -> None:
    names = ["Z", "a", "ä", "\U00010000", "\uffff", "a.b"]
    view = store.view(stack(store, form, [member(name, b"") for name in names]))
    assert view.listdir("") == sorted(names, key=str.encode)


def test_symlinks_are_resolved_inside_the_tree(store: Store, form: str) -> None:
    view = store.view(
        stack(
            store,
            form,
            [
                member("usr"),
                member("usr/lib"),
                link("lib", "usr/lib"),
                link("abs", "/lib"),
                link("up", "../../../usr"),
            ],
            [
                link("usr/lib/here", "."),
                link("loop", "loop2"),
                link("loop2", "/loop"),
                link("out", "/../../etc"),
            ],
        )
    )
    assert resolve(view, "lib/x/../y") == "usr/lib/y"
    assert resolve(view, "/abs") == "usr/lib"
    assert resolve(view, "abs", follow_last=False) == "abs"
    assert resolve(view, "abs/here/here/new/dir") == "usr/lib/new/dir"
    assert resolve(view, "up/lib") == "usr/lib"
    assert resolve(view, "out/passwd") == "etc/passwd"
    assert resolve(view, "../..//.") == ""
    with pytest.raises(SourceError, match="loop"):
        resolve(view, "loop/x")


def test_an_index_of_files_of_any_time_can_be_read(tmp_path: Path) -> None:
    writer = IndexWriter(str(tmp_path / "index"))
    entries = [Entry(f"f{seconds}", "file", 0o644, 1, 2, seconds * 10**9, 3) for seconds in (0, -5, 10**10)]
    for entry in entries:
        writer.add_file(entry.path, entry.mode, entry.uid, entry.gid, entry.mtime_ns // 10**9, entry.size)
        writer.add(entry)
    writer.finish()
    assert from_bytes((tmp_path / "index").read_bytes()) == [entry for entry in entries for _ in range(2)]

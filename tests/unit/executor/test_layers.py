"""COPY with a real store: what is written is what the next step sees, from a folder and from a blob alike."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.executor.copy import run_copy
from jettison.executor.mkdir import run_mkdir
from jettison.executor.select import content_digest
from jettison.graph.ops import CopyOp, MkdirOp
from jettison.sources.context import ContextTree
from jettison.sources.memo import Memo
from jettison.store.base import FileTree
from jettison.store.store import Store
from tests.unit.executor.layers import EPOCH, copy_op, folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="layers with owners need root")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def layer(
    store: Store, op: CopyOp, source: FileTree | None, below: tuple[str, ...] = (), blob: bool = False
) -> str:
    writer = store.layers.blob_writer() if blob else store.layers.tree_writer()
    try:
        run_copy(op, source, store.view(below), writer, EPOCH)
        return writer.commit().id
    finally:
        writer.abort()


def listing(tree: FileTree, path: str = "") -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for name in tree.listdir(path):
        whole = f"{path}/{name}" if path else name
        node = tree.lookup(whole)
        assert node is not None
        data = b""
        if node.kind == "file":
            with tree.open(whole) as stream:
                data = stream.read()
        found[whole] = (node.kind, oct(node.mode), node.uid, node.gid, node.link, data)
        if node.kind == "dir":
            found |= listing(tree, whole)
    return found


@pytest.fixture
def context(tmp_path: Path) -> ContextTree:
    folder(tmp_path / "c", {"d/f": "f", "d/s/g": "g", "d/l": ("->", "f"), "d/e": None})
    os.chmod(tmp_path / "c/d/f", 0o4755)
    os.link(tmp_path / "c/d/f", tmp_path / "c/d/h")
    return ContextTree(str(tmp_path / "c"))


def test_trees_and_blobs_hold_the_same(store: Store, context: ContextTree) -> None:
    op = copy_op("d", to="/a/b/", owner="5:6")
    tree, blob = layer(store, op, context), layer(store, op, context, blob=True)
    seen = listing(store.view((tree,)))
    assert seen == listing(store.view((blob,)))
    assert seen["a/b/f"] == ("file", "0o4755", 5, 6, "", b"f") and seen["a/b/l"][0::4] == ("symlink", "f")
    assert store.layers.ensure_blob(tree).diff_id == store.layers.ensure_blob(blob).diff_id
    first, second = (store.view((tree,)).lookup(f"a/b/{name}") for name in "fh")
    assert first is not None and second is not None and first.identity == second.identity


def test_the_digest_of_a_stage_does_not_depend_on_its_rendering(store: Store, context: ContextTree) -> None:
    op = copy_op("d", to="/a/")
    layers = [layer(store, op, context), layer(store, op, context, blob=True)]
    reader = copy_op("/a", to="/x", context=None, keep_owner=True)
    one, two = (content_digest(reader, store.view((name,)), Memo()) for name in layers)
    assert one == two
    other = layer(store, copy_op("d/f", to="/a/h"), context, (layers[0],))
    assert content_digest(reader, store.view((layers[0], other)), Memo()) != one


def test_copies_of_copies(store: Store, context: ContextTree) -> None:
    stage = layer(store, copy_op("d", to="/out/", owner="7:8"), context)
    got = layer(store, copy_op("/out", to="/kept", context=None, keep_owner=True), store.view((stage,)))
    seen = listing(store.view((got,)))
    assert seen["kept/s"] == ("dir", "0o755", 7, 8, "", b"") and seen["kept/h"][-1] == b"f"
    assert seen["kept"][2:4] == (0, 0)
    links = [store.view((got,)).lookup(f"kept/{name}") for name in "fh"]
    assert links[0] is not None and links[1] is not None and links[0].identity == links[1].identity


def test_capabilities_survive_a_copy_of_a_directory(store: Store, tmp_path: Path) -> None:
    folder(tmp_path / "c", {"d/f": "f"})
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    stage = layer(store, copy_op("d", to="/d"), ContextTree(str(tmp_path / "c")))
    path = f"{store.layers.ensure_tree(stage)}/d/f"
    try:
        os.setxattr(path, "security.capability", value)
    except OSError:
        pytest.skip("this file system keeps no capabilities")
    op = copy_op("/d", to="/k", context=None, keep_owner=True, owner="5:6")
    got = layer(store, op, store.view((stage,)))
    assert store.view((got,)).xattrs("k/f") == (("security.capability", value),)


def test_directories_nobody_named_keep_their_metadata(
    store: Store, context: ContextTree, tmp_path: Path
) -> None:
    folder(tmp_path / "root", {"tmp/k": "", "home/app": None})
    os.chmod(tmp_path / "root/tmp", 0o1777)
    os.chown(tmp_path / "root/home/app", 9, 9)
    base = (
        layer(
            store, copy_op("/", to="/", context=None, keep_owner=True), ContextTree(str(tmp_path / "root"))
        ),
    )
    for link in (False, True):
        for to in ("/tmp/", "/home/app/x/"):
            op = copy_op("d/f", to=to, owner="5:6", mode="600", link=link)
            seen = listing(store.view((*base, layer(store, op, context, base))))
            assert seen["tmp"][:4] == ("dir", "0o1777", 0, 0)
            assert seen["home/app"][:4] == ("dir", "0o755", 9, 9)


def test_a_working_directory(store: Store) -> None:
    writer = store.layers.tree_writer()
    run_mkdir(MkdirOp("/w/x", "3:4"), store.view(()), writer, EPOCH)
    made = writer.commit().id
    assert listing(store.view((made,)))["w/x"] == ("dir", "0o755", 3, 4, "", b"")
    writer = store.layers.tree_writer()
    run_mkdir(MkdirOp("/w/x", ""), store.view((made,)), writer, EPOCH)
    assert listing(store.view((writer.commit().id,))) == {}


def test_a_file_replaces_a_directory_for_good(store: Store, context: ContextTree, tmp_path: Path) -> None:
    folder(tmp_path / "root", {"x/old": "old"})
    base = layer(store, copy_op("/", to="/"), ContextTree(str(tmp_path / "root")))
    got = layer(store, copy_op("d/f", to="/x", link=True), context, (base,))
    again = layer(store, copy_op("d", to="/x", link=True), context, (base, got))
    assert listing(store.view((base, got)))["x"][0] == "file"
    assert sorted(listing(store.view((base, got, again)))) == [
        "x",
        "x/e",
        "x/f",
        "x/h",
        "x/l",
        "x/s",
        "x/s/g",
    ]

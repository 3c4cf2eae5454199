"""COPY of a whole folder in one walk: the same layer and the same differences as any other way to copy it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from jettison.errors import SourceError, StoreError
from jettison.executor.contexts import whole_folder
from jettison.executor.copy import copy_folder
from jettison.executor.folder import FolderWalk
from jettison.graph.ops import CopyOp
from jettison.sources.context import ContextTree, open_context
from jettison.sources.memo import Memo
from jettison.sources.sweep import Fingerprint, fingerprint, sweep
from jettison.store import listings
from jettison.store.base import FileTree
from jettison.store.listings import ListingWriter
from jettison.store.store import Store
from tests.property.test_copy import Tree, made, trees
from tests.unit.executor.layers import EPOCH, Recorder, copied, copy_op

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="device nodes need root")


def walked(op: CopyOp, source: ContextTree, base: FileTree) -> Recorder | None:
    folder = whole_folder(op, source)
    assert folder is not None
    writer = Recorder()
    walk = FolderWalk(op, source, folder)
    if not copy_folder(op, base, walk, writer, EPOCH):
        return None
    walk.run()
    return writer


def digest(op: CopyOp, source: ContextTree, memo: Memo | None = None) -> str:
    return FolderWalk(op, source, whole_folder(op, source) or "", memo or Memo(), ListingWriter()).run()


@given(trees())
@settings(max_examples=60, deadline=None)
def test_a_walk_writes_what_copying_one_by_one_writes(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        source, empty = made(Path(name, "c"), tree), made(Path(name, "b"), {})
        for op in (
            copy_op(".", to="/"),
            copy_op(".", to="/d/e"),
            copy_op(".", to="/d/", mode="u=rwX,go=rX"),
            copy_op(".", to="/d/", owner="5:6", link=True),
        ):
            writer = walked(op, source, empty)
            expected = copied(op, open_context(source.folder, None), empty)
            assert writer is not None
            assert writer.entries == expected.entries
            assert writer.data == expected.data


@given(trees(), trees())
@settings(max_examples=60, deadline=None)
def test_equal_digests_mean_equal_folders(one: Tree, two: Tree) -> None:
    with tempfile.TemporaryDirectory() as name:
        op = copy_op(".", to="/d/")
        digests = [digest(op, made(Path(name, str(number)), tree)) for number, tree in enumerate((one, two))]
        assert (digests[0] == digests[1]) == (one == two)


def test_ignored_files_are_left_out_and_those_brought_back_are_not(tmp_path: Path) -> None:
    for path in ("a/x.log", "a/keep/me.log", "b/c.txt", "node_modules/p/i.js", "z"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "s").symlink_to("z")
    ignore = b"**/*.log\n!a/keep\nnode_modules\n"
    source = open_context(str(tmp_path), ignore)
    paths = [path for _, path, _, _ in sweep(source, "", Fingerprint())]
    assert paths == ["a", "a/keep", "a/keep/me.log", "b", "b/c.txt", "s", "z"]
    below = [path for _, path, _, _ in sweep(source, "a", Fingerprint())]
    assert below == ["keep", "keep/me.log"]
    assert source.rules != open_context(str(tmp_path), ignore + b"z\n").rules


def test_the_fingerprint_of_a_walk_is_that_of_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        folder = tmp_path / f"d{number % 7}" / f"e{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"f{number}").write_text("x")
    source = open_context(str(tmp_path), b"d3\n")
    seen = Fingerprint()
    for _ in sweep(source, "", seen):
        pass
    look = fingerprint(source, "")
    assert (look.digest(), look.newest_ns) == (seen.digest(), seen.newest_ns)
    # By two processes, and when the second of them fails.
    monkeypatch.setattr("jettison.sources.sweep.threading.active_count", lambda: 1)
    monkeypatch.setattr("jettison.sources.sweep.processors", lambda: 2)
    assert fingerprint(source, "", 1_000_000).digest() == seen.digest()
    with monkeypatch.context() as patch:
        patch.setattr("jettison.sources.sweep.os.write", lambda fd, data: 1 / 0)
        assert fingerprint(source, "", 1_000_000).digest() == seen.digest()
    kept = [path for path in tmp_path.rglob("*") if "d3" not in path.parts]
    assert look.newest_ns == max(path.lstat().st_ctime_ns for path in kept)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: (p / "d/f").write_text("y"),
        lambda p: (p / "d/f").chmod(0o600),
        lambda p: (p / "d").chmod(0o700),
        lambda p: (p / "d/f").rename(p / "d/g"),
        lambda p: (p / "new").mkdir(),
        lambda p: (p / "l").unlink() or (p / "l").symlink_to("e"),
        lambda p: os.link(p / "d/f", p / "d/h"),
        lambda p: os.utime(p / "d/f", (1, 1)),
    ],
)
def test_whatever_is_done_changes_the_fingerprint(tmp_path: Path, change: object) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_text("x")
    (tmp_path / "l").symlink_to("d")
    before = fingerprint(open_context(str(tmp_path), None), "").digest()
    change(tmp_path)  # type: ignore[operator]
    assert fingerprint(open_context(str(tmp_path), None), "").digest() != before


def test_a_destination_with_something_in_it_is_merged_in_the_other_way(tmp_path: Path) -> None:
    source = made(tmp_path / "c", {"a": ("file", "x", 0o644)})
    full = made(tmp_path / "b", {"app": ("dir", "", 0o755), "app/old": ("file", "o", 0o644)})
    assert walked(copy_op(".", to="/app"), source, full) is None
    free = made(tmp_path / "e", {"app": ("dir", "", 0o750)})
    layer = walked(copy_op(".", to="/app"), source, free)
    assert layer is not None and layer.modes() == {"app": "750", "app/a": "644"}


@pytest.mark.parametrize(
    "op",
    [
        copy_op("a", to="/d/"),
        copy_op("*", to="/d/"),
        copy_op("d", "a", to="/d/"),
        copy_op(".", to="/d/", parents=True),
        copy_op(".", to="/d/", exclude=("x",)),
        copy_op("nothing", to="/d/"),
    ],
)
def test_what_is_more_than_a_folder(tmp_path: Path, op: CopyOp) -> None:
    source = made(tmp_path / "c", {"a": ("file", "x", 0o644), "d": ("dir", "", 0o755)})
    assert whole_folder(op, source) is None


def test_hard_links_stay_one_file(tmp_path: Path) -> None:
    source = made(tmp_path / "c", {"a": ("file", "x", 0o644)})
    os.link(tmp_path / "c/a", tmp_path / "c/b")
    layer = walked(copy_op(".", to="/d/"), source, made(tmp_path / "e", {}))
    assert layer is not None
    assert (layer.entries["d/b"].kind, layer.entries["d/b"].link) == ("hardlink", "d/a")
    linked = digest(copy_op(".", to="/d/"), open_context(source.folder, None))
    (tmp_path / "c/b").unlink()
    (tmp_path / "c/b").write_text("x")
    assert digest(copy_op(".", to="/d/"), open_context(source.folder, None)) != linked


@needs_root
def test_fifos_devices_and_sockets(tmp_path: Path) -> None:
    import socket

    source = made(tmp_path / "c", {})
    os.mkfifo(tmp_path / "c/pipe")
    os.mknod(tmp_path / "c/null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "c/socket"))
        op = copy_op(".", to="/d/")
        layer = walked(op, source, made(tmp_path / "e", {}))
        first = digest(op, source)
    assert layer is not None
    kinds = {path: (entry.kind, entry.device) for path, entry in layer.entries.items()}
    assert kinds == {"d": ("dir", (0, 0)), "d/null": ("char", (1, 3)), "d/pipe": ("fifo", (0, 0))}
    (tmp_path / "c/null").unlink()
    os.mknod(tmp_path / "c/null", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    assert digest(op, open_context(source.folder, None)) != first


def test_names_that_remove_others_are_refused(tmp_path: Path) -> None:
    source = made(tmp_path / "c", {"a": ("file", "x", 0o644)})
    (tmp_path / "c/.wh.a").write_text("")
    with pytest.raises(SourceError, match="mark removed files"):
        walked(copy_op(".", to="/d/"), source, made(tmp_path / "e", {}))


@pytest.mark.parametrize("blob", [True, False])
def test_a_file_that_is_gone_again_is_told(tmp_path: Path, store: Store, blob: bool) -> None:
    source = made(tmp_path / "c", {"a": ("file", "one", 0o644)})
    op = copy_op(".", to="/d/")
    walk = FolderWalk(op, source, "")
    writer = store.layers.blob_writer() if blob else store.layers.tree_writer()
    real = walk._file

    def gone(fd: int, path: str, name: str, st: os.stat_result) -> None:
        (tmp_path / "c/a").unlink()
        real(fd, path, name, st)

    walk._file = gone  # type: ignore[method-assign]
    try:
        assert copy_folder(op, store.view(()), walk, writer, EPOCH)
        with pytest.raises(SourceError, match=f"cannot read {tmp_path}/c/a: No such file"):
            walk.run()
    finally:
        writer.abort()


def test_a_small_file_that_grows_while_it_is_read_is_told(tmp_path: Path, store: Store) -> None:
    source = made(tmp_path / "c", {"f": ("file", "one", 0o644)})
    op = copy_op(".", to="/d/")
    walk = FolderWalk(op, source, "")
    writer = store.layers.blob_writer()
    try:
        assert copy_folder(op, store.view(()), walk, writer, EPOCH)
        steps = sweep(source, "", walk.seen)
        fd, path, name, st = next(steps)
        with (tmp_path / "c/f").open("ab") as file:
            file.write(b"more")
        with pytest.raises(StoreError, match="changed while"):
            walk._file(fd, path, name, st)
        steps.close()
    finally:
        writer.abort()


@pytest.mark.parametrize("size", [3, 3 << 20])
def test_a_file_that_is_written_to_meanwhile_is_noted(tmp_path: Path, store: Store, size: int) -> None:
    source = made(tmp_path / "c", {})
    (tmp_path / "c/f").write_bytes(bytes(size))
    op = copy_op(".", to="/d/")
    walk = FolderWalk(op, source, "")
    writer = store.layers.blob_writer()
    try:
        assert copy_folder(op, store.view(()), walk, writer, EPOCH)
        steps = sweep(source, "", walk.seen)
        fd, path, name, st = next(steps)
        os.utime(tmp_path / "c/f", (st.st_mtime, st.st_mtime))
        walk._file(fd, path, name, st)
        steps.close()
    finally:
        writer.abort()
    assert walk.changed == [f"{tmp_path}/c/f"]


def test_a_listing_says_what_was_copied(tmp_path: Path) -> None:
    source = made(
        tmp_path / "c",
        {"s": ("dir", "", 0o755), "s/a b": ("file", "x", 0o640), "s/l": ("symlink", "a", 0o777)},
    )
    folder = tmp_path / "listings"
    writer = ListingWriter(str(tmp_path / "new"), [("s", True)])
    op = copy_op("s", to="/d/")
    content = FolderWalk(op, source, "s", Memo(), writer).run()
    writer.keep(str(folder))
    found = listings.load(str(tmp_path), content)
    assert found is not None
    assert [(item.path, item.kind, f"{item.mode:o}", item.link) for item in found] == [
        ("s/a b", "file", "640", ""), ("s/l", "symlink", "0", "a"),
    ]  # fmt: skip
    assert found[0].digest == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert listings.load(str(tmp_path), "sha256:" + "0" * 64) is None
    kept = next(folder.iterdir())
    kept.write_bytes(kept.read_bytes()[:-3])
    assert listings.load(str(tmp_path), content) is None


def test_folders_deeper_than_there_are_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jettison.sources.sweep._OPEN_AT_ONCE", 2)
    deep = {"/".join(["d"] * depth): ("dir", "", 0o755) for depth in range(1, 9)}
    files = {f"{path}/{name}": ("file", path, 0o644) for path in deep for name in ("a", "z")}
    source = made(tmp_path / "c", {**deep, **files})
    opened = set(os.listdir("/proc/self/fd"))
    paths = []
    for fd, path, name, st in sweep(source, "", Fingerprint()):
        assert os.stat(name, dir_fd=fd).st_ino == st.st_ino
        assert len(set(os.listdir("/proc/self/fd")) - opened) < 6
        paths.append(path)
    assert sorted(paths) == sorted({**deep, **files})
    assert paths == sorted(paths, key=lambda path: path.split("/"))
    assert set(os.listdir("/proc/self/fd")) == opened

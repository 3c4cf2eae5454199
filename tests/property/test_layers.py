"""Random layers: all ways to look at a stack agree with what the kernel mounts."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jettison.errors import StoreError
from jettison.kernel import private_mounts
from jettison.store.base import Blob, Entry, FileTree
from jettison.store.compress import MEDIA_TYPES
from jettison.store.snapshot import mounted
from jettison.store.store import Store
from jettison.store.tar import END, header, padding
from jettison.store.tar_reader import TarReader

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
RELAXED = settings(
    max_examples=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.sampled_from(
    ["a", "/b", "../c", "a/b", "/a/../..", "../../../../../../../../../tmp", "nowhere", "b/c"]
)
TIMES = st.integers(0, 2**33)


@st.composite
def entries(draw: st.DrawFn) -> tuple[Entry, bytes]:
    path = draw(PATHS)
    kind = draw(st.sampled_from(["file", "dir", "dir", "symlink", "hardlink", "whiteout", "opaque", "fifo"]))
    mode, when = draw(st.sampled_from([0o644, 0o755, 0o4711, 0o1777])), draw(TIMES)
    uid = draw(st.sampled_from([0, 7, 3_000_000]))
    if kind in ("whiteout", "opaque"):
        return Entry(path, kind), b""
    if kind == "symlink":
        return Entry(path, "symlink", 0o777, uid, uid, when, link=draw(TARGETS)), b""
    if kind == "hardlink":
        return Entry(path, "hardlink", mode, uid, uid, when, link=draw(PATHS)), b""
    if kind == "file":
        data = draw(st.binary(max_size=20))
        return Entry(path, "file", mode, uid, uid, when, len(data)), data
    return Entry(path, kind, mode, uid, uid, when), b""


LAYERS = st.lists(st.lists(entries(), max_size=8), min_size=1, max_size=4)


@contextmanager
def opened() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/store") as store:
        yield store


def registered(store: Store, layer: list[tuple[Entry, bytes]]) -> str:
    tar = b"".join(header(entry) + data + padding(len(data)) for entry, data in layer) + END
    blob = Blob(store.blobs.put(tar), len(tar), MEDIA_TYPES["none"])
    return store.layers.register("sha256:" + sha256(tar).hexdigest(), blob, "").id


Listing = dict[str, tuple[object, ...]]


def listing(tree: FileTree, folder: str = "") -> Listing:
    out: Listing = {}
    for name in tree.listdir(folder):
        path = f"{folder}/{name}" if folder else name
        node = tree.lookup(path)
        assert node is not None
        out[path] = (node.kind, node.mode, node.uid, node.mtime_ns, node.size, node.link)
        if node.kind == "dir":
            out |= listing(tree, path)
    return out


def walked(root: str) -> Listing:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
    out: Listing = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = f"{folder}/{name}"
            at = os.lstat(path)
            kind = kinds[stat.S_IFMT(at.st_mode)]
            link = os.readlink(path) if kind == "symlink" else ""
            size = at.st_size if kind == "file" else 0
            out[os.path.relpath(path, root)] = (
                kind,
                stat.S_IMODE(at.st_mode),
                at.st_uid,
                at.st_mtime_ns,
                size,
                link,
            )
    return out


@RELAXED
@given(LAYERS)
def test_index_tree_and_mount_agree(layers: list[list[tuple[Entry, bytes]]]) -> None:
    with opened() as store:
        ids = []
        for layer in layers:
            layer_id = registered(store, layer)
            try:
                store.layers.ensure_index(layer_id)
            except StoreError:
                with pytest.raises(StoreError):
                    store.layers.ensure_tree(layer_id)
                continue
            ids.append(layer_id)
        by_index = listing(store.view(ids))
        assert not any(store.layers.has_tree(layer_id) for layer_id in ids)
        for layer_id in ids:
            store.layers.ensure_tree(layer_id)
        by_tree = listing(store.view(ids))
        assert by_index == by_tree

        def inside() -> Listing:
            with mounted(store, ids, None, "") as root:
                return walked(root)

        assert private_mounts(inside) == by_tree


@RELAXED
@given(LAYERS)
def test_a_tree_packed_and_unpacked_is_the_same(layers: list[list[tuple[Entry, bytes]]]) -> None:
    with opened() as store:
        for layer in layers:
            layer_id = registered(store, layer)
            try:
                tree = store.layers.ensure_tree(layer_id)
            except StoreError:
                continue
            store.db.write("UPDATE layers SET base = 0, blob = '' WHERE id = ?", (layer_id,))
            first = store.layers.ensure_blob(layer_id)
            assert first.blob
            copy = store.layers.register(first.diff_id + "", first.blob, "")
            again = store.layers.tree_writer()
            with open(store.blobs.path(first.blob.digest), "rb") as file:
                import gzip

                reader = TarReader([gzip.decompress(file.read())])
                for entry in reader:
                    again.add(entry, b"".join(reader.content()))
            second = store.layers.ensure_blob(again.commit().id)
            assert second.blob == first.blob
            assert walked_raw(store.layers.ensure_tree(second.id)) == walked_raw(tree)
            assert copy.diff_id == first.diff_id


def walked_raw(tree: str) -> list[str]:
    args = ["find", tree, "-mindepth", "1", "-printf", "%P %y %m %U %l %n\\n"]
    return sorted(
        os.fsdecode(line)
        for line in subprocess.run(args, capture_output=True, check=True).stdout.splitlines()
    )


TEXTS = st.binary(min_size=1, max_size=130).filter(lambda name: b"\0" not in name and b"/" not in name)
CLEAN = TEXTS.filter(lambda name: name not in (b".", b"..") and not name.startswith(b".wh."))


@RELAXED
@given(
    st.lists(CLEAN, min_size=1, max_size=4),
    st.binary(max_size=200).filter(lambda link: link and b"\0" not in link),
    st.integers(-(2**60), 2**62),
    st.integers(0, 2**32 - 2),
    st.lists(st.tuples(st.text("abc.", min_size=1, max_size=9), st.binary(max_size=300)), max_size=2),
)
def test_any_entry_survives_its_header(
    parts: list[bytes], link: bytes, when: int, uid: int, xattrs: list[tuple[str, bytes]]
) -> None:
    path = os.fsdecode(b"/".join(parts))
    attributes = tuple(sorted({f"user.{name}": value for name, value in xattrs}.items()))
    entry = Entry(path, "symlink", 0o777, uid, uid, when, link=os.fsdecode(link), xattrs=attributes)
    data = header(entry) + END
    assert list(TarReader([data])) == [entry]
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
        (info,) = tar.getmembers()
    assert os.fsencode(info.linkname) == link
    assert os.fsencode(info.name).rstrip(b"/") == os.fsencode(path).rstrip(b"/")

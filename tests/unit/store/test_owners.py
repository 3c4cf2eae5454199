"""Owners that are only noted. The process is root here and notes all the same: both can be compared."""

from __future__ import annotations

import ctypes
import json
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest

from jettison.cache import records
from jettison.cache.key import CacheKey
from jettison.errors import StoreError
from jettison.kernel import mount, private_mounts
from jettison.store import owners, trees, xattrs
from jettison.store.base import Entry
from jettison.store.render import entries
from jettison.store.snapshot import mounted
from jettison.store.store import Store
from jettison.store.tree_builder import TreeBuilder
from jettison.upkeep.check import check
from jettison.upkeep.choose import Wanted
from jettison.upkeep.collect import collect
from jettison.upkeep.repair import repair
from tests.unit.store.layers_of import base_layer, member, needs_root

pytestmark = needs_root
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


def become(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(trees, "_tree_name", lambda uid: kind)


@pytest.fixture(params=["virtual", "plain"])
def noting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    become(monkeypatch, request.param)
    yield request.param


def built(root: Path, *items: tuple[Entry, bytes]) -> list[Entry]:
    """The entries of a tree that is made of some."""
    root.mkdir()
    builder = TreeBuilder(str(root))
    for entry, data in items:
        builder.add(entry, lambda fd, data=data: os.write(fd, data))  # type: ignore[misc]
    builder.finish()
    return list(entries(str(root)))


ALL = [
    (Entry("d", "dir", 0o555, 1, 2, 10**9), b""),
    (Entry("d/f", "file", 0o400, 3, 4, 10**9, 1), b"f"),
    (Entry("d/l", "symlink", 0o777, 5, 6, 10**9, link="f"), b""),
    (Entry("d/m", "hardlink", 0o777, 5, 6, 10**9, link="d/l"), b""),
    (Entry("d/p", "fifo", 0o622, 7, 8, 10**9), b""),
    (Entry("d/r", "symlink", 0o777, 0, 0, 10**9, link="f"), b""),
    (Entry("l\udcff\n", "symlink", 0o777, 5, 6, 10**9, link="\udcfe"), b""),
    (Entry("n", "char", 0o666, 0, 9, 10**9, device=(1, 3)), b""),
    (Entry("o", "block", 0o060, 4294967294, 6, 10**9, device=(259, 70000)), b""),
    (Entry("q", "hardlink", 0o666, 0, 9, 10**9, link="n"), b""),
    (Entry("s", "file", 0o4755, 0, 0, 10**9, 0, xattrs=(("security.capability", CAPABILITY),)), b""),
]


def test_noted_is_as_good_as_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = built(tmp_path / "real", *ALL)
    for kind in ("virtual", "plain"):
        become(monkeypatch, kind)
        tree = tmp_path / kind
        assert built(tree, *ALL) == real
        assert {(at.st_uid, at.st_gid) for path in tree.rglob("*") if (at := path.lstat())} == {(0, 0)}
        assert stat.S_ISREG((tree / "n").stat().st_mode)
        # Only who needs it has wider modes.
        assert (tree / "d").stat().st_mode & 0o777 == (0o755 if kind == "plain" else 0o555)
        assert (tree / "d/f").stat().st_mode & 0o777 == (0o600 if kind == "plain" else 0o400)


def test_a_path_that_is_made_anew_has_nothing_of_before(noting: str, tmp_path: Path) -> None:
    link, root = Entry("x", "symlink", 0o777, 5, 5, link="a"), Entry("x", "symlink", 0o777, link="a")
    folder, below = Entry("x", "dir", 0o555, 7, 7), Entry("x/l", "symlink", 0o777, 5, 5, link="a")
    file = Entry("x", "file", 0o644)
    (tmp_path / "t").mkdir()
    for number, (first, then) in enumerate([(link, root), (link, file), (folder, Entry("x", "dir", 0o755))]):
        assert built(tmp_path / f"t/{number}", (first, b""), (then, b"")) == [then]
    assert built(tmp_path / "f", (folder, b""), (below, b""), (file, b"")) == [file]
    other = Entry("y", "file", 0o600, 8, 8)
    again = Entry("x", "hardlink", 0o600, 8, 8, link="y")
    assert [(e.path, e.uid) for e in built(tmp_path / "h", (link, b""), (other, b""), (again, b""))] == [
        ("x", 8), ("y", 8),
    ]  # fmt: skip


def test_notes_that_make_no_sense_count_for_nothing(noting: str, tmp_path: Path) -> None:
    bad = [b"", b"1", b"-1:0", b"1:2:3", b"0x1:0", b"4294967295:0", b"9" * 4000 + b":0", "١:١".encode()]
    for number, text in enumerate(bad):
        path = tmp_path / str(number)
        path.touch()
        os.setxattr(path, owners.OWNER, text)
    senseless = [b"char", b"char:1", b"char:0:0", b"fifo:1:3", b"char:99999:1", b"char:a:b"]
    for number, text in enumerate(senseless):
        path = tmp_path / f"device{number}"
        path.touch()
        os.setxattr(path, "user.jettison.device", text)
        os.setxattr(path, "user.jettison.mode", b"99" if number % 2 else b"77777")
    for entry in entries(str(tmp_path)):
        assert (entry.kind, entry.uid, entry.gid, entry.mode) == ("file", 0, 0, 0o644)


def test_a_filesystem_without_attributes_is_told(noting: str, tmp_path: Path) -> None:
    def inside() -> None:
        mount("ramfs", str(tmp_path), "ramfs", 0)
        assert built(tmp_path / "root", (Entry("d", "dir", 0o755), b""))
        with pytest.raises(StoreError, match="has no extended attributes"):
            built(tmp_path / "owned", (Entry("d", "dir", 0o755, 5), b""))
        owners.give(str(tmp_path), 5, 5)

    private_mounts(inside)


def test_real_owners_heed_no_notes(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")
    os.setxattr(path, owners.OWNER, b"5:5")
    os.setxattr(path, "user.jettison.device", b"char:1:3")
    os.setxattr(path, xattrs.KEPT + "security.capability", CAPABILITY)
    (entry,) = entries(str(tmp_path))
    assert (entry.kind, entry.uid, entry.xattrs) == ("file", 0, ())


def test_an_attribute_that_may_not_be_set_is_kept(noting: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    # No program may give a file an access list that is none.
    wanted = (("system.posix_acl_access", b"nonsense"), ("user.x", b"1"))
    xattrs.write(str(path), wanted)
    assert xattrs.read(str(path)) == wanted
    assert sorted(os.listxattr(path)) == [xattrs.KEPT + "system.posix_acl_access", "user.x"]
    # A step can pretend that something was kept, but not what is no part of a layer, nor instead of the real.
    for name in ("user.overlay.opaque", "user.jettison.owner", "user.x"):
        os.setxattr(path, xattrs.KEPT + name, b"y")
    assert xattrs.read(str(path)) == wanted


def without_mknod(work: Callable[[], object]) -> None:
    """Do something in a child that is root but for the right to make device nodes."""
    child = os.fork()
    if not child:
        status = 1
        with suppress(BaseException):
            libc = ctypes.CDLL(None)
            header, sets = struct.pack("Ii", 0x20080522, 0), bytearray(24)
            libc.capget(header, (ctypes.c_char * 24).from_buffer(sets))
            sets[3] &= ~8
            assert libc.capset(header, bytes(sets)) == 0
            work()
            status = 0
        os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_devices_that_cannot_be_made_stay_devices(tmp_path: Path) -> None:
    real = built(tmp_path / "real", *ALL)
    without_mknod(lambda: built(tmp_path / "noted", *ALL))
    assert stat.S_ISREG((tmp_path / "noted/n").stat().st_mode)
    assert list(entries(str(tmp_path / "noted"))) == real


def test_nobody_but_root_makes_a_device_of_a_file(store: Store, tmp_path: Path) -> None:
    given = member("given", type=tarfile.CHRTYPE, uid=7, devmajor=1, devminor=7)
    base = base_layer(store, given)
    without_mknod(lambda: store.layers.ensure_tree(base.id))
    upper = tmp_path / "upper"
    upper.mkdir()
    for name, uid in (("given", 7), ("forged", 7), ("roots", 0)):
        (upper / name).touch()
        os.chown(upper / name, uid, uid)
        os.setxattr(upper / name, "user.jettison.device", b"char:1:7")
    layer = store.layers.commit_upper(str(upper), [base.id])
    found = {entry.path: entry.kind for entry in entries(store.layers.tree(layer.id))}
    assert found == {"given": "char", "forged": "file", "roots": "char"}


SCRIPT = """
echo more >> kept; mv moved moved-here; echo new > new; mkdir newdir; chmod 700 dir; echo x > dir/in
rm replaced; echo x > replaced; for name in edited written; do echo x > other; mv other $name; done
cp kept copy; mkdir told
rm link; ln -s other link; touch -h same; ln -s x fresh; chmod 600 pipe; mkfifo newpipe
"""


@pytest.mark.parametrize("overlay", [True, False], ids=["overlay", "copied"])
@pytest.mark.parametrize("maker", [(0, 0), (1000, 100)])
def test_whose_the_files_of_a_step_are(
    store: Store, maker: tuple[int, int], overlay: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    become(monkeypatch, "virtual")
    links = [member(name, type=tarfile.SYMTYPE, linkname="x", uid=7) for name in ("link", "same")]
    base = base_layer(
        store, member("dir", uid=5), member("kept", b"", uid=3, gid=4), member("moved", b"", uid=6), *links,
        member("pipe", type=tarfile.FIFOTYPE, uid=9), member("replaced", b"", uid=8), member("roots", b""),
        member("edited", b"", uid=2, gid=3), member("written", b"", uid=2),
    )  # fmt: skip
    with store.new_work_dir() as work:

        def inside() -> None:
            with mounted(store, [base.id], work.upper, work.work, overlay=overlay) as root:
                subprocess.run(["sh", "-ec", SCRIPT + "echo x >> roots"], cwd=root, check=True)
                os.setxattr(f"{root}/told", owners.OWNER, b"11:12")
                # As the builder notes it of an open file.
                os.setxattr(f"{root}/edited", owners.OWNER, b"0:0:other")
                os.setxattr(f"{root}/written", owners.OWNER, b"0:0:written")

        private_mounts(inside)
        layer = store.layers.commit_upper(work.upper, [base.id], maker)
    found = {entry.path: (entry.uid, entry.gid) for entry in entries(store.layers.tree(layer.id))}
    made = ("new", "newdir", "dir/in", "replaced", "copy", "link", "fresh", "newpipe")
    assert found == {
        "kept": (3, 4), "moved": (0, 0), "moved-here": (6, 0), "dir": (5, 0), "same": (7, 0), "pipe": (9, 0),
        "roots": (0, 0),
        # In truth nobody but root gives anything away.
        "told": maker if maker[0] else (11, 12),
        "edited": maker if maker[0] else (2, 3),
        "written": maker if maker[0] else (0, 0),
        **dict.fromkeys(made, maker),
    }  # fmt: skip
    view = store.view([base.id, layer.id])
    for path, owner in found.items():
        node = view.lookup(path)
        assert node is None or (node.uid, node.gid) == owner
        assert view.scan(path.rpartition("/")[0]).get(path.rpartition("/")[2]) == node
    rendered = store.layers.ensure_blob(layer.id)
    assert rendered.blob
    with tarfile.open(store.blobs.path(rendered.blob.digest)) as tar:
        assert {info.name.replace(".wh.", ""): (info.uid, info.gid) for info in tar} == found
    assert check(store).damages == ()


def test_a_damaged_listing_is_found_and_made_again(noting: str, store: Store) -> None:
    layer = base_layer(store, member("l", type=tarfile.SYMTYPE, linkname="x", uid=7))
    tree = store.layers.ensure_tree(layer.id)
    listing = Path(tree + ".owners")
    assert json.loads(listing.read_text()) == {"l": [7, 0]}
    for text in ('{"l": [8, 0]}', "{", '{"l": 1}', "[]"):
        listing.write_text(text)
        if text != '{"l": [8, 0]}':
            with pytest.raises(StoreError, match="is damaged"):
                store.view([layer.id]).lookup("l")
        checked = check(store)
        assert [damage.kind for damage in checked.damages] == ["tree"]
        repair(store, checked)
        assert json.loads(listing.read_text()) == {"l": [7, 0]}
        assert check(store).damages == ()


def test_trees_of_others_are_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    base = base_layer(store, member("f", b"real", uid=3))
    store.layers.ensure_tree(base.id)
    upper = store.session.new_folder("upper", 0o755)
    step = store.layers.commit_upper(upper, [base.id])
    key = CacheKey(sha256(b"").hexdigest(), {})
    records.save(store.db, [key], (base.id, step.id), 1.0, 0)

    def known() -> bool:
        return bool(records.find(store.db, [key.digest], store.layers.has_tree))

    assert known()
    become(monkeypatch, "virtual")
    # The base can be unpacked again; the step has nothing but files that this process may not read.
    assert not store.layers.has_tree(base.id) and not known()
    assert store.layers.ensure_tree(base.id).endswith("/virtual")
    checked = check(store)
    assert (checked.damages, checked.trees, checked.elsewhere) == ((), 1, 2)
    collect(store, Wanted(most=0))
    store.layers.remove(base.id)
    store.layers.sweep()
    assert os.listdir(f"{store.layers.folder}/{base.id}") == ["tree"]
    assert os.listdir(f"{store.layers.folder}/{step.id}") == ["tree"]
    become(monkeypatch, "tree")
    collect(store, Wanted(most=0))
    store.layers.sweep()
    assert os.listdir(store.layers.folder) == []

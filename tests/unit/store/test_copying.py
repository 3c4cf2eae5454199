"""What a step leaves in a copy of its layers is what it would leave on overlayfs."""

from __future__ import annotations

import mmap
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.kernel import mount, private_mounts
from jettison.store.base import Layer
from jettison.store.render import entries
from jettison.store.snapshot import Stub, mounted
from jettison.store.store import Store
from tests.unit.store.layers_of import base_layer, member, needs_root

pytestmark = needs_root

Step = Callable[[Path], None]
STUBS = (Stub("proc", "dir"), Stub("etc/hosts", "file"), Stub("new/deep/place", "dir"))
WHEN = 1_600_000_000 * 10**9


def base(store: Store) -> list[str]:
    """Two layers with all that layers can hold."""
    lower = base_layer(
        store,
        member("etc", mtime=1000), member("etc/passwd", b"root\n"), member("etc/shadow", b"x", mode=0o600),
        member("d", mode=0o750, uid=7, gid=8), member("d/a", b"aaa", mtime=5), member("d/sub"),
        member("d/sub/deep", b"deep"), member("d/hidden", b"gone"), member("opaque"),
        member("opaque/old", b"old"), member("one", b"linked", mtime=9),
        member("two", type=b"1", linkname="one"), member("link", type=b"2", linkname="d/a"),
        member("fifo", type=b"6"), member("null", type=b"3", devmajor=1, devminor=3),
        member("big", bytes(5000) + b"end"), member("kind", b"file"), member("tree"), member("tree/x", b"x"),
        member("suid", b"s", mode=0o4755), member("shared", mode=0o2775, gid=50), member("empty"),
    )  # fmt: skip
    upper = base_layer(
        store, member("d", mode=0o700, uid=7, gid=9, mtime=77), member("d/.wh.hidden", b""),
        member("d/b", b"bb", uid=1000, gid=1000), member("opaque"), member("opaque/.wh..wh..opq", b""),
        member("opaque/new", b"new"), member("implied/x", b"implied"), member("d/sub/more", b"more"),
    )  # fmt: skip
    return [lower.id, upper.id]


def step(store: Store, layers: list[str], change: Step, overlay: bool) -> Layer:
    """The layer of one step."""
    with store.new_work_dir() as work:

        def inside() -> None:
            with mounted(store, layers, work.upper, work.work, STUBS, overlay=overlay) as root:
                change(Path(root))

        private_mounts(inside)
        return store.layers.commit_upper(work.upper, layers)


def shown(store: Store, layer: Layer) -> list[object]:
    """The entries of a layer. Times of now are all alike."""
    out: list[object] = []
    tree = store.layers.tree(layer.id)
    for entry in entries(tree):
        when = entry.mtime_ns if entry.mtime_ns < WHEN * 1.05 else "now"
        data = Path(tree, entry.path).read_bytes() if entry.kind == "file" else b""
        out.append((entry.path, entry.kind, oct(entry.mode), entry.uid, entry.gid, when, entry.link,
                    entry.device, entry.xattrs, data))  # fmt: skip
    return out


def rewrite(root: Path) -> None:
    """In place, with the size and the time that it had."""
    file = root / "d/a"
    times = file.stat()
    file.write_bytes(b"AAA")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def write_mapped(root: Path) -> None:
    with open(root / "big", "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        data[0:4] = b"MMAP"


def replace_folder(root: Path) -> None:
    shutil.rmtree(root / "tree")
    (root / "tree").mkdir()
    (root / "tree/y").write_text("y")


def folder_for_file(root: Path) -> None:
    (root / "kind").unlink()
    (root / "kind").mkdir()
    (root / "kind/in").write_text("in")
    shutil.rmtree(root / "d/sub")
    (root / "d/sub").write_text("now a file")


def new_things(root: Path) -> None:
    (root / "new folder/deep").mkdir(parents=True)
    (root / "new folder/deep/f").write_text("f")
    os.link(root / "new folder/deep/f", root / "new folder/g")
    os.symlink("nowhere", root / "new folder/s")
    os.mkfifo(root / "d/fifo")
    os.mknod(root / "d/device", stat.S_IFCHR | 0o660, os.makedev(1, 5))
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 20)
        file.write(b"x")


def owners_and_modes(root: Path) -> None:
    os.chown(root / "d/a", 5, 6)
    (root / "suid").chmod(0o4711)
    (root / "d").chmod(0o711)
    os.chown(root / "link", 3, 3, follow_symlinks=False)
    os.setxattr(root / "d/b", "user.note", b"hello")
    os.setxattr(root / "empty", "user.note", b"folder")
    os.utime(root / "etc/passwd", ns=(WHEN, WHEN))


def into_stubs(root: Path) -> None:
    assert (root / "new/deep/place").is_dir() and (root / "etc/hosts").is_file()
    (root / "new/deep/place/file").write_text("kept")
    (root / "etc/hosts").write_text("127.0.0.1 x\n")
    (root / "proc").rmdir()


def renames(root: Path) -> None:
    (root / "d/a").rename(root / "moved")
    (root / "d/sub/deep").rename(root / "opaque/deep")
    (root / "opaque/new").rename(root / "d/a")


def more_names(root: Path) -> None:
    os.link(root / "d/a", root / "d/sub/again")
    (root / "two").unlink()


def replace_all(root: Path) -> None:
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (root / "only").write_text("only")


STEPS: list[Step] = [
    lambda root: None, rewrite, write_mapped, replace_folder, folder_for_file, new_things, owners_and_modes,
    into_stubs, renames, more_names, replace_all, lambda root: (root / "d/b").unlink(),
    lambda root: shutil.rmtree(root / "implied"), lambda root: (root / "implied/y").write_text("y") and None,
]  # fmt: skip


@pytest.mark.parametrize("change", STEPS, ids=lambda change: getattr(change, "__name__", "step"))
def test_a_copy_gives_the_layer_that_overlayfs_gives(store: Store, change: Step) -> None:
    layers = base(store)
    expected = shown(store, step(store, layers, change, overlay=True))
    assert shown(store, step(store, layers, change, overlay=False)) == expected


CHAIN: list[Step] = [
    owners_and_modes,
    into_stubs,
    renames,
    more_names,
    new_things,
    folder_for_file,
    replace_folder,
]


def test_a_chain_of_steps_is_what_it_is_on_overlayfs(store: Store) -> None:
    chains = {overlay: base(store) for overlay in (True, False)}
    inodes = []

    def noted(root: Path) -> None:
        inodes.append(os.stat(root / "big").st_ino)
        change(root)

    for change in CHAIN:
        made = {}
        for overlay, layers in chains.items():
            made[overlay] = step(store, layers, noted, overlay)
            layers.append(made[overlay].id)
        assert shown(store, made[False]) == shown(store, made[True]), change.__name__
    assert len(set(inodes[1::2])) == 1, "nothing is copied again"
    assert len(os.listdir(f"{store.root}/tmp")) == 1


def test_the_root_itself_belongs_to_no_step(store: Store) -> None:
    layers = base(store)
    for change in (lambda root: root.chmod(0), lambda root: os.chown(root, 5, 5), lambda root: None):
        seen = []

        def noted(root: Path, change: Step = change, seen: list[object] = seen) -> None:
            seen.append((root.stat().st_mode & 0o777, root.stat().st_uid))
            change(root)

        layers.append(step(store, layers, noted, overlay=False).id)
        assert seen == [(0o755, 0)]


def test_files_of_a_step_in_between_are_there(store: Store) -> None:
    layers = base(store)
    layers.append(step(store, layers, renames, overlay=False).id)
    layers.append(base_layer(store, member("d/.wh.sub", b""), member("moved", b"from COPY")).id)

    def look(root: Path) -> None:
        assert (root / "moved").read_text() == "from COPY" and (root / "opaque/deep").read_text() == "deep"
        assert not (root / "d/sub").exists() and (root / "d/a").read_text() == "new"

    assert shown(store, step(store, layers, look, overlay=False)) == []


def test_the_copy_of_a_failed_step_is_not_used(store: Store) -> None:
    layers = base(store)

    def fail(root: Path) -> None:
        shutil.rmtree(root / "d")
        raise KeyError

    with pytest.raises(KeyError):
        step(store, layers, fail, overlay=False)
    with store.new_work_dir() as work, mounted(store, layers, work.upper, work.work, overlay=False) as root:
        shutil.rmtree(f"{root}/tree")
    layers.append(step(store, layers, renames, overlay=False).id)

    def look(root: Path) -> None:
        assert (root / "d").is_dir() and (root / "tree/x").read_text() == "x"

    step(store, layers, look, overlay=False)


def test_a_layer_shares_no_file_with_the_outside(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("cache")

    def change(root: Path) -> None:
        (root / "out").mkdir()
        os.link(outside, root / "out/a")
        os.link(outside, root / "d/again")
        os.utime(root / "out", ns=(WHEN, WHEN))

    layers = base(store)
    layer = step(store, layers, change, overlay=False)
    outside.write_text("changed")
    tree = Path(store.layers.tree(layer.id))
    assert (tree / "out/a").read_text() == "cache" and (tree / "out/a").samefile(tree / "d/again")
    assert sorted(os.listdir(tree)) == ["d", "out"] and (tree / "out").stat().st_mtime_ns == WHEN


def test_no_device_of_a_layer_can_be_opened(store: Store) -> None:
    disk = member("disk", type=b"4", devmajor=254, devminor=0, mode=0o666)
    layers = [base_layer(store, disk, member("gone", type=b"3", devmajor=1, devminor=1)).id]

    def change(root: Path) -> None:
        assert (root / "disk").read_bytes() == b"" and (root / "disk").stat().st_rdev == os.makedev(1, 3)
        (root / "gone").unlink()

    layer = step(store, layers, change, overlay=False)
    assert [(entry.path, entry.kind) for entry in entries(store.layers.tree(layer.id))] == [
        ("gone", "whiteout")
    ]


def test_only_one_path_is_copied(store: Store) -> None:
    layers = base(store)
    with mounted(store, layers, None, "", overlay=False, only="d/sub") as root:
        assert sorted(path.name for path in Path(root).rglob("*")) == ["d", "deep", "more", "sub"]
        assert os.stat(f"{root}/d").st_gid == 9
    assert store.copies == []


def test_a_store_on_an_overlay(tmp_path: Path) -> None:
    """As in a container whose root is one: overlayfs makes no whiteouts there."""
    for name in ("lower", "upper", "work", "merged"):
        (tmp_path / name).mkdir()

    def inside() -> None:
        options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
        mount("overlay", str(tmp_path / "merged"), "overlay", 0, options)
        with Store.open(str(tmp_path / "merged/store")) as store:
            layers = base(store)

            def change(root: Path) -> None:
                assert not (root / "d/hidden").exists() and os.listdir(root / "opaque") == ["new"]
                (root / "etc/passwd").unlink()
                (root / "made").touch()

            layer = step(store, layers, change, overlay=True)
            kinds = [(entry.path, entry.kind) for entry in entries(store.layers.tree(layer.id))]
            assert kinds == [("etc", "dir"), ("etc/passwd", "whiteout"), ("made", "file")]
            assert store.view([*layers, layer.id]).listdir("etc") == ["shadow"]

    private_mounts(inside)

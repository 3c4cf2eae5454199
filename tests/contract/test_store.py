"""What every room may expect of the store, on real layers, blobs and mounts."""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jettison.errors import Cancelled, StoreError
from jettison.kernel import private_mounts
from jettison.store import trees
from jettison.store.base import Blob, Entry, Layer, LayerWriter
from jettison.store.compress import Packing, packing
from jettison.store.snapshot import Stub, mounted
from jettison.store.store import Store
from tests.unit.store.layers_of import base_layer, member, needs_root

pytestmark = needs_root
SECOND = 10**9
WITH_FRACTION = 1_000_000_000 * SECOND + 500_000_000


@pytest.fixture(params=["tree", "virtual"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with real owners, and one as a process with a single id keeps it."""
    monkeypatch.setattr(trees, "_tree_name", lambda uid: request.param)
    with Store.open(str(tmp_path / "store")) as opened:
        yield opened


def written(writer: LayerWriter, *entries: tuple[Entry, bytes | str | None]) -> Layer:
    for entry, content in entries:
        writer.add(entry, content)
    return writer.commit()


CONTENT: list[tuple[Entry, bytes | str | None]] = [
    (Entry("etc", "dir", 0o755, mtime_ns=5 * SECOND), None),
    (Entry("etc/gone", "whiteout"), None),
    (Entry("etc/hosts", "file", 0o640, 1, 2, WITH_FRACTION, 5), b"hosts"),
    (Entry("etc/hosts.link", "hardlink", 0o640, 1, 2, WITH_FRACTION, link="etc/hosts"), None),
    (Entry("etc/old", "dir", 0o700, 3, 4, 6 * SECOND), None),
    (Entry("etc/old", "opaque"), None),
    (Entry("mtab", "symlink", 0o777, link="etc/mtab", mtime_ns=7 * SECOND), None),
    (Entry("su", "file", 0o4755, xattrs=(("user.note", b"\0\xff"),), mtime_ns=8 * SECOND, size=3), b"su!"),
]  # fmt: skip


def test_both_writers_make_the_same_layer(store: Store) -> None:
    by_tree = store.layers.ensure_blob(written(store.layers.tree_writer(), *CONTENT).id)
    by_blob = written(store.layers.blob_writer(), *CONTENT)
    assert by_tree.blob == by_blob.blob and by_tree.diff_id == by_blob.diff_id
    assert by_tree.size == by_blob.size == 8
    assert store.layers.by_diff_id(by_tree.diff_id) in (by_tree, by_blob)
    assert by_blob.blob and store.blobs.size(by_blob.blob.digest) == by_blob.blob.size


def test_a_tree_from_a_blob_gives_the_same_blob_again(store: Store) -> None:
    first = written(store.layers.blob_writer(), *CONTENT)
    assert first.blob
    store.layers.ensure_tree(first.id)
    store.blobs.remove(first.blob.digest)
    assert store.layers.ensure_blob(first.id) == first
    assert store.blobs.has(first.blob.digest)


def test_standard_tar_reads_a_layer(store: Store, tmp_path: Path) -> None:
    layer = written(store.layers.blob_writer(), *CONTENT)
    assert layer.blob
    with tarfile.open(store.blobs.path(layer.blob.digest)) as tar:
        assert tar.getnames() == [
            "etc", "etc/.wh.gone", "etc/hosts", "etc/hosts.link", "etc/old", "etc/old/.wh..wh..opq",
            "mtab", "su",
        ]  # fmt: skip
        assert tar.getmember("etc/hosts.link").linkname == "etc/hosts"
        assert tar.getmember("etc/hosts").mtime == 1_000_000_000


def test_a_clamp_is_a_rendering_of_its_own(store: Store) -> None:
    layer = written(store.layers.tree_writer(), *CONTENT)
    plain = store.layers.ensure_blob(layer.id)
    clamped = store.layers.ensure_blob(layer.id, clamp=7)
    assert clamped.diff_id != plain.diff_id and clamped.blob
    with tarfile.open(store.blobs.path(clamped.blob.digest)) as tar:
        assert {info.name: info.mtime for info in tar if info.mtime} == {
            "etc": 5, "etc/hosts": 7, "etc/hosts.link": 7, "etc/old": 6, "mtab": 7, "su": 7,
        }  # fmt: skip
    assert store.layers.ensure_blob(layer.id) == plain
    assert store.layers.ensure_blob(layer.id, clamp=7) == clamped
    assert store.layers.ensure_blob(layer.id, clamp=2_000_000_000).blob == plain.blob
    only_blob = written(store.layers.blob_writer(), *CONTENT)
    assert store.layers.ensure_blob(only_blob.id, clamp=7).blob == clamped.blob
    assert written(store.layers.blob_writer(clamp=7), *CONTENT).blob == clamped.blob


def test_other_compressions_keep_the_diff_id(store: Store) -> None:
    layer = written(store.layers.blob_writer(), *CONTENT)
    for kind in ("zstd", "none"):
        other = store.layers.ensure_blob(layer.id, chosen=packing(kind))
        assert (
            other.diff_id == layer.diff_id
            and other.blob
            and other.blob.media_type.endswith(kind.replace("none", "tar"))
        )
    assert store.layers.ensure_blob(layer.id) == layer


def test_base_layers_are_never_rewritten(store: Store) -> None:
    layer = base_layer(store, member("late", b"x", mtime=2_000_000_000))
    store.layers.ensure_tree(layer.id)
    assert store.layers.ensure_blob(layer.id, clamp=5, chosen=Packing("zstd")) == store.layers.get(layer.id)
    assert store.layers.get(layer.id) == Layer(layer.id, layer.diff_id, layer.blob, 1)


def test_registering_twice_gives_the_same_layer(store: Store) -> None:
    layer = base_layer(store, member("x", b"x"))
    assert layer.blob
    assert store.layers.register(layer.diff_id, layer.blob, "registry:elsewhere").id == layer.id


def test_a_missing_blob_is_fetched_once_from_where_it_was_last_seen(store: Store) -> None:
    layer = base_layer(store, member("x", b"x"))
    assert layer.blob
    data = store.blobs.read(layer.blob.digest)
    store.blobs.remove(layer.blob.digest)
    with pytest.raises(StoreError, match="not in the store"):
        store.layers.ensure_tree(layer.id)
    store.layers.register(layer.diff_id, layer.blob, "registry:here")
    calls: list[tuple[Blob, str]] = []

    def fetch(blob: Blob, origin: str) -> None:
        calls.append((blob, origin))
        store.blobs.put(data)

    store.fetch = fetch
    threads = [threading.Thread(target=store.layers.ensure_tree, args=(layer.id,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [(layer.blob, "registry:here")]
    assert Path(store.layers.ensure_tree(layer.id), "x").read_bytes() == b"x"


def test_a_blob_that_lost_its_end_is_fetched_anew(store: Store) -> None:
    layer = base_layer(store, member("x", b"x"))
    assert layer.blob
    data = store.blobs.read(layer.blob.digest)
    with open(store.blobs.path(layer.blob.digest), "r+b") as file:
        file.truncate(20)
    store.layers.register(layer.diff_id, layer.blob, "")
    store.db.write("UPDATE layers SET origin = 'registry:x'")
    store.fetch = lambda blob, origin: store.blobs.adopt(str(write_file(store, data)), blob.digest)
    assert Path(store.layers.ensure_tree(layer.id), "x").exists()


def write_file(store: Store, data: bytes) -> Path:
    path = Path(store.session.new_name("test"))
    path.write_bytes(data)
    return path


def test_a_blob_that_is_not_what_the_image_says_is_refused(store: Store) -> None:
    real = base_layer(store, member("x", b"x"))
    assert real.blob
    false = store.layers.register("sha256:" + "0" * 64, real.blob, "")
    with pytest.raises(StoreError, match="unpacks to"):
        store.layers.ensure_tree(false.id)
    with pytest.raises(StoreError, match="unpacks to"):
        store.layers.ensure_index(false.id)
    assert not store.layers.has_tree(false.id)


def test_a_file_that_changes_while_it_is_packed_is_told(store: Store) -> None:
    writer = store.layers.blob_writer()
    with pytest.raises(StoreError, match="changed"):
        writer.add(Entry("f", "file", size=5), io.BytesIO(b"more than five"))
    writer.abort()
    writer = store.layers.tree_writer()
    with pytest.raises(StoreError, match="changed"):
        writer.add(Entry("f", "file", size=50), io.BytesIO(b"less than fifty"))
    writer.abort()
    assert os.listdir(store.session.new_name("x").rpartition("/")[0]) == []


def test_look_ups_unpack_nothing(store: Store) -> None:
    layer = base_layer(store, member("etc"), member("etc/passwd", b"root:x:0:0\n"))
    view = store.view([layer.id])
    node = view.lookup("etc/passwd")
    assert node and node.size == 11 and node.file is None
    assert view.listdir("") == ["etc"]
    assert not store.layers.has_tree(layer.id)
    with view.open("etc/passwd") as file:
        assert file.read() == b"root:x:0:0\n"
    assert store.layers.has_tree(layer.id)


def run_in(store: Store, layers: list[Layer], script: str, stubs: list[Stub] | None = None) -> Layer:
    """The layer that a shell script, run in the mounted folder, makes."""
    ids = [layer.id for layer in layers]
    with store.new_work_dir() as work:

        def inside() -> None:
            with mounted(store, ids, work.upper, work.work, stubs or []) as root:
                subprocess.run(["sh", "-ec", script], cwd=root, check=True)

        private_mounts(inside)
        return store.layers.commit_upper(work.upper, ids)


def names(store: Store, layer: Layer) -> list[str]:
    blob = store.layers.ensure_blob(layer.id).blob
    assert blob
    with tarfile.open(store.blobs.path(blob.digest)) as tar:
        return tar.getnames()


def test_what_a_step_does_is_its_layer(store: Store) -> None:
    base = base_layer(
        store, member("d"), member("d/f", b"old"), member("d/g", b"g"), member("e"), member("e/f", b""),
        member("t", mode=0o1777), member("x", b"x"),
    )  # fmt: skip
    layer = run_in(
        store,
        [base],
        "rm d/f; echo new > d/n; rm -r e; mkdir e; rm x; ln -s d x; mkdir fresh;"
        "rm -rf t; echo file > t; touch y; rm y",
    )
    assert names(store, layer) == [
        "d", "d/.wh.f", "d/n", "e", "e/.wh..wh..opq", "fresh", "t", "x",
    ]  # fmt: skip
    view = store.view([base.id, layer.id])
    assert view.listdir("d") == ["g", "n"]
    assert view.listdir("e") == []
    assert [view.lookup(name).kind for name in ("x", "t")] == ["symlink", "file"]  # type: ignore[union-attr]
    assert view.lookup("d/f") is None
    with view.open("d/n") as file:
        assert file.read() == b"new\n"


def test_deleted_below_and_made_again_above(store: Store) -> None:
    one = base_layer(store, member("d"), member("d/a", b"1"), member("d/b", b"1"))
    two = run_in(store, [one], "rm -r d")
    three = run_in(store, [one, two], "mkdir d; echo 3 > d/b")
    assert names(store, two) == [".wh.d"]
    # Nothing of layer one shows through, although layer three says nothing about it.
    assert names(store, three) == ["d", "d/b"]
    view = store.view([one.id, two.id, three.id])
    assert view.listdir("d") == ["b"]
    copies = [base_copy(store, layer) for layer in (one, two, three)]
    assert mounted_listing(store, [layer.id for layer in copies]) == mounted_listing(
        store, list(view.layer_ids)
    )


def base_copy(store: Store, layer: Layer) -> Layer:
    """The layer as another machine would get it: from its blob."""
    made = store.layers.ensure_blob(layer.id)
    assert made.blob
    copy = Layer(os.urandom(5).hex(), made.diff_id, made.blob)
    store.layers._insert(copy, "", base=True)
    store.layers.ensure_tree(copy.id)
    return copy


def mounted_listing(store: Store, ids: list[str], stubs: list[Stub] | None = None) -> list[str]:
    form = "%P %y %m %U:%G %s %l %TY-%Tm-%Td %TH:%TM\\n"

    def inside() -> list[str]:
        with mounted(store, ids, None, "", stubs or []) as root:
            args = ["find", root, "-mindepth", "1", "(", "-type", "d", "-printf", form.replace("%s", "-")]
            args += [")", "-o", "-printf", form]
            run = subprocess.run(args, capture_output=True, check=True)
            return sorted(os.fsdecode(line) for line in run.stdout.splitlines())

    return private_mounts(inside)


def test_stubs_never_reach_the_layer(store: Store) -> None:
    base = base_layer(
        store, member("etc", mode=0o750, uid=5, mtime=77), member("l", type=tarfile.SYMTYPE, linkname="/etc")
    )
    stubs = [
        Stub("etc/resolv.conf", "file"),
        Stub("a/b/c", "dir"),
        Stub("l/hosts", "file"),
        Stub("etc", "dir"),
    ]
    script = "test -f etc/resolv.conf; test -f etc/hosts; test -d a/b/c; "
    script += "touch other; echo x > etc/mine; rm etc/hosts"
    layer = run_in(store, [base], script, stubs)
    assert names(store, layer) == ["etc", "etc/mine", "other"]
    node = store.view([base.id, layer.id]).lookup("etc")
    assert node and (node.mode, node.uid) == (0o750, 5)
    before = mounted_listing(store, [base.id])
    assert [line for line in before if line.startswith("etc ")] == [
        line for line in mounted_listing(store, [base.id], stubs) if line.startswith("etc ")
    ]
    with pytest.raises(StoreError, match="nothing can be mounted below"):
        mounted_listing(store, [base_layer(store, member("f", b"x")).id], [Stub("f/x", "file")])


def test_parents_that_a_layer_does_not_name_keep_their_look(store: Store) -> None:
    base = base_layer(store, member("tmp", mode=0o1777, uid=3, mtime=9))
    link = base_layer(store, member("tmp/x", b"x"), member("opt/y/z", b"z"))
    assert (store.view([base.id, link.id]).lookup("tmp") or None).mode == 0o1777  # type: ignore[union-attr]
    store.layers.ensure_tree(link.id)
    assert (store.view([base.id, link.id]).lookup("tmp") or None).mode == 0o1777  # type: ignore[union-attr]
    lines = mounted_listing(store, [base.id, link.id])
    assert any(line.startswith(f"tmp d 1777 {0 if trees.virtual() else 3}:0") for line in lines)
    assert any(line.startswith("opt/y d 755 0:0") for line in lines)
    layer = run_in(store, [base, link], "touch tmp/mine opt/y/mine")
    node = store.view([base.id, link.id, layer.id]).lookup("tmp")
    assert node and (node.mode, node.uid) == (0o1777, 3)
    assert names(store, layer) == ["opt", "opt/y", "opt/y/mine", "tmp", "tmp/mine"]


def test_no_layers_and_one_layer_can_be_mounted(store: Store) -> None:
    assert mounted_listing(store, []) == []
    layer = run_in(store, [], "mkdir -p a/b; echo x > a/b/c")
    assert [line.split()[0] for line in mounted_listing(store, [layer.id])] == ["a", "a/b", "a/b/c"]


def test_a_layer_that_hides_everything_below(store: Store) -> None:
    below = base_layer(store, member("old", b""))
    layer = base_layer(store, member(".wh..wh..opq", b""), member("new", b""))
    assert store.view([below.id, layer.id]).listdir("") == ["new"]
    assert [line.split()[0] for line in mounted_listing(store, [below.id, layer.id])] == ["new"]
    assert store.view([below.id, layer.id]).listdir("") == ["new"]


def test_many_layers_and_too_many(store: Store) -> None:
    layers = [written(store.layers.tree_writer(), (Entry(f"f{n}", "file"), b"")) for n in range(260)]
    assert len(mounted_listing(store, [layer.id for layer in layers[:127]])) == 127
    with pytest.raises(StoreError, match="more than one overlay mount"):
        mounted_listing(store, [layer.id for layer in layers])


def test_a_sparse_file_is_written_out_and_hard_links_are_kept(store: Store) -> None:
    layer = run_in(store, [], "truncate -s 3M log; ln log log2; python3 -c 'import socket; "
                   'socket.socket(socket.AF_UNIX).bind("sock")\'; mkfifo p')  # fmt: skip
    assert layer.size == 3 << 20
    made = store.layers.ensure_blob(layer.id)
    assert made.blob and made.blob.size < 10_000
    with tarfile.open(store.blobs.path(made.blob.digest)) as tar:
        assert tar.getnames() == ["log", "log2", "p"]
        assert tar.getmember("log").size == 3 << 20
        assert (tar.getmember("log2").linkname, tar.getmember("log2").size) == ("log", 0)


def test_a_full_disk_is_told_and_leaves_the_store_sound(tmp_path: Path) -> None:
    from jettison.kernel import mount

    def inside() -> None:
        folder = tmp_path / "small"
        folder.mkdir()
        mount("tmpfs", str(folder), "tmpfs", 0, "size=3m")
        with Store.open(str(folder / "store")) as store:
            for writer in (store.layers.tree_writer(), store.layers.blob_writer(Packing("none"))):
                with pytest.raises(StoreError, match="no space left in") as caught:
                    for number in range(10):
                        writer.add(Entry(f"f{number}", "file", size=1 << 20), os.urandom(1 << 20))
                assert caught.value.hint
                writer.abort()
            layer = written(store.layers.blob_writer(), (Entry("f", "file"), b"small"))
            assert store.layers.usable([layer.id])

    private_mounts(inside)


def _die_in_the_middle(root: str, point: str) -> None:
    store = Store.open(root)
    writer = store.layers.tree_writer()
    writer.add(Entry("f", "file"), b"x" * 100_000)
    if point == "rename":
        real = os.rename

        def rename(source: str, target: str) -> None:
            real(source, target)
            if target.endswith("/tree"):
                os.kill(os.getpid(), signal.SIGKILL)

        os.rename = rename  # type: ignore[assignment]
        writer.commit()
    store.new_work_dir()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("point", ["writing", "rename"])
def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path: Path, point: str) -> None:
    root = str(tmp_path / "store")
    Store.open(root).close()
    process = multiprocessing.get_context("spawn").Process(target=_die_in_the_middle, args=(root, point))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(os.listdir(f"{root}/tmp")) == 1
    with Store.open(root) as store:
        assert store.layers.all() == []
        layer = written(store.layers.tree_writer(), (Entry("f", "file"), b""))
        assert os.listdir(f"{root}/layers") == [layer.id]
        assert len(os.listdir(f"{root}/tmp")) == 1
    assert os.listdir(f"{root}/tmp") == []


def test_a_sweep_leaves_those_alone_that_live(tmp_path: Path) -> None:
    root = str(tmp_path / "store")
    with Store.open(root) as one, one.new_work_dir() as work, Store.open(root) as two:
        two.new_work_dir()
        assert os.path.isdir(work.upper)
        assert stat.S_IMODE(os.stat(work.upper).st_mode) == 0o755


def test_folders_are_closed_to_others(store: Store) -> None:
    for name in ("", "blobs", "layers", "tmp", "locks", "cache-mounts"):
        assert stat.S_IMODE(os.stat(f"{store.root}/{name}").st_mode) == 0o700


def test_another_holder_of_a_lock_is_waited_for(store: Store) -> None:
    program = (
        "import sys\nfrom jettison.store.store import Store\n"
        "with Store.open(sys.argv[1]).lock('step/1') as waited:\n"
        " print(waited, flush=True)\n sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, store.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdin
    assert process.stdout.readline() == "False\n"
    stop = threading.Event()
    with pytest.raises(Cancelled), store.lock("step/1", on_wait=stop.set, cancel=stop):
        pass
    told: list[bool] = []

    def release() -> None:
        told.append(True)
        process.kill()

    with store.lock("step/1", on_wait=release) as waited:
        assert waited and told == [True]
    process.wait()
    with store.lock("step/1") as waited:
        assert not waited
    assert os.listdir(f"{store.root}/locks") == ["in-use"]


def test_a_lock_is_held_by_one_thread_at_a_time(store: Store) -> None:
    inside = 0
    most = 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            with store.lock("one"):
                with guard:
                    inside += 1
                    most = max(most, inside)
                with guard:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_cache_mount_is_seeded_once(store: Store) -> None:
    def seed(folder: str) -> None:
        Path(folder, "seed").write_text("s")

    path = store.cache_mount("/root/.cache: odd id", seed)
    Path(path, "mine").write_text("m")
    assert store.cache_mount("/root/.cache: odd id", seed) == path
    assert sorted(os.listdir(path)) == ["mine", "seed"]
    assert store.cache_mount("other") != path
    assert stat.S_IMODE(os.stat(store.cache_mount("other")).st_mode) == 0o755


def test_removing_a_layer_leaves_nothing_of_it(store: Store) -> None:
    layer = written(store.layers.tree_writer(), *CONTENT)
    assert store.layers.usable([layer.id])
    store.layers.remove(layer.id)
    assert store.layers.get(layer.id) is None
    assert not store.layers.usable([layer.id])
    assert os.listdir(f"{store.root}/layers") == []
    with pytest.raises(StoreError, match="not in the store"):
        store.layers.ensure_blob(layer.id)
    with pytest.raises(StoreError, match="not in the store"):
        store.layers.many([layer.id])

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from jettison.errors import ExportError
from jettison.exporters.filesystem import size_of_few, write_folder, write_tar
from jettison.exporters.image import ImageDocument
from jettison.store.base import Entry
from jettison.store.store import Store
from tests.unit.exporters.conftest import CAPABILITY, file, folder, layer

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices take root")


def all_kinds(store: Store) -> str:
    return layer(
        store,
        [
            folder("d", 0o555),
            file("d/f", b"hello", 0o755, uid=7, gid=8),
            (Entry("d/h", "hardlink", link="d/f"), None),
            (Entry("d/l", "symlink", 0o777, link="/etc/passwd", mtime_ns=10**18), None),
            folder("d/sub", 0o1777),
            file("own", b"x", 0o4755),
            (Entry("pipe", "fifo", 0o600, mtime_ns=10**18), None),
            file("setuid", b"x", 0o4755, uid=5),
            file("tagged", b"x", xattrs=(("user.note", b"\0\xff"),)),
        ],
    )


def test_folder_is_flattened(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    assert write_folder(store.view([item.id for item in image.layers]), str(dest)) == []
    assert sorted(os.listdir(dest)) == ["a", "b"] and os.listdir(dest / "a") == ["kept"]
    assert (dest / "b").read_bytes() == b"new"
    assert stat.S_IMODE((dest / "a").stat().st_mode) == 0o700


def test_kinds_and_metadata(store: Store, tmp_path: Path) -> None:
    dest = tmp_path / "out"
    tree = store.view([all_kinds(store)])
    for _ in range(2):  # writing over an earlier export, read-only folders among it, gives the same
        write_folder(tree, str(dest))
        assert (dest / "d" / "f").read_bytes() == b"hello"
        assert (dest / "d" / "f").samefile(dest / "d" / "h")
        assert os.readlink(dest / "d" / "l") == "/etc/passwd"
        assert stat.S_ISFIFO((dest / "pipe").lstat().st_mode)
        assert (dest / "d" / "f").stat().st_uid == os.geteuid()
        modes = {name: stat.S_IMODE((dest / name).stat().st_mode) for name in ("d", "d/f", "d/sub", "pipe")}
        assert modes == {"d": 0o555, "d/f": 0o755, "d/sub": 0o1777, "pipe": 0o600}
        assert {(dest / name).lstat().st_mtime_ns for name in ("d", "d/f", "d/l", "own")} == {10**18}
        assert os.getxattr(dest / "tagged", "user.note") == b"\0\xff"
        assert not list(dest.rglob("*.tmp"))


@root_only
def test_setuid_of_others_is_dropped(store: Store, tmp_path: Path) -> None:
    write_folder(store.view([all_kinds(store)]), str(tmp_path / "out"))
    assert stat.S_IMODE((tmp_path / "out" / "setuid").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out" / "own").stat().st_mode) == 0o4755


@root_only
def test_owners_when_asked(store: Store, tmp_path: Path) -> None:
    extra = layer(
        store,
        [
            file("cap", b"x", xattrs=(("security.capability", CAPABILITY),)),
            (Entry("null", "char", 0o666, device=(1, 3)), None),
        ],
    )
    assert write_folder(store.view([all_kinds(store), extra]), str(tmp_path / "out"), owners=True) == []
    found = (tmp_path / "out" / "d" / "f").stat()
    assert (found.st_uid, found.st_gid) == (7, 8)
    setuid = (tmp_path / "out" / "setuid").stat()
    assert (setuid.st_uid, stat.S_IMODE(setuid.st_mode)) == (5, 0o4755)
    assert os.getxattr(tmp_path / "out" / "cap", "security.capability") == CAPABILITY
    assert (tmp_path / "out" / "null").stat().st_rdev == os.makedev(1, 3)


def test_links_in_the_folder_are_not_followed(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("mine")
    dest = tmp_path / "out"
    dest.mkdir()
    (dest / "d").symlink_to(outside)
    (dest / "own").symlink_to(outside / "f")
    (dest / "other").write_text("stays")
    write_folder(store.view([all_kinds(store)]), str(dest))
    assert (outside / "f").read_text() == "mine" and os.listdir(outside) == ["f"]
    assert (dest / "d").is_dir() and not (dest / "d").is_symlink()
    assert (dest / "own").read_bytes() == b"x" and not (dest / "own").is_symlink()
    assert (dest / "other").read_text() == "stays"


def test_full_folder_where_a_file_should_be(store: Store, tmp_path: Path) -> None:
    (tmp_path / "own" / "x").mkdir(parents=True)
    with pytest.raises(ExportError, match="has a file"):
        write_folder(store.view([layer(store, [file("own", b"x")])]), str(tmp_path))
    os.rmdir(tmp_path / "own" / "x")
    write_folder(store.view([layer(store, [file("own", b"x")])]), str(tmp_path))
    assert (tmp_path / "own").read_bytes() == b"x"


def test_holes_stay_holes(store: Store, tmp_path: Path) -> None:
    with store.new_work_dir() as work:
        with open(f"{work.upper}/big", "wb") as out:
            out.write(b"start")
            out.seek(1 << 30)
            out.write(b"end")
        made = store.layers.commit_upper(work.upper)
    write_folder(store.view([made.id]), str(tmp_path / "out"))
    copy = (tmp_path / "out" / "big").stat()
    assert copy.st_size == (1 << 30) + 3 and copy.st_blocks * 512 < 1 << 20
    with (tmp_path / "out" / "big").open("rb") as file:
        assert file.read(6) == b"start\0" and file.seek(1 << 30) and file.read() == b"end"


def test_tar(store: Store, image: ImageDocument) -> None:
    out = io.BytesIO()
    layers = [*(item.id for item in image.layers), all_kinds(store)]
    write_tar(store.view(layers), "-", out)
    again = io.BytesIO()
    write_tar(store.view(layers), "-", again)
    assert out.getvalue() == again.getvalue()
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        found = {member.name: member for member in tar.getmembers()}
        assert list(found) == [
            "a", "a/kept", "b", "d", "d/f", "d/h", "d/l", "d/sub", "own", "pipe", "setuid", "tagged",
        ]  # fmt: skip
        content = tar.extractfile("b")
        assert content is not None and content.read() == b"new"
    assert found["d/h"].islnk() and found["d/h"].linkname == "d/f"
    assert found["d/l"].linkname == "/etc/passwd"
    assert (found["setuid"].mode, found["setuid"].uid, found["d/f"].gid) == (0o4755, 5, 8)
    assert found["pipe"].isfifo() and found["own"].mtime == 10**9
    assert "SCHILY.xattr.user.note" in found["tagged"].pax_headers


def test_tar_clamps_times(store: Store) -> None:
    out = io.BytesIO()
    write_tar(store.view([all_kinds(store)]), "-", out, clamp=5)
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        assert {member.mtime for member in tar.getmembers()} == {5}


def test_layers_that_are_only_blobs(store: Store, image: ImageDocument, tmp_path: Path) -> None:
    from jettison.exporters.save import save
    from jettison.exporters.store import tag_image
    from jettison.sources.load import load

    tag_image(store, image, ["app"])
    save(store, ["app"], str(tmp_path / "x.tar"), "oci")
    with Store.open(str(tmp_path / "second")) as second:
        load(second, str(tmp_path / "x.tar"), None)
        ids = [found.id for item in image.layers if (found := second.layers.by_diff_id(item.diff_id))]
        write_folder(second.view(ids), str(tmp_path / "out"))
    assert (tmp_path / "out" / "b").read_bytes() == b"new" and os.listdir(tmp_path / "out" / "a") == ["kept"]


def test_what_is_written_is_told_and_was_known_before(store: Store, tmp_path: Path) -> None:
    large = layer(store, [folder("d"), file("d/large", b"large" * 500_000)])
    tree = store.view([all_kinds(store), large])
    told: list[int] = []
    write_folder(tree, str(tmp_path / "out"), told=told.append)
    assert sum(told) == size_of_few(tree) == 2_500_000 + len(b"hello" b"x" b"x" b"x")
    write_tar(tree, "-", io.BytesIO(), told=told.append)
    assert sum(told) == 2 * size_of_few(tree)
    many = layer(store, [file(f"f{number}", b"x") for number in range(1001)])
    assert size_of_few(store.view([many])) == 0

"""Blobs unpacked into trees: overlayfs's format, metadata, and archives that mean harm."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store import xattrs
from jettison.store.apply import scan, unpack
from tests.unit.store.layers_of import archive, member, needs_root

pytestmark = needs_root


def applied(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    blob = tmp_path / "blob"
    blob.write_bytes(gzip.compress(archive(*members)))
    tree = tmp_path / "tree"
    tree.mkdir(mode=0o755)
    unpack(str(blob), str(tree))
    return tree


def is_whiteout(path: Path) -> bool:
    at = path.lstat()
    return stat.S_ISCHR(at.st_mode) and at.st_rdev == 0


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target, mode=0o777)


def test_markers_become_those_of_overlayfs(tmp_path: Path) -> None:
    tree = applied(
        tmp_path, member("d"), member("d/.wh.gone", b""), member("d/sub"), member("d/sub/.wh..wh..opq", b""),
        member(".wh.top", b""),
    )  # fmt: skip
    assert is_whiteout(tree / "d/gone") and is_whiteout(tree / "top")
    assert os.getxattr(tree / "d/sub", "user.overlay.opaque") == b"y"
    assert not xattrs.has(str(tree / "d"), xattrs.OPAQUE)
    assert not list(tree.rglob(".wh.*"))


@pytest.mark.parametrize("first", ["whiteout", "directory"])
def test_a_directory_removed_and_made_anew_hides_the_old_one(tmp_path: Path, first: str) -> None:
    members = [member(".wh.d", b""), member("d"), member("d/new", b"")]
    if first == "directory":
        members = [*members[1:], members[0]]
    tree = applied(tmp_path, *members)
    assert xattrs.has(str(tree / "d"), xattrs.OPAQUE)
    assert os.listdir(tree / "d") == ["new"]


@pytest.mark.parametrize("first", ["whiteout", "file"])
def test_a_file_removed_and_made_anew_is_there(tmp_path: Path, first: str) -> None:
    members = [member(".wh.f", b""), member("f", b"new")]
    tree = applied(tmp_path, *(members if first == "whiteout" else members[::-1]))
    assert (tree / "f").read_bytes() == b"new"


def test_the_last_of_equal_names_wins(tmp_path: Path) -> None:
    tree = applied(
        tmp_path, member("f", b"one"), member("f", b"two", mode=0o600), member("d"), member("d/x", b""),
        member("d", b"now a file"), member("l", b"file"), link("l", "f"), member("g", b""), member("g"),
        member("g/in", b"in"), member("k", mode=0o700), member("k/in", b""), member("k", mode=0o750),
    )  # fmt: skip
    assert (tree / "f").read_bytes() == b"two"
    assert (tree / "d").read_bytes() == b"now a file"
    assert os.readlink(tree / "l") == "f"
    assert (tree / "g/in").read_bytes() == b"in"
    assert stat.S_IMODE((tree / "k").stat().st_mode) == 0o750
    assert (tree / "k/in").exists()


def test_owner_mode_capabilities_and_times_all_stay(tmp_path: Path) -> None:
    caps = "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    headers = {"SCHILY.xattr.security.capability": caps}
    tree = applied(
        tmp_path,
        member("s", b"x", mode=0o6755, uid=5, gid=6, mtime=100, pax_headers=headers),
        member("t", mode=0o1777, uid=7, gid=8, mtime=200),
        member("t/late", b"", mtime=300),
        link("t/l", "nowhere"),
    )  # fmt: skip
    at = (tree / "s").stat()
    assert (stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid, at.st_mtime) == (0o6755, 5, 6, 100)
    assert os.getxattr(tree / "s", "security.capability") == caps.encode()
    at = (tree / "t").stat()
    assert (stat.S_IMODE(at.st_mode), at.st_uid, at.st_gid, at.st_mtime) == (0o1777, 7, 8, 200)


def test_missing_parents_are_made_and_marked(tmp_path: Path) -> None:
    tree = applied(tmp_path, member("a/b/c", b"x", uid=5))
    at = (tree / "a/b").stat()
    assert (stat.S_IMODE(at.st_mode), at.st_uid, at.st_mtime) == (0o755, 0, 0)
    assert xattrs.has(str(tree / "a/b"), xattrs.IMPLIED)
    assert xattrs.read(str(tree / "a/b")) == ()


def test_an_entry_for_a_parent_may_come_late(tmp_path: Path) -> None:
    tree = applied(tmp_path, member("a/f", b"x"), member("a", mode=0o700, mtime=50))
    at = (tree / "a").stat()
    assert (stat.S_IMODE(at.st_mode), at.st_mtime) == (0o700, 50)
    assert not xattrs.has(str(tree / "a"), xattrs.IMPLIED)


def test_the_entry_of_the_root_changes_nothing(tmp_path: Path) -> None:
    tree = applied(tmp_path, member("./", mode=0o700, uid=9), member("./f", b""))
    at = tree.stat()
    assert (stat.S_IMODE(at.st_mode), at.st_uid) == (0o755, 0)


def test_hard_links_share_one_file(tmp_path: Path) -> None:
    tree = applied(
        tmp_path, member("a", b"x"), link("b", "a", tarfile.LNKTYPE), link("c", "/a", tarfile.LNKTYPE),
        link("d", "./b", tarfile.LNKTYPE), link("a", "a", tarfile.LNKTYPE),
    )  # fmt: skip
    assert {(tree / name).stat().st_ino for name in "abcd"} == {(tree / "a").stat().st_ino}
    assert (tree / "a").stat().st_nlink == 4


def test_attributes_of_overlayfs_in_an_archive_are_dropped(tmp_path: Path) -> None:
    headers = {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.user.keep": "v"}
    tree = applied(tmp_path, member("d", pax_headers=headers))
    assert xattrs.read(str(tree / "d")) == (("user.keep", b"v"),)
    assert not xattrs.has(str(tree / "d"), xattrs.OPAQUE)


def test_devices_and_fifos(tmp_path: Path) -> None:
    tree = applied(
        tmp_path,
        member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("pipe", type=tarfile.FIFOTYPE, mode=0o600),
        member("zero", type=tarfile.CHRTYPE, devmajor=0, devminor=0),
    )  # fmt: skip
    assert (tree / "null").stat().st_rdev == os.makedev(1, 3)
    assert stat.S_ISFIFO((tree / "pipe").stat().st_mode)
    assert is_whiteout(tree / "zero")


OUTSIDE = [
    [member("../out", b"x")],
    [member("d"), member("d/../../out", b"x")],
    [link("out", "../outside/secret", tarfile.LNKTYPE)],
    [link("out", "no/such", tarfile.LNKTYPE)],
    [member("f", b""), member("f/below", b"x")],
    [member("d"), link("out", "d", tarfile.LNKTYPE)],
    [link("a", "b"), link("b", "a"), member("a/x", b"")],
    [member(".wh.x", b""), link("out", "x", tarfile.LNKTYPE)],
]


@pytest.mark.parametrize("members", OUTSIDE)
def test_impossible_entries_are_refused_by_both_readers(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("secret")
    with pytest.raises(StoreError):
        applied(tmp_path, *members)
    with pytest.raises(StoreError):
        scan(str(tmp_path / "blob"))
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("**/out"))


@pytest.mark.parametrize("target", ["/{}/outside", "../outside", "../../../../../../../../..{}/outside"])
def test_nothing_is_written_through_a_symlink_that_leads_out(tmp_path: Path, target: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    text = target.format(str(tmp_path))
    tree = applied(
        tmp_path, link("l", text), member("l/evil", b"x"), member("l/.wh.secret", b""),
        link("f", f"{text}/secret"), member("f", b"replaced"),
    )  # fmt: skip
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_text() == "secret"
    assert len(list(tree.rglob("evil"))) == 1
    assert (tree / "f").read_bytes() == b"replaced"


def test_a_symlinked_directory_of_the_same_layer_is_followed_inside(tmp_path: Path) -> None:
    tree = applied(tmp_path, member("usr"), member("usr/lib"), link("lib", "usr/lib"), member("lib/x", b"x"))
    assert (tree / "usr/lib/x").read_bytes() == b"x"
    assert (tree / "lib").is_symlink()


def test_a_hard_link_to_a_symlink_is_to_the_link_itself(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    tree = applied(tmp_path, link("l", "../secret"), link("h", "l", tarfile.LNKTYPE), member("h2", b""))
    assert os.readlink(tree / "h") == "../secret"


def test_the_same_as_gnu_tar_unpacks(tmp_path: Path) -> None:
    members = [
        member("d", mode=0o2750, uid=3, gid=4, mtime=10), member("d/f", b"x" * 70_000, mode=0o4711, mtime=20),
        link("d/l", "f"), link("d/h", "d/f", tarfile.LNKTYPE), member("e/deep/f", b"", uid=99),
        member("p", type=tarfile.FIFOTYPE, mode=0o622),
    ]  # fmt: skip
    tree = applied(tmp_path, *members)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    subprocess.run(["tar", "-xpf", tmp_path / "blob", "-z", "--same-owner", "-C", theirs], check=True)

    def listing(folder: Path) -> str:
        form = "%P %y %m %U:%G %n %l %Ts\\n"
        args = ["find", folder, "-mindepth", "1", "-not", "-path", "*/e*", "-printf", form]
        lines = subprocess.run(args, capture_output=True, text=True, check=True).stdout.splitlines()
        # The link's own time is the only thing the two set differently.
        return "\n".join(sorted(line for line in lines))

    assert listing(tree) == listing(theirs)
    assert (tree / "d/f").read_bytes() == (theirs / "d/f").read_bytes()


def test_a_blob_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    whole = gzip.compress(archive(member("f", os.urandom(300_000))))
    for size in (len(whole) - 4, len(whole) // 2):
        blob.write_bytes(whole[:size])
        with pytest.raises(StoreError, match=r"cut short|damaged"):
            scan(str(blob))
    blob.write_bytes(whole[:1000] + b"?" + whole[1001:])
    with pytest.raises(StoreError):
        scan(str(blob))

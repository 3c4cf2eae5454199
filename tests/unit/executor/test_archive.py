from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from jettison.errors import SourceError
from jettison.sources.context import ContextTree, open_context
from tests.unit.executor.layers import Recorder, copied, copy_op, folder

SECOND = 1_000_000_000


def member(
    name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "", uid: int = 11
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname, info.uid, info.gid, info.mtime = kind, mode, link, uid, 12, 1000
    return info


def tar(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in members:
            info, data = item if isinstance(item, tuple) else (item, b"")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


USUAL = tar(
    (member("f", mode=0o4711), b"f\n"),
    member("sub/", tarfile.DIRTYPE, 0o750),
    (member("sub/g"), b"g\n"),
    member("sym", tarfile.SYMTYPE, 0o777, "f"),
    member("hard", tarfile.LNKTYPE, link="sub/g"),
)


@pytest.fixture
def empty(tmp_path: Path) -> ContextTree:
    return folder(tmp_path / "base", {})


def added(tmp_path: Path, data: bytes, base: ContextTree, to: str = "/x/", **more: object) -> Recorder:
    (tmp_path / "c").mkdir(exist_ok=True)
    (tmp_path / "c/b.bin").write_bytes(data)
    op = copy_op("b.bin", to=to, **{"unpack": True, **more})
    return copied(op, open_context(str(tmp_path / "c"), None), base)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_archives_are_known_by_their_content(
    tmp_path: Path, empty: ContextTree, pack: Callable[[bytes], bytes]
) -> None:
    got = added(tmp_path, pack(USUAL), empty)
    assert list(got.entries) == ["x", "x/f", "x/hard", "x/sub", "x/sub/g", "x/sym"]
    assert got.modes()["x/f"] == "4711" and got.modes()["x/sub"] == "750"
    assert got.owners()["x"] == (0, 0) and got.owners()["x/sub/g"] == (11, 12)
    assert got.text("x/f") == "f\n" and got.text("x/sub/g") == "g\n" == got.text("x/hard")
    assert (got.entries["x/sub/g"].kind, got.entries["x/sub/g"].link) == ("hardlink", "x/hard")
    assert got.entries["x/sym"].link == "f" and got.entries["x/f"].mtime_ns == 1000 * SECOND


def test_the_destination_is_a_directory_even_without_a_slash(tmp_path: Path, empty: ContextTree) -> None:
    assert "x/f" in added(tmp_path, USUAL, empty, to="/x").entries
    assert "f" in added(tmp_path, USUAL, empty, to="/").entries


def test_chown_reaches_all_members(tmp_path: Path, empty: ContextTree) -> None:
    assert set(added(tmp_path, USUAL, empty, owner="5:6").owners().values()) == {(5, 6)}


@pytest.mark.parametrize(
    "data", [b"", b"not an archive\n", gzip.compress(b"hello", mtime=0), b"\x1f\x8b\x08broken", bytes(10240)]
)
def test_what_is_no_archive_is_copied(tmp_path: Path, empty: ContextTree, data: bytes) -> None:
    got = added(tmp_path, data, empty)
    assert list(got.entries) == ["x", "x/b.bin"] and got.data["x/b.bin"] == data


def test_only_add_unpacks_and_only_what_is_named(tmp_path: Path, empty: ContextTree) -> None:
    assert list(added(tmp_path, USUAL, empty, unpack=False).entries) == ["x", "x/b.bin"]
    (tmp_path / "c/d").mkdir()
    (tmp_path / "c/d/inner").write_bytes(USUAL)
    tree = open_context(str(tmp_path / "c"), None)
    assert list(copied(copy_op("d", to="/y", unpack=True), tree, empty).entries) == ["y", "y/inner"]
    assert "y/f" in copied(copy_op("b.*", to="/y/", unpack=True), tree, empty).entries


def test_the_archive_wins_over_what_is_there(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"x/f/deep": "old", "x/sub": "file", "x/keep/k": "k"})
    got = added(tmp_path, USUAL, base)
    assert got.entries["x/f"].kind == "file" and got.entries["x/sub"].kind == "dir"
    assert "x/keep" not in got.entries


def test_the_root_of_the_archive_does_not_change_the_destination(tmp_path: Path) -> None:
    folder(tmp_path / "b", {"tmp": None})
    os.chmod(tmp_path / "b/tmp", 0o1777)
    base = ContextTree(str(tmp_path / "b"))
    data = tar(member("./", tarfile.DIRTYPE, 0o700), (member("./f"), b"f"))
    got = added(tmp_path, data, base, to="/tmp/")
    assert got.modes() == {"tmp": "1777", "tmp/f": "644"} and got.owners()["tmp"] == (0, 0)


def test_names_stay_below_the_destination(tmp_path: Path, empty: ContextTree) -> None:
    assert list(added(tmp_path, tar((member("/abs"), b"a")), empty).entries) == ["x", "x/abs"]
    assert "x/b" in added(tmp_path, tar((member("a/../b"), b"a")), empty).entries
    for name in ("../evil", "a/../../evil", "..", "/../evil"):
        with pytest.raises(SourceError, match="outside"):
            added(tmp_path, tar((member(name), b"a")), empty)
    with pytest.raises(SourceError, match="outside"):
        added(tmp_path, tar((member("f"), b"a"), member("l", tarfile.LNKTYPE, link="../etc/passwd")), empty)


def test_symlinks_in_the_way_lead_nowhere_outside_the_image(tmp_path: Path, empty: ContextTree) -> None:
    outside = tmp_path / "victim"
    outside.mkdir()
    data = tar(member("l", tarfile.SYMTYPE, link=f"../../../..{outside}"), (member("l/f"), b"evil"))
    got = added(tmp_path, data, empty)
    assert list(outside.iterdir()) == []
    assert [path for path, entry in got.entries.items() if entry.kind == "file"] == [f"{str(outside)[1:]}/f"]


def test_a_directory_linked_in_the_image_is_written_through(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"usr/lib/k": "", "lib": ("->", "usr/lib")})
    got = added(tmp_path, tar((member("lib/new"), b"n")), base, to="/")
    assert list(got.entries) == ["usr", "usr/lib", "usr/lib/new"]


def test_missing_parents_are_root_0755(tmp_path: Path, empty: ContextTree) -> None:
    got = added(tmp_path, tar((member("a/b/c", uid=5), b"c")), empty)
    assert (
        got.modes()["x/a/b"] == "755" and got.owners()["x/a"] == (0, 0) and got.owners()["x/a/b/c"] == (5, 12)
    )


def test_unusual_members(tmp_path: Path, empty: ContextTree) -> None:
    long = "n" * 120 + "/" + "m" * 120
    special = member("attr")
    special.pax_headers = {"SCHILY.xattr.user.x": "value", "mtime": "1.5"}
    data = tar(
        member("p", tarfile.FIFOTYPE, 0o640), (member(long), b"long"), (member("ünï"), b"u"),
        member("null", tarfile.CHRTYPE), (special, b"a"), (member("./dot/./f"), b"dot"),
    )  # fmt: skip
    got = added(tmp_path, data, empty)
    assert got.entries["x/p"].kind == "fifo" and got.text("x/" + long) == "long" and got.text("x/ünï") == "u"
    assert got.entries["x/null"].kind == "char" and "x/dot/f" in got.entries
    assert (
        got.entries["x/attr"].xattrs == (("user.x", b"value"),)
        and got.entries["x/attr"].mtime_ns == 3 * SECOND // 2
    )


def test_the_last_member_of_a_name_wins(tmp_path: Path, empty: ContextTree) -> None:
    assert added(tmp_path, tar((member("f"), b"1"), (member("f"), b"22")), empty).text("x/f") == "22"
    data = tar((member("f"), b"1"), member("h", tarfile.LNKTYPE, link="f"), (member("f"), b"2"))
    got = added(tmp_path, data, empty)
    assert (got.text("x/f"), got.text("x/h")) == ("2", "1")


def test_a_hard_link_to_a_file_of_the_image(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"x/old": "old"})
    assert added(tmp_path, tar(member("l", tarfile.LNKTYPE, link="old")), base).text("x/l") == "old"
    with pytest.raises(SourceError, match="hard link"):
        added(tmp_path, tar(member("l", tarfile.LNKTYPE, link="nosuch")), base)


def test_damaged_archives_are_errors(tmp_path: Path, empty: ContextTree) -> None:
    big = tar((member("f"), os.urandom(100_000)))
    with pytest.raises(SourceError, match="damaged"):
        added(tmp_path, gzip.compress(big)[:-5000], empty)
    with pytest.raises(SourceError, match="damaged"):
        added(tmp_path, big[:50_000], empty)

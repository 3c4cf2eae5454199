"""Archives written by hand to do harm: headers that no tool makes, entries that no filesystem can hold."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from jettison.errors import SourceError, StoreError
from jettison.oci.expansion import FREE, RATIO, refuse_bomb
from jettison.store import xattrs
from jettison.store.apply import scan, unpack
from jettison.store.temporary import remove_tree
from jettison.store.view import LayerView
from tests.unit.store.layers_of import needs_root

pytestmark = needs_root
END = bytes(1024)


def raw(name: bytes = b"x", kind: bytes = b"0", size: bytes = b"0", **fields: bytes) -> bytes:
    """A header block with these very bytes in its fields, and the right checksum."""
    at = {"mode": (100, b"644"), "uid": (108, b"0"), "mtime": (136, b"0"), "link": (157, b""),
          "major": (329, b"0"), "minor": (337, b"0")}  # fmt: skip
    block = bytearray(512)
    for place, value in [(0, name), (124, size), (156, kind), (257, b"ustar\x0000")]:
        block[place : place + len(value)] = value
    for key, (place, usual) in at.items():
        value = fields.get(key, usual)
        block[place : place + len(value)] = value
    block[148:156] = b"%06o\0 " % (sum(block) + 8 * 32)
    return bytes(block)


def record(key: bytes, value: bytes) -> bytes:
    bare = len(key) + len(value) + 3
    size = next(n for n in range(bare, bare + 20) if n == bare + len(str(n)))
    return b"%d %b=%b\n" % (size, key, value)


def pax(kind: bytes = b"x", **records: bytes) -> bytes:
    body = b"".join(record(key.replace("__", ".").encode(), value) for key, value in records.items())
    return raw(b"p", kind, b"%o" % len(body)) + body + bytes(-len(body) % 512)


SPARSE = {"GNU__sparse__major": b"1", "GNU__sparse__minor": b"0"}
REFUSED = {
    "a huge owner": pax(uid=b"9" * 30) + raw(),
    "a negative owner": pax(uid=b"-5") + raw(),
    "a negative owner in base 256": raw(uid=b"\x80" + b"\x7f" * 7),
    "a huge time": pax(mtime=b"9" * 40) + raw(),
    "a huge time in base 256": raw(mtime=b"\x80\x7f" + b"\xff" * 10),
    "a huge size": pax(size=b"9" * 40) + raw(),
    "a size of too many digits": pax(size=b"9" * 5000) + raw(),
    "a negative size": raw(size=b"\xff" * 12),
    "a zero in a name": pax(path=b"a\0b") + raw(),
    "a zero in a link": pax(linkpath=b"a\0b") + raw(kind=b"2"),
    "a link to nothing": raw(kind=b"2"),
    "a long link": pax(linkpath=b"a" * 5000) + raw(kind=b"2"),
    "a long name": pax(path=b"a" * 300) + raw(),
    "a long path": pax(path=b"a/" * 50_000 + b"x") + raw(),
    "a path of a megabyte": pax(path=b"a/" * 500_000 + b"x") + raw(),
    "a zero in an attribute": pax(**{"SCHILY.xattr.user.a\0b": b"x"}) + raw(),
    "a large attribute": pax(SCHILY__xattr__user__a=b"x" * 70_000) + raw(),
    "a huge device": raw(kind=b"3", major=b"\x80" + b"\xff" * 7, minor=b"7777777"),
    "a negative device": raw(kind=b"4", major=b"\xff" * 8, minor=b"1"),
    "an extended header of no size": raw(b"p", b"x", b"zz"),
    "an extended header of negative size": raw(b"p", b"x", b"-1"),
    "a huge extended header": raw(b"p", b"L", b"77777777777"),
    "many extended headers": pax(comment=b"x" * 500_000) * 3 + raw(),
    "many global headers": (pax(b"g", comment=b"x" * 500_000) + raw()) * 3,
    "a way out by pax": pax(path=b"../../x") + raw(),
    "a way out by a long name": raw(b"p", b"L", b"13") + b"../../x\0ok".ljust(512, b"\0") + raw(),
    "a hard link out by pax": pax(linkpath=b"../../etc/passwd") + raw(kind=b"1"),
    "a hard link to itself": raw(b"a", b"1", link=b"a"),
    "a hard link to the root": raw(b"a", b"1", link=b"."),
    "a sparse file of negative size": pax(**SPARSE, GNU__sparse__realsize=b"-5") + raw(size=b"1000") + END,
    "a sparse file of exabytes": pax(**SPARSE, GNU__sparse__name=b"s", GNU__sparse__realsize=b"8" * 18)
    + raw(size=b"1000")
    + b"0\n".ljust(512, b"\0"),
    "a sparse file without a size": pax(**SPARSE) + raw(size=b"1000") + b"0\n".ljust(512, b"\0"),
    "a sparse map of rubbish": pax(**SPARSE, GNU__sparse__realsize=b"5") + raw(size=b"1000") + b"x\n" * 256,
}
HARMLESS = {
    "no such kind of attribute": pax(SCHILY__xattr__foo=b"x") + raw(),
    "a capability of rubbish": pax(SCHILY__xattr__security__capability=b"x") + raw(),
    "an access list of rubbish": pax(SCHILY__xattr__system__posix_acl_access=b"x") + raw(),
    "the root as a link": raw(b"./", b"2", link=b"/etc") + raw(),
    "the root as a hard link": raw(b".", b"1", link=b"/etc/passwd") + raw(),
    "whiteouts of the parent": raw(b".wh...") + raw(b"d/.wh...") + raw(b".wh..") + raw(b".wh.") + raw(),
    "a whiteout with a slash": raw(b".wh./etc") + raw(),
    "a control character": raw(b"\x1b[2J") + raw(),
}
OVERLAY = {f"SCHILY.xattr.{space}.overlay.{name}": value for space in ("user", "trusted") for name, value in (
    ("opaque", b"y"), ("redirect", b"/secret"), ("metacopy", b""), ("whiteout", b"y"))}  # fmt: skip


def blob_of(folder: Path, data: bytes) -> str:
    blob = folder / "blob"
    blob.write_bytes(gzip.compress(data + END))
    (folder / "tree").mkdir()
    return str(blob)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_by_both_readers(tmp_path: Path, name: str) -> None:
    blob = blob_of(tmp_path, REFUSED[name])
    before = os.listdir(tmp_path)
    for read in (lambda: unpack(blob, str(tmp_path / "tree")), lambda: scan(blob)):
        with pytest.raises(StoreError) as caught:
            read()
        assert len(caught.value.message) < 1000
    assert os.listdir(tmp_path) == before


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(tmp_path: Path, name: str) -> None:
    blob = blob_of(tmp_path, HARMLESS[name])
    unpack(blob, str(tmp_path / "tree"))
    scan(blob)
    assert (tmp_path / "tree/x").is_file() and not (tmp_path / "tree").is_symlink()


def test_no_note_to_overlayfs_gets_into_a_tree(tmp_path: Path) -> None:
    """With them a layer could show what lies elsewhere on the disk, or in other layers."""
    data = (
        pax(**OVERLAY) + raw(b"d", b"5") + pax(**OVERLAY, SCHILY__xattr__user__jettison__implied=b"y") + raw()
    )
    blob = blob_of(tmp_path, data)
    unpack(blob, str(tmp_path / "tree"))
    for path in ("d", "x"):
        assert os.listxattr(tmp_path / "tree" / path) == []
    view = LayerView(["l"], lambda _: str(tmp_path / "tree"), lambda _: b"", lambda _: "")
    assert view.xattrs("d") == () and not xattrs.has(str(tmp_path / "tree/d"), xattrs.OPAQUE)


def test_a_tree_deeper_than_any_path_can_be_removed(tmp_path: Path) -> None:
    """A step can make one, folder by folder; it must not stay in the store for ever."""
    top, here = tmp_path / "deep", os.open(".", os.O_PATH)
    top.mkdir()
    try:
        os.chdir(top)
        for name in ["d" * 200] * 40 + ["e"] * 1200:
            os.mkdir(name)
            os.chdir(name)
        Path("file").write_text("")
    finally:
        os.fchdir(here)
        os.close(here)
    remove_tree(str(top))
    assert os.listdir(tmp_path) == []


def test_a_decompression_bomb_is_told_from_a_large_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zeros, packed thousands of times smaller: nobody waits for their end. A smaller limit saves time."""
    import zstandard

    packer = zstandard.ZstdCompressor(level=1).compressobj()
    zeros = bytes(1 << 26)
    with open(tmp_path / "blob", "wb") as file:
        file.write(packer.compress(raw(size=b"77777777777")))
        for _ in range(9):
            file.write(packer.compress(zeros))
        file.write(packer.flush())
    with monkeypatch.context() as patch:
        for module in ("oci.expansion", "store.compress"):
            patch.setattr(f"jettison.{module}.FREE", 1 << 29)
        with pytest.raises(SourceError, match="decompression bomb"):
            scan(str(tmp_path / "blob"))
    refuse_bomb(FREE // RATIO + 1, FREE + 1, "a layer")
    refuse_bomb(1, FREE, "a layer")


def test_a_name_that_changes_its_kind_again_and_again(tmp_path: Path) -> None:
    change = raw(b"x", b"5") + raw(b"x/d", b"5") + raw(b"x/d/old") + raw(b"x") + raw(b"x", b"2", link=b"/etc")
    blob = blob_of(tmp_path, raw(b"xy", b"5") + change * 100 + raw(b"x", b"5") + raw(b"x/d/f"))
    unpack(blob, str(tmp_path / "tree"))
    assert os.listdir(tmp_path / "tree/x/d") == ["f"] and sorted(os.listdir(tmp_path / "tree")) == ["x", "xy"]

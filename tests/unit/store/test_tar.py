"""Headers: what Python and GNU tar read of ours, and we of theirs."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from jettison.errors import StoreError
from jettison.store.base import Entry
from jettison.store.tar import END, clean, header, number, padding, parse_pax
from jettison.store.tar_reader import TarReader

SECOND = 10**9


def packed(*entries: tuple[Entry, bytes]) -> bytes:
    return b"".join(header(entry) + data + padding(len(data)) for entry, data in entries) + END


def read_back(data: bytes) -> list[Entry]:
    return list(TarReader([data]))


ENTRIES = [
    Entry("dir", "dir", 0o1777, 3, 4, 5 * SECOND),
    Entry("dir/file", "file", 0o4755, 1000, 1001, 1_700_000_000 * SECOND, 5),
    Entry("dir/hard", "hardlink", 0o4755, 1000, 1001, 1_700_000_000 * SECOND, link="dir/file"),
    Entry("dir/soft", "symlink", 0o777, link="../../etc/passwd"),
    Entry("dev", "char", 0o600, device=(10, 229)),
    Entry("disk", "block", 0o600, device=(259, 1)),
    Entry("pipe", "fifo", 0o644),
    Entry("gone", "whiteout"),
    Entry("dir/gone", "whiteout"),
    Entry("dir", "opaque"),
    Entry("sub-second", "file", 0o644, mtime_ns=1_700_000_000_123_456_000),
    Entry("before-1970", "file", 0o644, mtime_ns=-1_500_000_000),
    Entry("just-before-1970", "file", 0o644, mtime_ns=-1),
    Entry("big-owner", "file", 0o644, uid=2**31 + 5, gid=2**21),
    Entry("caps", "file", 0o755, xattrs=(("security.capability", b"\x01\0\0\x02\xff=\n"), ("user.x", b""))),
    Entry("a" * 99 + "/" + "b" * 99, "file"),
    Entry("c" * 120, "file"),
    Entry("/".join(["deep"] * 60), "dir", 0o755),
    Entry("ünï/cödé", "file"),
    Entry(os.fsdecode(b"latin-\xe9"), "file"),
    Entry("long-link", "symlink", 0o777, link="x/" * 80 + "y"),
    Entry("year-2300", "file", mtime_ns=10_413_792_000 * SECOND),
    Entry("new\nline and blank ", "file"),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: ascii(entry.path[:20]) + entry.kind)
def test_every_entry_comes_back_as_it_was(entry: Entry) -> None:
    data = b"x" * entry.size
    assert read_back(packed((entry, data))) == [entry]


def test_python_reads_what_is_written() -> None:
    plain = [entry for entry in ENTRIES if entry.kind not in ("whiteout", "opaque")]
    data = packed(*((entry, b"x" * entry.size) for entry in plain))
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as tar:
        members = tar.getmembers()
    assert [info.name for info in members] == [entry.path for entry in plain]
    assert [(info.mode, info.uid, info.gid, info.linkname) for info in members] == [
        (entry.mode, entry.uid, entry.gid, entry.link) for entry in plain
    ]
    by_name = {info.name: info for info in members}
    assert by_name["before-1970"].mtime == -1.5
    assert (by_name["disk"].devmajor, by_name["disk"].devminor) == (259, 1)
    assert by_name["dir/hard"].islnk() and by_name["pipe"].isfifo()
    assert by_name["caps"].pax_headers["SCHILY.xattr.user.x"] == ""


def test_gnu_tar_lists_what_is_written() -> None:
    plain = [
        entry for entry in ENTRIES if entry.kind not in ("whiteout", "opaque") and "\n" not in entry.path
    ]
    data = packed(*((entry, b"x" * entry.size) for entry in plain))
    run = subprocess.run(
        ["tar", "tf", "-", "--quoting-style=literal"], input=data, capture_output=True, check=True
    )
    names = [line.rstrip(b"/") for line in run.stdout.splitlines()]
    assert names == [os.fsencode(entry.path) for entry in plain]


def test_markers_have_the_names_of_the_specification() -> None:
    data = packed((Entry("a/b", "whiteout"), b""), (Entry("a", "opaque"), b""), (Entry("", "opaque"), b""))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getnames() == ["a/.wh.b", "a/.wh..wh..opq", ".wh..wh..opq"]


def test_nothing_but_subsecond_times_and_odd_names_costs_a_pax_header() -> None:
    assert len(header(Entry("usr/bin/x", "file", 0o755, 1000, 1000, 1_700_000_000 * SECOND, 12))) == 512
    assert len(header(Entry("p" * 100 + "/" + "n" * 100, "file"))) == 512
    assert len(header(Entry("x", "file", mtime_ns=1))) == 3 * 512


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7", "oldgnu"])
def test_archives_of_gnu_tar(tmp_path: Path, form: str) -> None:
    source = tmp_path / "source"
    (source / "d" / "e").mkdir(parents=True)
    (source / "d" / "f").write_bytes(b"content")
    os.utime(source / "d" / "f", ns=(SECOND, 1_600_000_000 * SECOND))
    os.link(source / "d" / "f", source / "d" / "g")
    (source / "link").symlink_to("d/f")
    names = {"d", "d/e", "d/f", "d/g", "link"}
    if form in ("gnu", "pax", "oldgnu"):
        long = "n" * 120 + "/" + "m" * 130
        (source / long).parent.mkdir()
        (source / long).write_bytes(b"")
        (source / "l").symlink_to("t" * 150)
        names |= {"n" * 120, long, "l"}
    run = subprocess.run(
        ["tar", "-C", str(source), f"--format={form}", "--owner=7", "--group=8", "--sort=name", "-cf-", "."],
        capture_output=True,
        check=True,
    )
    reader = TarReader([run.stdout[i : i + 700] for i in range(0, len(run.stdout), 700)])
    found = {}
    contents = {}
    for entry in reader:
        found[entry.path] = entry
        contents[entry.path] = b"".join(reader.content())
    assert set(found) - {""} == names
    assert found["d/f"].mtime_ns == 1_600_000_000 * SECOND
    assert (found["d/f"].uid, found["d/f"].gid, contents["d/f"]) == (7, 8, b"content")
    assert (found["d/g"].kind, found["d/g"].link) == ("hardlink", "d/f")
    if form in ("gnu", "pax", "oldgnu"):
        assert found["l"].link == "t" * 150


def test_a_size_beyond_octal_is_read() -> None:
    entry = Entry("huge", "file", size=9 << 30)
    head = header(entry)
    assert len(head) == 3 * 512
    assert next(iter(TarReader([head]))).size == 9 << 30
    assert number(b"\x80" + (9 << 30).to_bytes(11, "big")) == 9 << 30
    assert number(b"\xff" * 12) == -1


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/../x", "..", "a/../.."])
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(StoreError, match="outside"):
        clean(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [("./a", "a"), ("/a//b/", "a/b"), (".", ""), ("./", ""), ("a/./b", "a/b"), ("a/x/../b", "a/b"),
     ("..a/b.", "..a/b."),
     (".hidden", ".hidden"), ("a/..b", "a/..b")],
)  # fmt: skip
def test_names_are_made_relative_and_clean(name: str, path: str) -> None:
    assert clean(name) == path


def test_the_last_part_of_a_whiteout_is_never_a_dot() -> None:
    names = [".wh...", ".wh..", "d/.wh..wh.plnk", ".wh."]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in [*names, "after"]:
            tar.addfile(tarfile.TarInfo(name))
    assert [entry.path for entry in read_back(out.getvalue())] == ["after"]


def test_damage_is_told() -> None:
    good = packed((Entry("file", "file", size=600), b"x" * 600))
    with pytest.raises(StoreError, match="checksum"):
        read_back(b"y" + good[1:])
    with pytest.raises(StoreError, match="cut short"):
        read_back(good[:800])
    with pytest.raises(StoreError, match="pax"):
        parse_pax(b"99 path=x\n")
    with pytest.raises(StoreError, match="checksum"):
        read_back(b"no archive at all".ljust(1024, b"."))


def test_contents_that_nobody_asks_for_are_skipped() -> None:
    data = packed((Entry("a", "file", size=1000), b"a" * 1000), (Entry("b", "file", size=3), b"bbb"))
    reader = TarReader([data])
    seen = []
    for entry in reader:
        if entry.path == "b":
            seen.append(b"".join(reader.content()))
    assert seen == [b"bbb"]


@pytest.mark.parametrize("form", ["gnu", "posix", "posix --sparse-version=0.1"])
def test_sparse_files_are_written_out(tmp_path: Path, form: str) -> None:
    parts = {0: b"start", 1 << 20: b"x" * 5000, 5 << 20: b"end"}
    parts |= {(2 << 20) + number * 65536: b"many" for number in range(40)}
    with open(tmp_path / "sparse", "wb") as file:
        for offset, data in parts.items():
            file.seek(offset)
            file.write(data)
        file.truncate(6 << 20)
    (tmp_path / "z").write_bytes(b"after")
    args = ["tar", "-C", str(tmp_path), "--sparse", *f"--format={form}".split(), "-cf-", "sparse", "z"]
    archive = subprocess.run(args, capture_output=True, check=True).stdout
    assert len(archive) < 1 << 20
    reader = TarReader([archive])
    found = {entry.path: (entry.size, b"".join(reader.content())) for entry in reader}
    assert found == {"sparse": (6 << 20, (tmp_path / "sparse").read_bytes()), "z": (5, b"after")}

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from jettison.errors import SourceError
from jettison.oci import archive
from jettison.oci.archive import ArchiveSink, FolderSink, open_files, pour
from tests.layouts import member, tar_of

SIZES = (0, 1, 511, 512, 513, 5_000_000)


def test_archive_is_readable_and_in_order(tmp_path: Path) -> None:
    out = io.BytesIO()
    sink = ArchiveSink(out)
    sink.data("top", b"1")
    for size in SIZES:
        (tmp_path / str(size)).write_bytes(os.urandom(size))
        sink.file(f"blobs/sha512/{size:0128}", str(tmp_path / str(size)))
    sink.data("blobs/sha256/x", b"")
    sink.finish()
    assert len(out.getvalue()) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
        found = tar.getmembers()
        names = ["top", "blobs", "blobs/sha512", *(f"blobs/sha512/{s:0128}" for s in SIZES), "blobs/sha256"]
        assert [item.name for item in found] == [*names, "blobs/sha256/x"]
        assert {(item.mtime, item.uid, item.uname, item.mode) for item in found} == {
            (0, 0, "", 0o644), (0, 0, "", 0o755),
        }  # fmt: skip
        for size in SIZES:
            content = tar.extractfile(f"blobs/sha512/{size:0128}")
            assert content is not None and content.read() == (tmp_path / str(size)).read_bytes()


@pytest.mark.parametrize("mode", ["wb", "ab"])
@pytest.mark.parametrize("buffering", [0, -1])
def test_pour_into_files(tmp_path: Path, mode: str, buffering: int) -> None:
    data = os.urandom(3_000_001)
    (tmp_path / "from").write_bytes(data)
    with open(tmp_path / "to", mode, buffering=buffering) as out, (tmp_path / "from").open("rb") as file:
        out.write(b"before")
        pour(file, out, len(data))
        out.write(b"after")
    assert (tmp_path / "to").read_bytes() == b"before" + data + b"after"


def test_pour_notices_a_source_that_shrank(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"123")
    with (
        (tmp_path / "to").open("wb") as out,
        (tmp_path / "from").open("rb") as file,
        pytest.raises(OSError, match="shorter"),
    ):
        pour(file, out, 4)


def test_small_files_of_a_folder_come_last(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"data")
    sink = FolderSink(str(tmp_path / "out"))
    sink.data("index.json", b"{}")
    sink.file("blobs/a", str(tmp_path / "from"))
    assert not (tmp_path / "out" / "index.json").exists()
    sink.finish()
    assert (tmp_path / "out" / "index.json").read_bytes() == b"{}"
    assert (tmp_path / "out" / "blobs" / "a").read_bytes() == b"data"


def test_reading_archives(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    link, loop = member(tarfile.SYMTYPE, link="../a"), member(tarfile.SYMTYPE, link="loop")
    outside = member(tarfile.SYMTYPE, link="../../etc/passwd")
    hard = member(tarfile.LNKTYPE, link="./a")
    files = {"./a": b"1", "d/link": link, "loop": loop, "out": outside, "hard": hard}
    archive.write_bytes(tar_of(files))  # type: ignore[arg-type]
    with open_files(str(archive), str(tmp_path)) as opened:
        for name in ("a", "./a", "d/link", "hard"):
            assert opened.open(name).read() == b"1", name
        for name in ("loop", "out", "b", "d"):
            with pytest.raises(FileNotFoundError):
                opened.open(name)
        assert opened.has("a") and not opened.has("b")


def test_pipes_are_spooled(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, tar_of({"a": b"1"}))
    os.close(writing)
    with open_files(f"/dev/fd/{reading}", str(tmp_path)) as opened:
        assert opened.open("a").read() == b"1"
    os.close(reading)


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"text")
    with pytest.raises(SourceError, match="no tar archive"), open_files(str(tmp_path / "x"), str(tmp_path)):
        pass
    with pytest.raises(SourceError, match="is not there"), open_files(str(tmp_path / "y"), str(tmp_path)):
        pass


@pytest.mark.parametrize("size", [0, 511, 8**11 - 1, 8**11])
@pytest.mark.parametrize(
    "path", ["index.json", "blobs/sha256/" + "0" * 64, "é/" + "b" * 96, "c" * 100, "d" * 101]
)
def test_headers_are_those_of_tarfile(path: str, size: int) -> None:
    info = tarfile.TarInfo(path)
    info.size = size
    assert archive._header(path, size) == info.tobuf(tarfile.GNU_FORMAT)
    folder = tarfile.TarInfo(path + "/")
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    assert archive._header(path + "/", 0, folder=True) == folder.tobuf(tarfile.GNU_FORMAT)


def test_what_is_written_is_told_also_what_is_there_already(tmp_path: Path) -> None:
    source, told = tmp_path / "from", []
    source.write_bytes(bytes(5_000_000))
    ArchiveSink(io.BytesIO(), told.append).file("blobs/x", str(source))
    with (tmp_path / "to").open("wb") as out:
        ArchiveSink(out, told.append).file("blobs/x", str(source))
    for _ in range(2):
        FolderSink(str(tmp_path / "folder"), told.append).file("blobs/x", str(source))
    assert sum(told) == 4 * 5_000_000

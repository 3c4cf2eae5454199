"""Looks for values that must be nowhere: in files and all that is packed in them, and in processes."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import sqlite3
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote


def forms(value: str) -> list[bytes]:
    """A value and what tools make of it."""
    data = value.encode()
    return [data, *data.splitlines(), base64.b64encode(data), quote(value, safe="").encode()]


def found_in(data: bytes, values: Iterable[str]) -> list[str]:
    """The values that data holds in some form, packed or not."""
    wanted = [form for value in values for form in forms(value)]
    return [repr(form) for piece in unpacked(data) for form in wanted if form in piece]


def unpacked(data: bytes) -> Iterator[bytes]:
    """Data, and all that is packed in it."""
    yield data
    if data[:2] == b"\x1f\x8b" or data[:1] == b"\x78":
        with contextlib.suppress(zlib.error):
            out = b""
            while data:
                one = zlib.decompressobj(47)
                out += one.decompress(data)
                data = one.unused_data
            yield from unpacked(out)
    elif data[257:262] == b"ustar":
        with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                file = archive.extractfile(member)
                yield from unpacked(file.read() if file else b"")


def files_with(folder: Path, values: Iterable[str]) -> list[str]:
    """The files below a folder that hold a value, in name or content; databases row by row as well."""
    values = list(values)
    found = found_in(b"\n".join(os.fsencode(path) for path in folder.rglob("*")), values)
    seen = set()
    for above, _, names in os.walk(folder):
        for path in (Path(above, name) for name in names):
            status = path.lstat()
            if status.st_ino in seen or not stat.S_ISREG(status.st_mode):
                continue
            seen.add(status.st_ino)
            data = path.read_bytes()
            found += [f"{path}: {hit}" for hit in found_in(data, values)]
            if data.startswith(b"SQLite format 3"):
                found += [f"{path}: {hit}" for row in rows(path) for hit in found_in(row, values)]
    return found


def rows(database: Path) -> Iterator[bytes]:
    """Every value in a database."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                yield from (item if isinstance(item, bytes) else str(item).encode() for item in row)


def processes_with(part: str, values: Iterable[str]) -> list[str]:
    """The command lines of all processes whose `cmdline` or `environ` holds a value."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if found_in((folder / part).read_bytes(), values):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found

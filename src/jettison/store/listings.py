"""What a COPY took, file by file: its content digest is the digest of these rows, and the listing keeps them.

Two listings tell in words what one digest against another cannot: which files differ. They are
files of the store, named by the digest, compressed with gzip. A listing that is missing or
damaged is no harm: it only explains.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Any, BinaryIO

from jettison.dataclass import dataclass
from jettison.digests import hex_of
from jettison.store.private import private

_FORM = b"jettison listing 1\n"
_KINDS = {
    "f": "file", "d": "dir", "l": "symlink", "c": "char", "b": "block", "p": "fifo", "s": "socket",
}  # fmt: skip
_LETTERS = {kind: letter.encode() for letter, kind in _KINDS.items()}
_DIGEST = 32
_GZIP = 31
"""The window bits that mean a gzip header."""


Sources = Sequence[tuple[str, bool]]
"""Where each source of a COPY is, and whether it is a folder that targets are below."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One thing that was copied. `path` is where it was in the source, `owner` UID:GID if that counts.

    `link` is the target of a symlink, the first name of a further name of a file (a hard link), or
    the numbers of a device; `digest` the SHA-256 of a file's content in hexadecimal.
    """

    path: str
    kind: str
    mode: int
    owner: str = ""
    link: str = ""
    xattrs: str = ""
    digest: str = ""


def heads(sources: Iterable[tuple[str, bool, str]]) -> list[bytes]:
    """The first rows: how many sources there are, and of each its target, if it is nested, and its kind.

    The name that a file or a folder itself is to have is in no other row.
    """
    texts = [f"{target}/{nested}/{kind}" for target, nested, kind in sources]
    return [row(len(texts), "", "dir", 0), *(row(n, text, "dir", 0) for n, text in enumerate(texts))]


def row(
    number: int, target: str, kind: str, mode: int, owner: str = "", link: str = "", xattrs: str = "",
    digest: bytes = b"",
) -> bytes:  # fmt: skip
    """One row. `number` is that of the source, `target` the path below the destination.

    Fields end with a zero byte and the digest has a fixed size: no two lists of files give the same bytes.
    """
    fields = (target, owner, link, xattrs)
    name, user, to, attributes = (text.encode("utf-8", "surrogateescape") for text in fields)
    return b"%d\0%b\0%b%o\0%b\0%b\0%b\0%b" % (
        number, name, _LETTERS[kind], mode, user, to, attributes, digest
    )  # fmt: skip


def file_row(target: str, mode: int, digest: bytes) -> bytes:
    """What `row` gives for a file of the first source without owner and attributes."""
    return b"0\0%b\0f%o\0\0\0\0%b" % (target.encode("utf-8", "surrogateescape"), mode, digest)


class ListingWriter:
    """Hashes rows, and writes them to a new file as well when it has the name of one."""

    def __init__(self, path: str = "", sources: Sources = ()) -> None:
        self._hash = sha256()
        self._path = path
        self._file: BinaryIO | None = None
        self._packed: Any = None
        if path:
            from isal.isal_zlib import compressobj

            self._file = open(path, "xb", opener=private)  # noqa: SIM115
            self._packed = compressobj(1, wbits=_GZIP)
            self._write(_FORM + json.dumps(list(sources)).encode("ascii") + b"\n")

    def add(self, rows: Iterable[bytes]) -> None:
        """Add rows, in an order that is always the same for equal files."""
        data = b"".join(rows)
        self._hash.update(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._file is not None:
            self._file.write(self._packed.compress(data))

    def digest(self) -> str:
        """The content digest of all rows so far."""
        return "sha256:" + self._hash.hexdigest()

    def keep(self, folder: str) -> None:
        """End the file and put it into the folder of listings, if none of these rows is there yet."""
        if self._file is None:
            return
        target = f"{folder}/{hex_of(self.digest())}"
        self._file.write(self._packed.flush())
        self._file.close()
        if os.path.exists(target):
            self.drop()
        else:
            os.makedirs(folder, 0o700, exist_ok=True)
            os.rename(self._path, target)
            self._file = None

    def drop(self) -> None:
        """Remove the file. Harmless after `keep`."""
        if self._file is not None:
            self._file.close()
            self._file = None
            os.unlink(self._path)


def keep_rows(
    folder: str, new_name: Callable[[], str], sources: Sources, rows: Sequence[bytes], digest: str
) -> None:
    """Keep a listing of rows whose digest is known, unless it is kept already."""
    if os.path.exists(f"{folder}/{hex_of(digest)}"):
        return
    writer = ListingWriter(new_name(), sources)
    try:
        writer.add(rows)
        writer.keep(folder)
    finally:
        writer.drop()


def load(root: str, digest: str) -> list[Listed] | None:
    """The listing of a content digest in the store at `root`; None where there is none that can be read."""
    from zlib import decompress, error

    try:
        with open(f"{root}/listings/{hex_of(digest)}", "rb") as file:
            data = decompress(file.read(), _GZIP)
        if not data.startswith(_FORM):
            return None
        head, _, rows = data[len(_FORM) :].partition(b"\n")
        return list(_parse(rows, json.loads(head)))
    except (OSError, ValueError, IndexError, KeyError, error):
        return None


def _parse(data: bytes, sources: list[tuple[str, bool]]) -> Iterable[Listed]:
    at = 0
    for _ in range(len(sources) + 1):
        at = _fields(data, at)[-1]
    while at < len(data):
        *fields, end = _fields(data, at)
        number, target, kind, owner, link, xattrs = fields
        at = end
        digest = ""
        letter, mode = kind[:1], int(kind[1:], 8)
        if letter == "f":
            digest = data[at : at + _DIGEST].hex()
            at += _DIGEST
        path, is_folder = sources[int(number)]
        path = f"{path}/{target}".strip("/") if is_folder else path
        yield Listed(path, _KINDS[letter], mode, owner, link, xattrs, digest)


def _fields(data: bytes, at: int) -> list[Any]:
    out: list[Any] = []
    for _ in range(6):
        end = data.index(b"\0", at)
        out.append(data[at:end].decode("utf-8", "surrogateescape"))
        at = end + 1
    return [*out, at]

"""Tar archives that hold images, and folders with the same files: reading any, writing deterministic ones."""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from jettison.errors import SourceError
from jettison.oci.expansion import Expanding
from jettison.replacing import replacing

if TYPE_CHECKING:
    import tarfile

    from jettison.events import Told

_CHUNK = 4 * 1024 * 1024
_PIPE = 16 * 1024 * 1024
"""Bytes that a compressed stream of unknown length is taken to have, to tell whether it is a bomb."""
_AT_ONCE = 32 * 1024 * 1024
"""Bytes that the kernel is asked to copy in one go: less than a tenth of a second's work for most disks."""
_BLOCK = 512
_BLOB = re.compile(r"blobs/sha(256|512)/[0-9a-f]+", re.ASCII)
_LONGEST_NAME = 100
_LARGEST_SIZE = 8**11 - 1
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}


def compression_by_content(start: bytes) -> str:
    """What a stream is compressed with, told by its first 6 bytes; "" is not at all."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


class Files(Protocol):
    """Files by relative path, in a folder or an archive."""

    def open(self, path: str) -> BinaryIO:
        """Open for reading. Raises FileNotFoundError."""

    def has(self, path: str) -> bool:
        """Whether there is a file of this name."""


class FolderFiles:
    """The files below a folder. No path and no symlink leads out of it, but for blobs: their digests tell."""

    def __init__(self, root: str) -> None:
        self.root = root

    def open(self, path: str) -> BinaryIO:
        """Open for reading. Raises FileNotFoundError, and SourceError for what is no file of the folder."""
        name = os.path.join(self.root, path)
        real, root = os.path.realpath(name), os.path.realpath(self.root).rstrip("/")
        if not _BLOB.fullmatch(path) and not real.startswith(f"{root}/"):
            raise SourceError(
                f"{self.root}: {path} leads out of the folder",
                hint="the image was made wrongly, or to do harm; it is not read",
            )
        # No waiting for the other end of a pipe.
        handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise SourceError(f"{self.root}: {path} is no regular file", hint="get the image again")
        return open(handle, "rb")

    def has(self, path: str) -> bool:
        """Whether there is something of this name."""
        return os.path.exists(os.path.join(self.root, path))


class TarFiles:
    """The files of a tar archive that can be sought in. The last of several members of one name counts."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._members = {posixpath.normpath(member.name).lstrip("/"): member for member in tar.getmembers()}

    def open(self, path: str) -> BinaryIO:
        """Open for reading, through links inside the archive. Raises FileNotFoundError."""
        member = self._members.get(posixpath.normpath(path))
        if member is None:
            raise FileNotFoundError(path)
        for _ in range(10):
            if not member.issym():
                break
            target = posixpath.normpath(posixpath.join(posixpath.dirname(member.name), member.linkname))
            member = self._members.get(target)
            if member is None:
                raise FileNotFoundError(path)
        try:
            content = self._tar.extractfile(member) if not member.issym() else None
        except KeyError:
            content = None
        if content is None:
            raise FileNotFoundError(path)
        return content  # type: ignore[return-value]

    def has(self, path: str) -> bool:
        """Whether there is a member of this name."""
        return posixpath.normpath(path) in self._members


@contextmanager
def open_files(path: str, spool: str) -> Iterator[Files]:
    """The files of a folder or of an archive, which may be compressed with gzip, zstd, bzip2 or xz.

    Archives that cannot be sought in are first unpacked to a nameless file in the
    folder `spool`. Raises SourceError for what is no archive.
    """
    import tarfile

    from jettison.oci.members import CarefulMember

    if os.path.isdir(path):
        yield FolderFiles(path)
        return
    try:
        with (
            open(path, "rb") as file,
            _seekable(file, spool) as plain,
            tarfile.open(fileobj=plain, mode="r:", tarinfo=CarefulMember) as tar,
        ):
            yield TarFiles(tar)
    except (tarfile.TarError, ValueError) as error:
        hint = "OCI layouts, OCI archives and docker archives are read"
        raise SourceError(f"{path} is no tar archive: {error}", hint=hint) from error
    except FileNotFoundError as error:
        raise SourceError(f"{path} is not there") from error


@contextmanager
def _seekable(file: BinaryIO, spool: str) -> Iterator[BinaryIO]:
    from shutil import copyfileobj
    from tempfile import TemporaryFile

    start = file.peek(6)[:6]  # type: ignore[attr-defined]
    compression = compression_by_content(start)
    if not compression and file.seekable():
        yield file
        return
    packed = os.fstat(file.fileno()).st_size if file.seekable() else _PIPE
    with TemporaryFile(dir=spool) as plain:
        try:
            with decompressed(file, compression) as stream:
                copyfileobj(Expanding(stream, lambda: packed, file.name), plain, _CHUNK)
        except (EOFError, ValueError, OSError, _zstd_error()) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise SourceError(f"{file.name} is damaged: {error}") from error
        plain.seek(0)
        yield plain


def _zstd_error() -> type[Exception]:
    from zstandard import ZstdError

    return ZstdError


def decompressed(stream: BinaryIO, compression: str) -> BinaryIO:
    """A stream of what another one holds compressed (as `compression_by_content` names it)."""
    if compression == "gzip":
        from isal import igzip

        return igzip.IGzipFile(fileobj=stream, mode="rb")  # type: ignore[return-value,no-untyped-call]
    if compression == "zstd":
        import zstandard

        reader = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return reader
    if compression == "bzip2":
        import bz2

        return bz2.BZ2File(stream)  # type: ignore[return-value]
    if compression == "xz":
        import lzma

        return lzma.LZMAFile(stream)  # type: ignore[return-value]
    return stream


class Sink(Protocol):
    """Takes the files of a layout, in an archive or a folder."""

    def data(self, path: str, data: bytes) -> None:
        """Add a small file."""

    def file(self, path: str, source: str) -> None:
        """Add a copy of a file of this machine."""

    def finish(self) -> None:
        """All files were given."""


class ArchiveSink:
    """Writes a tar archive to a stream. Equal files in equal order give equal bytes.

    `told` hears of the bytes of files of this machine as they are written.
    """

    def __init__(self, stream: BinaryIO, told: Told | None = None) -> None:
        self._stream = stream
        self._told = told
        self._folders: set[str] = set()

    def data(self, path: str, data: bytes) -> None:
        """Add a small file."""
        self._header(path, len(data))
        self._stream.write(data + bytes(-len(data) % _BLOCK))

    def file(self, path: str, source: str) -> None:
        """Add a copy of a file of this machine."""
        with open(source, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._header(path, size)
            pour(file, self._stream, size, self._told)
        self._stream.write(bytes(-size % _BLOCK))

    def finish(self) -> None:
        """Write the two empty blocks that end a tar archive."""
        self._stream.write(bytes(2 * _BLOCK))

    def _header(self, path: str, size: int) -> None:
        parent = posixpath.dirname(path)
        if parent and parent not in self._folders:
            for end in [at for at, letter in enumerate(path) if letter == "/"]:
                if path[:end] not in self._folders:
                    self._folders.add(path[:end])
                    self._stream.write(_header(path[:end] + "/", 0, folder=True))
        self._stream.write(_header(path, size))


def _header(path: str, size: int, *, folder: bool = False) -> bytes:
    """The header of an entry as GNU tar writes it; tarfile, which takes long to import, for long names."""
    name = path.encode("utf-8", "surrogateescape")
    if len(name) > _LONGEST_NAME or size > _LARGEST_SIZE:
        from tarfile import DIRTYPE, GNU_FORMAT, TarInfo

        info = TarInfo(path)
        info.size, info.mode = size, 0o755 if folder else 0o644
        if folder:
            info.type = DIRTYPE
        return info.tobuf(GNU_FORMAT)
    mode, kind = (0o755, b"5") if folder else (0o644, b"0")
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, 0)
    start, end = name.ljust(_LONGEST_NAME, b"\0") + fields, kind + bytes(100) + b"ustar  \0"
    # The checksum counts its own field as spaces.
    checksum = b"%06o\0 " % (sum(start) + 8 * 32 + sum(end))
    return (start + checksum + end).ljust(_BLOCK, b"\0")


class FolderSink:
    """Writes into a folder. A blob that is there and has the right size stays: blobs are named by content.

    The small files at the top appear last, each by rename, so that the folder is sound at any moment.
    `told` hears of the bytes of files of this machine as they are written.
    """

    def __init__(self, root: str, told: Told | None = None) -> None:
        self._root = root
        self._told = told
        self._last: dict[str, bytes] = {}

    def data(self, path: str, data: bytes) -> None:
        """Add a small file."""
        if "/" not in path:
            self._last[path] = data
            return
        with self._replacing(path) as file:
            file.write(data)

    def file(self, path: str, source: str) -> None:
        """Add a copy of a file of this machine; never a link to it, as what was exported may be edited."""
        with open(source, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                if os.lstat(os.path.join(self._root, path)).st_size == size:
                    if self._told is not None:
                        self._told(size)
                    return
            except FileNotFoundError:
                pass
            with self._replacing(path) as out:
                pour(file, out, size, self._told)

    def finish(self) -> None:
        """Write the small files, in the order they came, so the index after all that it names."""
        for path, data in self._last.items():
            with self._replacing(path) as file:
                file.write(data)

    @contextmanager
    def _replacing(self, path: str) -> Iterator[BinaryIO]:
        target = os.path.join(self._root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with replacing(target) as file:
            yield file


def pour(source: BinaryIO, target: BinaryIO, size: int, told: Told | None = None) -> None:
    """Copy `size` bytes, inside the kernel where it can. Raises OSError when the source is shorter.

    `told` hears of them as they are copied.
    """
    target.flush()
    left = size
    try:
        into = target.fileno()
    except (OSError, AttributeError):
        into = -1
    for copy in (_copy_range, _send) if into >= 0 else ():
        try:
            while left and (done := copy(into, source.fileno(), left)):
                left -= done
                if told is not None:
                    told(done)
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise
    while left and (data := source.read(min(left, _CHUNK))):
        target.write(data)
        left -= len(data)
        if told is not None:
            told(len(data))
    if left:
        raise OSError(f"{source.name} became shorter while it was read")


def _copy_range(into: int, out_of: int, size: int) -> int:
    return os.copy_file_range(out_of, into, min(size, _AT_ONCE))


def _send(into: int, out_of: int, size: int) -> int:
    return os.sendfile(into, out_of, None, min(size, _AT_ONCE))


def _errnos() -> frozenset[int]:
    import errno

    return frozenset(
        {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM, errno.ETXTBSY}
    )


_NOT_POSSIBLE = _errnos()

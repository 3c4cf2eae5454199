"""Tar archives as build contexts: recognised by their content, unpacked while they are read.

Names count from the folder that they are unpacked into, and no member gets out of it: names
with `..` that climb, and names that lead through a symlink of the archive, are refused.
"""

from __future__ import annotations

import os
import stat
from posixpath import normpath
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jettison.errors import Cancelled, SourceError
from jettison.oci.expansion import FREE, Expanding
from jettison.request import Reader

if TYPE_CHECKING:
    import tarfile
    import threading

_HEAD = 512
_CHUNK = 1 << 20
_GZIP, _BZIP2, _XZ, _ZSTD = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"


class Peeked:
    """A stream whose first bytes, `head`, were looked at. It need not be one that can be sought in."""

    def __init__(self, stream: Reader) -> None:
        self._stream = stream
        self._ahead = b""
        self.size = 0
        """Bytes that came so far."""
        self.head = self._ahead = self._exactly(_HEAD)

    def read(self, size: int = -1) -> bytes:
        """That many bytes, fewer only at the end; all when it is negative."""
        if size >= 0:
            return self._exactly(size)
        parts = []
        while data := self._exactly(_CHUNK):
            parts.append(data)
        return b"".join(parts)

    def _exactly(self, size: int) -> bytes:
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if len(data) == size:
            return data
        parts, missing = [data], size - len(data)
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
            self.size += len(part)
        return b"".join(parts)


def is_archive(head: bytes) -> bool:
    """Whether the first 512 bytes of something are those of a tar, or of anything compressed."""
    return head.startswith((_GZIP, _BZIP2, _XZ, _ZSTD)) or _is_tar(head)


def unpack(stream: Peeked, folder: str, what: str, cancel: threading.Event | None = None) -> None:
    """Unpack an archive, plain or compressed with gzip, bzip2, xz or zstd, into an empty folder.

    Nothing is held in memory. Modes and times are kept, owners and extended attributes are not, as COPY
    takes neither from a build context. Devices are left out. `what` names the archive in messages. Raises
    SourceError for one that is damaged or would write elsewhere, and Cancelled.
    """
    import tarfile

    from jettison.oci.members import CarefulMember

    class Strict(CarefulMember):
        """tarfile takes rubbish behind the first member for the end of an archive."""

        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> Any:
            try:
                return super().fromtarfile(archive)
            except (
                tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
                tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
            ) as error:
                raise _damaged(what, error) from error

    try:
        plain = cast(Any, Expanding(_decompressed(stream), lambda: stream.size, what))
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=Strict, errors="surrogateescape") as archive:
            unpacking = _Unpacking(archive, folder, what, cancel)
            while (member := archive.next()) is not None:
                unpacking.take(member)
                # tarfile keeps every member it has seen, for seeking that is not done here.
                cast(Any, archive).members = []
            unpacking.finish()
    except (SourceError, Cancelled):
        raise
    except OSError as error:
        # Those of decompressors have no number; others are about this machine's disk.
        if error.errno is not None:
            raise
        raise _damaged(what, error) from error
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise _damaged(what, error) from error
    except Exception as error:
        if type(error).__name__ in ("ZstdError", "LZMAError", "error"):
            raise _damaged(what, error) from error
        raise


def _is_tar(head: bytes) -> bool:
    if len(head) < _HEAD or not any(head):
        return False
    if head[257:262] == b"ustar":
        return True
    import tarfile

    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _decompressed(stream: Peeked) -> Reader:
    source, head = cast(Any, stream), stream.head
    if head.startswith(_GZIP):
        import gzip

        return gzip.GzipFile(fileobj=source, mode="rb")
    if head.startswith(_BZIP2):
        import bz2

        return bz2.BZ2File(source)
    if head.startswith(_XZ):
        import lzma

        return lzma.LZMAFile(source)
    if head.startswith(_ZSTD):
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
    return stream


class _Unpacking:
    """One archive on its way to a folder that nobody else writes to."""

    def __init__(
        self, archive: tarfile.TarFile, folder: str, what: str, cancel: threading.Event | None
    ) -> None:
        self._archive = archive
        self._folder = folder
        self._what = what
        self._cancel = cancel
        self._sparse = 0
        self._folders: dict[str, tuple[int, int] | None] = {"": None}
        """The directories that are there, with mode and time (ns) if the archive gives them."""

    def take(self, member: tarfile.TarInfo) -> None:
        """Unpack the member that the archive is at."""
        self._look()
        name = self._inside(member.name, member.name)
        if member.isdir():
            self._make_folder(name, member)
            return
        if not name or member.ischr() or member.isblk():
            return
        path = self._clear(name)
        if member.isreg():
            self._write(path, member)
        elif member.issym():
            os.symlink(member.linkname, path)
            os.utime(path, ns=(_time(member), _time(member)), follow_symlinks=False)
        elif member.islnk():
            self._link(path, member)
        elif member.isfifo():
            os.mkfifo(path)
            os.chmod(path, member.mode & 0o7777)
            os.utime(path, ns=(_time(member), _time(member)))

    def finish(self) -> None:
        """Set modes and times of directories, which stay writable, and change, while they are filled."""
        for name, known in reversed(self._folders.items()):
            if known is not None:
                mode, time_ns = known
                path = f"{self._folder}/{name}"
                os.chmod(path, mode)
                os.utime(path, ns=(time_ns, time_ns))

    def _look(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("the build was stopped")

    def _inside(self, name: str, member: str) -> str:
        clean = normpath(name.lstrip("/") or ".")
        if clean == ".." or clean.startswith("../") or "\0" in clean:
            raise self._hostile(member, "leads out of the build context")
        return "" if clean == "." else clean

    def _hostile(self, member: str, why: str) -> SourceError:
        return SourceError(
            f"{self._what}: the archive member {member!r} {why}",
            hint="such an archive is broken or hostile; make it anew with tar",
        )

    def _make_folder(self, name: str, member: tarfile.TarInfo | None) -> None:
        """Make a directory and those above it. Raises SourceError when a symlink or a file is in the way."""
        missing = []
        above = name
        while above not in self._folders:
            missing.append(above)
            above = above.rpartition("/")[0]
        for folder in reversed(missing):
            self._make_one(folder, replace=folder == name and member is not None)
        if member is not None and name:
            self._folders[name] = (member.mode & 0o7777, _time(member))

    def _make_one(self, name: str, *, replace: bool) -> None:
        path = f"{self._folder}/{name}"
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if not replace:
                raise self._hostile(name, "is no directory, but other members are below it") from None
            os.unlink(path)
            os.mkdir(path, 0o755)
        self._folders[name] = None

    def _clear(self, name: str) -> str:
        """The path for a member that is no directory: its parent is there, what was in its place is not."""
        parent = name.rpartition("/")[0]
        if parent not in self._folders:
            self._make_folder(parent, None)
        path = f"{self._folder}/{name}"
        if name in self._folders:
            from jettison.store.temporary import remove_tree

            remove_tree(path)
            below = name + "/"
            self._folders = {
                known: value
                for known, value in self._folders.items()
                if known != name and not known.startswith(below)
            }
        elif os.path.lexists(path):
            os.unlink(path)
        return path

    def _write(self, path: str, member: tarfile.TarInfo) -> None:
        if member.issparse():
            self._sparse += member.size
            if self._sparse > FREE:
                raise self._hostile(member.name, f"and other sparse files have more than {FREE >> 30} GiB")
        content = cast(BinaryIO, self._archive.extractfile(member))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "wb") as out:
            while data := content.read(_CHUNK):
                self._look()
                out.write(data)
            out.flush()
            os.fchmod(out.fileno(), member.mode & 0o7777)
            os.utime(out.fileno(), ns=(_time(member), _time(member)))

    def _link(self, path: str, member: tarfile.TarInfo) -> None:
        """A hard link: one more name of a member that came before."""
        target = self._inside(member.linkname, member.name)
        there = f"{self._folder}/{target}"
        known = target.rpartition("/")[0] in self._folders and target not in self._folders
        if not known or not os.path.lexists(there):
            raise self._hostile(member.name, f"is a hard link to {member.linkname!r}, which is not there")
        if stat.S_ISDIR(os.lstat(there).st_mode):
            raise self._hostile(member.name, "is a hard link to a directory")
        os.link(there, path, follow_symlinks=False)


def _time(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime", "")
    whole, _, rest = text.partition(".")
    if whole.isdecimal() and (not rest or rest.isdecimal()):
        return int(whole) * 1_000_000_000 + int(rest[:9].ljust(9, "0"))
    return int(member.mtime) * 1_000_000_000


def _damaged(what: str, error: Exception) -> SourceError:
    return SourceError(
        f"{what} cannot be unpacked: {error or 'it is damaged'}",
        hint="send a tar (plain, or compressed with gzip, bzip2, xz or zstd) of a folder",
    )

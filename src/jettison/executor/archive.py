"""ADD of a local archive: found by its content, and unpacked into the plan of a layer.

No name and no link of an archive reaches out of the image: names are taken
below the destination, and symlinks on the way are resolved inside the image.
"""

from __future__ import annotations

import posixpath
from contextlib import ExitStack
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from jettison.errors import SourceError
from jettison.executor.place import Content, Item, Plan
from jettison.oci.expansion import FREE, Expanding
from jettison.store.base import Entry, FileTree, Node
from jettison.store.resolve import resolve

if TYPE_CHECKING:
    import tarfile

_BLOCK = 512
_CHUNK = 1 << 20
_XATTR = "SCHILY.xattr."


def open_archive(
    tree: FileTree, path: str, node: Node, closing: ExitStack, spool: str = ""
) -> tarfile.TarFile | None:
    """The archive in a file, or None when it is none. It stays open until `closing` ends.

    Tar is recognised plain and compressed with gzip, bzip2, xz and zstd, whatever the
    file's name. A compressed archive is decompressed once, into an unnamed file in the
    folder `spool` ("": where temporary files are).
    """
    import tarfile

    stream = open(node.file, "rb") if node.file is not None else tree.open(path)  # noqa: SIM115
    closing.callback(stream.close)
    opened = _decompressed(stream)
    if opened is None:
        return None
    closing.callback(opened.close)
    try:
        first = _read_exactly(opened, _BLOCK)
    except Exception:
        return None
    if not _is_header(first):
        return None
    if opened is stream and stream.seekable():
        stream.seek(0)
        seekable = stream
    else:
        watched = Expanding(opened, lambda: node.size, f"the archive {path}")
        seekable = _spool(first, watched, path, closing, spool)
    from jettison.oci.members import CarefulMember

    try:
        archive = tarfile.open(  # noqa: SIM115
            fileobj=seekable, mode="r:", errors="surrogateescape", tarinfo=CarefulMember
        )
    except tarfile.TarError as error:
        raise _damaged(path, error) from error
    closing.callback(archive.close)
    return archive


def place_archive(archive: tarfile.TarFile, plan: Plan, dest: str, owner: tuple[int, int] | None) -> None:
    """Plan all members of an archive below `dest`, over what is there. `owner` takes the place of theirs.

    Raises SourceError for a damaged archive, and for a member that would land outside of the destination.
    """
    import tarfile

    count = holes = 0
    try:
        for member in archive:
            count += 1
            if member.issparse():
                # tarfile keeps no sum of what is stored; what is not is zeros to be written out.
                holes += member.size
                if holes > FREE:
                    raise SourceError(f"the archive has sparse files of more than {FREE >> 30} GiB")
            name = _inside(member.name)
            if name:
                _place(archive, member, plan, dest, name, owner, count)
    except (tarfile.TarError, ValueError) as error:
        raise _damaged(str(archive.name), error) from error


def _place(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    plan: Plan,
    dest: str,
    name: str,
    owner: tuple[int, int] | None,
    number: int,
) -> None:
    whole = f"{dest}/{name}" if dest else name
    folder, _, base = whole.rpartition("/")
    there = plan.planned(folder)
    if there is None or there.entry.kind != "dir":
        folder = resolve(plan, folder)
    plan.make_dirs(folder)
    path = f"{folder}/{base}" if folder else base
    if member.islnk():
        _place_link(plan, member, dest, path)
        return
    kind = _kind(member)
    if kind is None:
        return
    uid, gid = owner or (member.uid, member.gid)
    mode = 0o777 if kind == "symlink" else member.mode & 0o7777
    size = member.size if kind == "file" else 0
    link = member.linkname if kind == "symlink" else ""
    device = (member.devmajor, member.devminor) if kind in ("char", "block") else (0, 0)
    xattrs = _xattrs(member)
    entry = Entry(path, kind, mode, uid, gid, _mtime(member), size, link, device, xattrs)
    if kind == "dir":
        plan.put_dir(entry, replace=True)
        return
    content: Content = None
    if kind == "file":
        content = partial(_extract, archive, member)
    plan.put(Item(entry, content, ("archive", id(archive), number) if kind == "file" else None), replace=True)


def _place_link(plan: Plan, member: tarfile.TarInfo, dest: str, path: str) -> None:
    """A hard link: one more name of a member that came before, or of a file that was there."""
    name = _inside(member.linkname)
    whole = f"{dest}/{name}" if dest else name
    folder, _, base = whole.rpartition("/")
    folder = resolve(plan, folder)
    target = f"{folder}/{base}" if folder else base
    item = plan.planned(target)
    if item is None:
        node = plan.lookup(target)
        if node is None or node.kind in ("dir", "socket"):
            raise SourceError(
                f"the archive member {member.name} is a hard link to {member.linkname}, which is not there",
                hint="the archive is incomplete, or its members are in the wrong order",
            )
        item = _existing(plan, target, node)
    entry, content, identity = item
    if target == path:
        return
    moved = Entry(
        path, entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime_ns,
        entry.size, entry.link, entry.device, entry.xattrs,
    )  # fmt: skip
    plan.put(Item(moved, content, identity), replace=True)


def _existing(plan: Plan, path: str, node: Node) -> Item:
    kind = cast(Literal["file", "symlink", "char", "block", "fifo"], node.kind)
    entry = Entry(
        path, kind, node.mode, node.uid, node.gid, node.mtime_ns,
        node.size, node.link, node.device, plan.base.xattrs(path),
    )  # fmt: skip
    return Item(entry, partial(plan.base.open, path) if kind == "file" else None)


def _inside(name: str) -> str:
    """A member's name below the destination ("" is that itself). Raises SourceError when it leaves it."""
    clean = posixpath.normpath(name.lstrip("/") or ".")
    if clean == ".." or clean.startswith("../"):
        raise SourceError(
            f"the archive member {name!r} would be unpacked outside of the destination",
            hint="such an archive is broken or hostile; use COPY to take it as a file",
        )
    return "" if clean == "." else clean


def _kind(member: tarfile.TarInfo) -> Literal["file", "dir", "symlink", "char", "block", "fifo"] | None:
    if member.isreg():
        return "file"
    if member.isdir():
        return "dir"
    if member.issym():
        return "symlink"
    if member.isfifo():
        return "fifo"
    if member.ischr():
        return "char"
    return "block" if member.isblk() else None


def _mtime(member: tarfile.TarInfo) -> int:
    text = member.pax_headers.get("mtime")
    if text is not None:
        try:
            return int(Decimal(text) * 1_000_000_000)
        except (InvalidOperation, ValueError, OverflowError):
            pass
    return int(member.mtime) * 1_000_000_000


def _xattrs(member: tarfile.TarInfo) -> tuple[tuple[str, bytes], ...]:
    return tuple(
        sorted(
            (key.removeprefix(_XATTR), value.encode("utf-8", "surrogateescape"))
            for key, value in member.pax_headers.items()
            if key.startswith(_XATTR)
        )
    )


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    stream = archive.extractfile(member)
    if stream is None:
        raise AssertionError(f"{member.name} is no file")
    return cast(BinaryIO, stream)


def _decompressed(stream: BinaryIO) -> BinaryIO | None:
    """The stream behind the compression that a file's first bytes tell of, or the stream itself."""
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith(b"\x1f\x8b\x08"):
        import gzip

        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if magic.startswith(b"BZh"):
        import bz2

        return cast(BinaryIO, bz2.BZ2File(stream))
    if magic.startswith(b"\xfd7zXZ\x00"):
        import lzma

        return cast(BinaryIO, lzma.LZMAFile(stream))
    if magic.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        return cast(BinaryIO, zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
    return stream if magic else None


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = stream.read(size - len(data))
        if not part:
            break
        data += part
    return data


def _is_header(block: bytes) -> bool:
    """Whether 512 bytes are the header of a tar member: its checksum tells."""
    if len(block) < _BLOCK or not any(block):
        return False
    import tarfile

    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def _spool(first: bytes, stream: Expanding, path: str, closing: ExitStack, folder: str) -> BinaryIO:
    import tempfile

    file = cast(BinaryIO, closing.enter_context(tempfile.TemporaryFile(dir=folder or None)))  # noqa: SIM115
    file.write(first)
    try:
        while data := stream.read(_CHUNK):
            file.write(data)
    except SourceError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(path, error) from error
    except Exception as error:
        raise _damaged(path, error) from error
    file.seek(0)
    return file


def _damaged(path: str, error: Exception) -> SourceError:
    return SourceError(
        f"the archive {path} is damaged: {error}",
        hint="make it again, or use COPY to take it as a file",
    )

"""The headers of tar archives as layers hold them: POSIX ustar, with pax records where its fields are too
small.

Read are also GNU long names and base-256 numbers. Names are relative, and have neither
a leading slash nor dot segments; whiteouts are entries of their own kind (OCI image-spec, Layer:
Representing Changes).
"""

from __future__ import annotations

import os

from jettison.errors import StoreError
from jettison.store.base import Entry, Kind

BLOCK = 512
END = b"\0" * (2 * BLOCK)
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_META = ".wh..wh."
_XATTR = b"SCHILY.xattr."
_TYPES: dict[str, bytes] = {
    "file": b"0", "hardlink": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6",
    "whiteout": b"0", "opaque": b"0",
}  # fmt: skip
_KINDS: dict[bytes, Kind] = {
    b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink", b"3": "char", b"4": "block",
    b"5": "dir", b"6": "fifo",
}  # fmt: skip
_MAGIC = b"ustar\x0000"
_OWNER_NAMES = bytes(64)


def padding(size: int) -> bytes:
    """What follows a content of `size` bytes up to the next block."""
    return bytes(-size % BLOCK)


def tar_name(entry: Entry) -> str:
    """The name that an entry has in an archive."""
    if entry.kind == "dir":
        return entry.path + "/"
    if entry.kind == "whiteout":
        folder, slash, name = entry.path.rpartition("/")
        return f"{folder}{slash}{WHITEOUT}{name}"
    if entry.kind == "opaque":
        return f"{entry.path}/{OPAQUE}" if entry.path else OPAQUE
    return entry.path


def header(entry: Entry) -> bytes:
    """The header blocks of an entry: a pax header if one is needed, then the ustar header."""
    name = os.fsencode(tar_name(entry))
    link = os.fsencode(entry.link) if entry.kind in ("symlink", "hardlink") else b""
    records: list[tuple[bytes, bytes]] = []
    prefix, short = _split(name)
    if short is None:
        records.append((b"path", name))
        prefix, short = b"", name[:100]
    if len(link) > 100 or not link.isascii():
        records.append((b"linkpath", link))
        link = link[:100]
    size = entry.size if entry.kind == "file" else 0
    seconds, nanoseconds = divmod(entry.mtime_ns, 10**9)
    if nanoseconds or not 0 <= seconds < 1 << 33:
        records.append((b"mtime", _decimal(seconds, nanoseconds)))
        seconds = min(max(seconds, 0), (1 << 33) - 1)
    numbers = []
    for key, value, limit in (
        (b"uid", entry.uid, 1 << 21),
        (b"gid", entry.gid, 1 << 21),
        (b"size", size, 1 << 33),
    ):
        if value >= limit:
            records.append((key, b"%d" % value))
            value = 0
        numbers.append(value)
    records += [(_XATTR + os.fsencode(key), value) for key, value in sorted(entry.xattrs)]
    uid, gid, size = numbers
    block = _ustar(
        short, entry.mode & 0o7777, uid, gid, size, seconds, _TYPES[entry.kind], link, entry.device, prefix
    )
    return _pax(name, records) + block if records else block


_FILE_REST = b"0" + bytes(100) + _MAGIC + _OWNER_NAMES + b"0000000\x000000000\0" + bytes(167)
_FILE_SUM = sum(_FILE_REST) + 256


def file_header(path: str, mode: int, uid: int, gid: int, size: int, seconds: int) -> bytes:
    """What `header` gives for a file without attributes, and much faster where no pax header is needed."""
    if (
        len(path) > 100 or not path.isascii() or size >= 1 << 33 or not 0 <= seconds < 1 << 33
        or uid >= 1 << 21 or gid >= 1 << 21
    ):  # fmt: skip
        return header(Entry(path, "file", mode, uid, gid, seconds * 10**9, size))
    name = path.encode()
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, uid, gid, size, seconds)
    return b"%b%b%06o\0 %b" % (
        name.ljust(100, b"\0"), numbers, sum(name) + sum(numbers) + _FILE_SUM, _FILE_REST,
    )  # fmt: skip


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """Prefix and name for the ustar fields; None for a name when it needs a pax record."""
    if not name.isascii():
        return b"", None
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(len(name) - 1, 156))
    if cut <= 0 or len(name) - cut - 1 > 100:
        return b"", None
    return name[:cut], name[cut + 1 :]


def _decimal(seconds: int, nanoseconds: int) -> bytes:
    if seconds < 0 and nanoseconds:
        seconds, nanoseconds = seconds + 1, 10**9 - nanoseconds
        sign = b"-" if seconds == 0 else b""
    else:
        sign = b""
    if not nanoseconds:
        return b"%d" % seconds
    return b"%s%d.%s" % (sign, seconds, (b"%09d" % nanoseconds).rstrip(b"0"))


def _ustar(
    name: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, kind: bytes, link: bytes,
    device: tuple[int, int], prefix: bytes,
) -> bytes:  # fmt: skip
    start = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    rest = b"%b%b%b%b%07o\0%07o\0%b" % (
        kind, link.ljust(100, b"\0"), _MAGIC, _OWNER_NAMES, device[0], device[1], prefix.ljust(167, b"\0"),
    )  # fmt: skip
    return b"%b%06o\0 %b" % (start, sum(start) + sum(rest) + 256, rest)


def _pax(name: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    """The extended header block with its records (POSIX pax, Extended Header)."""
    if any(key in (b"path", b"linkpath") and not _is_utf8(value) for key, value in records):
        records = [(b"hdrcharset", b"BINARY"), *records]
    body = b"".join(_record(key, value) for key, value in records)
    short = b"PaxHeaders.0/" + name.rstrip(b"/").rpartition(b"/")[2][:80]
    if not short.isascii():
        short = b"PaxHeaders.0/entry"
    block = _ustar(short, 0, 0, 0, len(body), 0, b"x", b"", (0, 0), b"")
    return block + body + padding(len(body))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _record(key: bytes, value: bytes) -> bytes:
    bare = len(key) + len(value) + 3
    size = bare + len(str(bare))
    if len(str(size)) != len(str(bare)):
        size += 1
    return b"%d %b=%b\n" % (size, key, value)


def parse_pax(body: bytes) -> dict[bytes, bytes]:
    """The records of an extended header. Raises StoreError when it is malformed."""
    out: dict[bytes, bytes] = {}
    at = 0
    while at < len(body) and body[at]:
        space = body.find(b" ", at, at + 20)
        digits = body[at:space]
        size = int(digits) if space > 0 and digits.isdigit() else 0
        record = body[space + 1 : at + size]
        key, equals, value = record[:-1].partition(b"=")
        if not size or at + size > len(body) or not equals or record[-1:] != b"\n":
            raise StoreError("the archive has a malformed pax header")
        out[key] = value
        at += size
    return out


def number(field: bytes) -> int:
    """A numeric field: octal text, or base 256 as GNU tar writes it."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False)
        bits = 8 * len(field)
        # The top bit marks the form; the one below it is the sign.
        value &= (1 << (bits - 1)) - 1
        return value - (1 << (bits - 1)) if value >> (bits - 2) else value
    text = field.strip(b" \0").partition(b"\0")[0]
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise StoreError("the archive has a malformed number in a header") from None


def checksum_fits(block: bytes) -> bool:
    """Whether a header block carries its own checksum (unsigned, or signed as very old tars wrote it)."""
    try:
        stored = number(block[148:156])
    except StoreError:
        return False
    total = sum(block) - sum(block[148:156]) + 256
    if stored == total:
        return True
    return stored == total - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127)


def parse(block: bytes, pax: dict[bytes, bytes]) -> tuple[Entry | None, int]:
    """The entry of a header block with its pax records, and the bytes of content that follow in the archive.

    None for what is no entry of a layer (other tools' own markers, unknown types).
    """
    kind = _KINDS.get(block[156:157])
    size = int(pax[b"size"]) if b"size" in pax else number(block[124:136])
    if size < 0:
        raise StoreError("the archive has an entry of negative size")
    if kind is None:
        return None, size
    raw = pax.get(b"path") or _name_of(block)
    link = pax.get(b"linkpath")
    if link is None:
        link = block[157:257].partition(b"\0")[0]
    if kind == "file" and raw.endswith(b"/"):
        kind = "dir"  # how archives older than POSIX mark directories
    stored = size if kind == "file" else 0
    # A hard link with a size is followed by content only in pax's own interchange; layers have none.
    path = clean(os.fsdecode(raw))
    target = os.fsdecode(link)
    if kind == "symlink" and not target:
        raise StoreError(f"the archive has a symlink that leads nowhere: {path!r}")
    if kind == "hardlink":
        target = clean(target)
    folder, _, name = path.rpartition("/")
    if name.startswith(WHITEOUT):
        return _marker(folder, name), stored
    device = (number(block[329:337]), number(block[337:345])) if kind in ("char", "block") else (0, 0)
    xattrs = (
        [(os.fsdecode(k[len(_XATTR) :]), v) for k, v in pax.items() if k.startswith(_XATTR)] if pax else ()
    )
    entry = Entry(
        path, kind, number(block[100:108]) & 0o7777,
        int(pax[b"uid"]) if b"uid" in pax else number(block[108:116]),
        int(pax[b"gid"]) if b"gid" in pax else number(block[116:124]),
        _time(pax[b"mtime"]) if b"mtime" in pax else number(block[136:148]) * 10**9,
        stored, target if kind in ("symlink", "hardlink") else "", device, tuple(sorted(xattrs)),
    )  # fmt: skip
    return entry, stored


def _marker(folder: str, name: str) -> Entry | None:
    if name == OPAQUE:
        return Entry(folder, "opaque")
    if name.startswith(_META) or name == WHITEOUT or name[len(WHITEOUT) :] in (".", ".."):
        return None
    path = name[len(WHITEOUT) :]
    return Entry(f"{folder}/{path}" if folder else path, "whiteout")


def _name_of(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # Only POSIX archives have the prefix; GNU ones keep other things there.
    if block[257:263] == b"ustar\0" and block[345]:
        return block[345:500].partition(b"\0")[0] + b"/" + name
    return name


def _time(text: bytes) -> int:
    try:
        whole, _, part = text.decode("ascii").partition(".")
        fraction = int((part + "000000000")[:9])
        seconds = int(whole) * 10**9
    except ValueError:
        raise StoreError("the archive has a malformed time in a pax header") from None
    return seconds - fraction if whole.startswith("-") else seconds + fraction


def clean(name: str) -> str:
    """A name relative to the root, without dot segments. Raises StoreError for one that leads out of it."""
    if not name.startswith(("/", "./", "../")) and "//" not in name and "/." not in name:
        name = name.removesuffix("/")
        if name not in (".", ".."):
            return name
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise StoreError(
                    f"the archive has an entry outside of its root: {name!r}",
                    hint="it was made wrongly, or to do harm; it is not unpacked",
                )
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)

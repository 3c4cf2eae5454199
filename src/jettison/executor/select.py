"""Which files of its source a COPY takes, and a digest over all of them that can change the layer."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jettison.dataclass import dataclass
from jettison.dockerfile.dockerignore import Matcher, make_patterns
from jettison.dockerfile.glob import match
from jettison.errors import NotFound
from jettison.executor.mode import ModeChange, parse_mode
from jettison.executor.walk import Found, Scanning, descend, join, names, unreadable, walk
from jettison.graph.ops import CopyOp
from jettison.sources.memo import Memo
from jettison.store import listings
from jettison.store.base import FileTree, Node
from jettison.store.listings import Sources
from jettison.store.resolve import resolve

if TYPE_CHECKING:
    from jettison.events import Pace


@dataclass(frozen=True, slots=True)
class Source:
    """One thing that COPY was asked to take.

    `path` is where it is, with all symlinks resolved. `target` is its path below
    the destination: the name of a file, "" for a directory (whose contents are
    taken), and with --parents the whole path behind the pivot. --exclude
    counts from `root`. `nested` says that a directory itself arrives too.
    """

    path: str
    target: str
    node: Node
    root: str
    nested: bool = False


@runtime_checkable
class Scanned(Scanning, Protocol):
    """A FileTree over a folder that others may change: keeps what it saw."""

    def stat(self, file: str) -> os.stat_result: ...


@runtime_checkable
class Ignoring(Protocol):
    """A FileTree that can tell why something isn't in it."""

    def ignored_by(self, path: str) -> str | None: ...


def selection(op: CopyOp, tree: FileTree) -> list[Source]:
    """The sources of a COPY, in the order they are copied in.

    A pattern may match nothing. Raises NotFound where a plain name or the folder of a pattern isn't there.
    """
    found: list[Source] = []
    for text in op.paths:
        pivot, path = _split_pivot(text) if op.parents else ("", _clean(text))
        if op.literal or not is_pattern(path, op.parents):
            found += _named(op, tree, text, pivot, path)
        elif op.parents:
            found += _matches_below(op, tree, pivot, path)
        else:
            found += _matches(op, tree, text, path)
    return found


def is_pattern(path: str, parents: bool = False) -> bool:
    """Whether a source has a wildcard (Go's filepath.Match: `*`, `?`, `[`; a backslash takes it away)."""
    at = 0
    while at < len(path):
        if path[at] == "\\":
            at += 1
        elif path[at] in "*?[":
            return True
        at += 1
    return False


def contents(source: Source, op: CopyOp, tree: FileTree) -> Iterator[Found]:
    """All that is below a source that is a directory, directories first, without what --exclude drops."""
    matcher = exclusion(op)
    prefix = f"{source.target}/" if source.target else ""
    shift = len(source.root) + 1 if source.root else 0
    yield from walk(tree, source.path, prefix, matcher, shift)


def exclusion(op: CopyOp) -> Matcher | None:
    """The matcher for --exclude, or None when there is none."""
    return Matcher(make_patterns(op.exclude)) if op.exclude else None


def parents_of(source: Source, tree: FileTree) -> Iterator[Found]:
    """The directories that --parents brings along with a source, outermost first."""
    parts = source.target.split("/")[:-1]
    path = source.root
    for count, part in enumerate(parts, 1):
        target = "/".join(parts[:count])
        path = join(path, part)
        node = tree.lookup(path)
        if node is not None and node.kind == "symlink":
            path = resolve(tree, path)
            node = tree.lookup(path)
        if node is not None and node.kind == "dir":
            yield Found(path, target, node)


Keep = Callable[[Sources, Sequence[bytes], str], None]
"""Takes the sources, the rows and the digest of a listing."""


def content_digest(
    op: CopyOp, tree: FileTree, memo: Memo, keep: Keep | None = None, pace: Pace | None = None
) -> str:
    """A digest over everything in the source that can change the layer of a COPY. Times are no part of it.

    Modes and owners count as they arrive: `--chmod=644` makes a 664 and a 644 equal. `keep` may keep the
    listing that the digest is of; `pace` tells how far the reading is.
    Raises NotFound for a source that isn't there, SourceError for a file that cannot be read.
    """
    change = parse_mode(op.mode) if op.mode else None
    sources = selection(op, tree)
    rows = listings.heads((source.target, source.nested, source.node.kind) for source in sources)
    files: list[str] = []
    places: list[int] = []
    links: dict[tuple[int, int], str] = {}
    for number, source in enumerate(sources):
        for item in _everything(source, op, tree):
            node, link = item.node, item.node.link
            digest = b""
            if node.kind == "file":
                if node.identity is not None:
                    first = links.setdefault(node.identity, item.path)
                    link = first if first != item.path else ""
                if node.file is not None:
                    files.append(node.file)
                    places.append(len(rows))
                else:
                    digest = _hash_stream(tree, item.path)
            rows.append(_row(item, number, op, tree, change, link, digest))
    stat = tree.stat if isinstance(tree, Scanned) else os.lstat
    try:
        digests = memo.hashes(files, stat, pace)
    except OSError as error:
        raise unreadable(error) from error
    for at, digest in zip(places, digests, strict=True):
        rows[at] += digest
    listing = listings.ListingWriter()
    listing.add(rows)
    if keep is not None:
        keep([_base(op, source) for source in sources], rows, listing.digest())
    return listing.digest()


def _base(op: CopyOp, source: Source) -> tuple[str, bool]:
    if op.parents:
        return source.root, True
    return source.path, source.node.kind == "dir"


def _everything(source: Source, op: CopyOp, tree: FileTree) -> Iterator[Found]:
    if op.parents:
        yield from parents_of(source, tree)
    if source.node.kind != "dir" or source.nested:
        yield Found(source.path, source.target, source.node)
    if source.node.kind == "dir":
        yield from contents(source, op, tree)


def _row(
    item: Found, number: int, op: CopyOp, tree: FileTree, change: ModeChange | None, link: str, digest: bytes
) -> bytes:
    node = item.node
    if node.kind == "symlink":
        mode = 0
    else:
        mode = change(node.mode, node.kind == "dir") if change is not None else node.mode
    owner = f"{node.uid}:{node.gid}" if op.keep_owner and op.owner is None else ""
    if node.kind in ("char", "block"):
        link = f"{node.device[0]}:{node.device[1]}"
    xattrs = ""
    if op.context is None and (found := tree.xattrs(item.path)):
        xattrs = json.dumps([[name, value.hex()] for name, value in found])
    return listings.row(number, item.target, node.kind, mode, owner, link, xattrs, digest)


def _hash_stream(tree: FileTree, path: str) -> bytes:
    from hashlib import file_digest

    with tree.open(path) as stream:
        return file_digest(stream, "sha256").digest()  # type: ignore[arg-type]


def _clean(text: str) -> str:
    return posixpath.normpath("/" + text).lstrip("/")


def _split_pivot(text: str) -> tuple[str, str]:
    """What stands before and behind `/./`; a leading `./` is no pivot."""
    rest = text.removeprefix("./")
    before, mark, behind = rest.partition("/./")
    return (_clean(before), _clean(behind)) if mark else ("", _clean(rest))


def _named(op: CopyOp, tree: FileTree, text: str, pivot: str, path: str) -> list[Source]:
    root = resolve(tree, pivot) if pivot else ""
    whole = join(root, path)
    real = resolve(tree, whole)
    node = tree.lookup(real)
    if node is None:
        raise _missing(op, tree, text, whole)
    if op.parents and path:
        return [Source(real, path, node, root, nested=node.kind == "dir")]
    if node.kind == "dir":
        return [Source(real, "", node, real)]
    return [Source(real, path.rpartition("/")[2], node, real)]


def _matches(op: CopyOp, tree: FileTree, text: str, pattern: str) -> list[Source]:
    """What a pattern matches, segment by segment. What stands before the first wildcard follows symlinks.

    It may match nothing, but what it is looked for in has to be there.
    """
    segments = pattern.split("/")
    plain = 0
    while not is_pattern(segments[plain]):
        plain += 1
    folder = resolve(tree, "/".join(segments[:plain]))
    if folder and tree.lookup(folder) is None:
        raise _missing(op, tree, text, "/".join(segments[:plain]))
    level = [folder]
    for segment in segments[plain:]:
        level = [
            join(folder, name) for folder in level for name in names(tree, folder) if match(segment, name)
        ]
    matcher = exclusion(op)
    found = []
    for path in level:
        name = path.rpartition("/")[2]
        if matcher is not None and matcher.ignored(name):
            continue
        real = resolve(tree, path)
        node = tree.lookup(real)
        if node is None:
            raise _missing(op, tree, path, path)
        if node.kind == "dir":
            found.append(Source(real, "", node, real))
        else:
            found.append(Source(real, name, node, real))
    return found


def _matches_below(op: CopyOp, tree: FileTree, pivot: str, pattern: str) -> list[Source]:
    """The same for --parents, where `**` stands for any number of directories, also none."""
    root = resolve(tree, pivot) if pivot else ""
    matcher = exclusion(op)
    targets: dict[str, None] = {}
    descend(tree, root, pattern.split("/"), targets)
    found = []
    for target in targets:
        node = tree.lookup(join(root, target))
        if node is None or (matcher is not None and matcher.ignored(target)):
            continue
        found.append(Source(join(root, target), target, node, root, nested=node.kind == "dir"))
    return found


def _missing(op: CopyOp, tree: FileTree, text: str, path: str) -> NotFound:
    if op.context is None:
        flag, where = " --from", "what it copies from"
    else:
        flag, where = "", f"the build context {op.context!r}" if op.context else "the build context"
    if isinstance(tree, Ignoring) and (line := tree.ignored_by(path)) is not None:
        hint = f"it is there, but {line} excludes it"
        return NotFound(f'COPY{flag}: "{text}" not found in {where}', hint=hint)
    node = tree.lookup(path)
    if node is not None and node.kind == "symlink":
        hint = f"{path} is a symlink to {node.link}, and that is not in {where}: copy the file itself"
        return NotFound(f'COPY{flag}: "{text}" not found in {where}', hint=hint)
    return NotFound(f'COPY{flag}: "{text}" not found in {where}', hint=_nearest(tree, path))


def _nearest(tree: FileTree, path: str) -> str | None:
    """The first part of a path that is missing, and what is there with a similar name."""
    from difflib import get_close_matches

    folder = ""
    for name in path.split("/"):
        near = resolve(tree, join(folder, name))
        if tree.lookup(near) is not None:
            folder = near
            continue
        there = names(tree, folder)
        folded = {other.lower(): other for other in there}
        close = get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
        if close:
            return f"did you mean {join(folder, folded[close[0]])}?"
        return f"there is no {name} in {folder}" if folder else None
    return None

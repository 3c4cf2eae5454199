"""What a vertex does: only what changes its result, so that equal ops give equal results.

Every op round-trips through canonical JSON (`to_json`, `from_json`); its JSON is
hashed into the vertex digest, is a named part of its cache key, and is what
a remote worker would receive.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from jettison.dataclass import dataclass, fields


@dataclass(frozen=True, slots=True)
class SourceOp:
    """The root filesystem of a base image: nothing but its layers, lowest first."""

    TYPE: ClassVar[str] = "source"
    diff_ids: tuple[str, ...]
    platform: str


@dataclass(frozen=True, slots=True)
class InlineFile:
    """A file whose content stands in the Dockerfile (a here-document)."""

    name: str
    data: str


@dataclass(frozen=True, slots=True)
class CopyOp:
    """COPY and ADD of local things: one layer made of files of an input, a context, or the Dockerfile itself.

    Where the files come from: `context` names a build context ("" is the main
    one); when it is None they come from the vertex's source input; `files` come
    beside them in any case. `paths` are patterns relative to the source's root.
    `dest` is absolute and clean; `dest_is_dir` says that it was written as a directory.
    `owner` and `mode` are the flag's text, or None. `unpack`: local archives are unpacked (ADD).
    """

    TYPE: ClassVar[str] = "copy"
    dest: str
    dest_is_dir: bool
    paths: tuple[str, ...] = ()
    context: str | None = None
    files: tuple[InlineFile, ...] = ()
    owner: str | None = None
    mode: str | None = None
    link: bool = False
    parents: bool = False
    literal: bool = False
    """`paths` are names, whatever is in them."""
    exclude: tuple[str, ...] = ()
    unpack: bool = False
    keep_owner: bool = False
    """Files keep the owner they have in the source (COPY --from), instead of 0:0."""
    has_base: bool = False
    """Whether inputs[0] is the root filesystem that the files go into (else they go into an empty one)."""


@dataclass(frozen=True, slots=True)
class MkdirOp:
    """WORKDIR: the directory is there afterwards. `owner` is the USER text in force ("" is root)."""

    TYPE: ClassVar[str] = "mkdir"
    path: str
    owner: str


@dataclass(frozen=True, slots=True)
class HttpOp:
    """ADD of a URL: one file in an otherwise empty tree. `pin` is what the server said (ETag, digest)."""

    TYPE: ClassVar[str] = "http"
    url: str
    name: str
    checksum: str
    mode: str
    pin: str


@dataclass(frozen=True, slots=True)
class GitOp:
    """ADD of a git repository: the tree of one commit, below `subdir`."""

    TYPE: ClassVar[str] = "git"
    url: str
    commit: str
    subdir: str
    keep_git_dir: bool


@dataclass(frozen=True, slots=True)
class MountOp:
    """One `RUN --mount`. `input` is the index of the vertex input that it reads (-1: none)."""

    type: Literal["bind", "cache", "tmpfs", "secret", "ssh"]
    target: str
    input: int = -1
    source: str = ""
    read_only: bool = True
    id: str = ""
    sharing: Literal["shared", "private", "locked"] = "shared"
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    """Bytes a tmpfs may hold; 0 is no limit of its own."""
    env: str = ""
    """The variable a secret is given in, if any."""
    stamp: str = ""
    """What stands for the value of a secret that counts (`key=content`)."""


@dataclass(frozen=True, slots=True)
class RunOp:
    """RUN: a process in the root filesystem of input 0. `env` holds NAME=value, sorted by name as set.

    `files` are put below /dev/pipes while it runs (here-documents with a shebang).
    """

    TYPE: ClassVar[str] = "run"
    args: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    mounts: tuple[MountOp, ...] = ()
    files: tuple[InlineFile, ...] = ()
    network: Literal["default", "host", "none"] = "default"
    security: Literal["sandbox", "insecure"] = "sandbox"
    hostname: str = ""
    hosts: tuple[str, ...] = ()
    """Extra lines of /etc/hosts, as NAME:ADDRESS."""
    has_base: bool = True
    """Whether inputs[0] is the root filesystem (else it is empty)."""


Op = SourceOp | CopyOp | MkdirOp | HttpOp | GitOp | RunOp

_NESTED: dict[str, Any] = {"files": InlineFile, "mounts": MountOp}


def to_json(op: Op) -> dict[str, Any]:
    """Plain data of an op: its type and every field that has not its default value."""
    return {"type": op.TYPE, **_plain(op)}


def _plain(value: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for field in fields(value):
        got = getattr(value, field.name)
        if got == field.default:
            continue
        if field.name in _NESTED:
            got = [_plain(item) for item in got]
        out[field.name] = list(got) if isinstance(got, tuple) else got
    return out


def from_json(data: dict[str, Any]) -> Op:
    """The op that `to_json` made this of. Raises KeyError for an unknown type."""
    kinds: dict[str, Any] = {kind.TYPE: kind for kind in (SourceOp, CopyOp, MkdirOp, HttpOp, GitOp, RunOp)}
    values = {key: value for key, value in data.items() if key != "type"}
    for name, kind in _NESTED.items():
        if name in values:
            values[name] = tuple(kind(**item) for item in values[name])
    op: Op = kinds[data["type"]](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    return op

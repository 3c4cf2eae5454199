"""What the fuzzer builds: Dockerfiles and contexts as plain data, changes to them, and their way to disk."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MTIME = 1_700_000_000
"""Of files of a context: later than the epoch that builds are given, so that layers cannot tell."""

Entry = dict[str, Any]
"""One file: kind ("file" if it is left out, dir, link, hard, fifo, tar), mode, text, to, members, mtime."""

Change = dict[str, Any]
"""One change: its "do" says what, see `changed`."""


@dataclass(frozen=True)
class State:
    """A Dockerfile by instructions, the files of its context by path, and the build's arguments."""

    dockerfile: tuple[str, ...]
    files: Mapping[str, Entry] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    inside: bool = True
    """Whether the Dockerfile lies in the context, where a change of it is one of the context too."""

    def text(self) -> str:
        return "".join(line + "\n" for line in self.dockerfile)


@dataclass(frozen=True)
class Case:
    """A state and the changes that are made to it one after the other. `variant` picks how it is built."""

    state: State
    changes: tuple[Change, ...] = ()
    epoch: bool = True
    variant: int = 0

    def states(self) -> Iterator[tuple[State, Change | None]]:
        state = self.state
        yield state, None
        for change in self.changes:
            state = changed(state, change)
            yield state, change


def changed(state: State, change: Change) -> State:
    """The state after a change. A change of something that is not there does nothing."""
    files, args, lines = dict(state.files), dict(state.args), list(state.dockerfile)
    what = change["do"]
    if what == "line" and change["old"] in lines:
        at = lines.index(change["old"])
        lines[at : at + 1] = change["new"]
    elif what == "arg":
        args[change["name"]] = change["value"]
    elif what == "target":
        return replace(state, target=change["name"])
    elif what == "add":
        files[change["path"]] = change["entry"]
    elif what == "remove":
        files.pop(change["path"], None)
    elif what == "rename":
        _rename(files, change["old"], change["new"])
    elif what == "edit" and change["path"] in files:
        files[change["path"]] = {**files[change["path"]], **change["entry"]}
    return replace(state, dockerfile=tuple(lines), files=_sound(files), args=args)


def _sound(files: dict[str, Entry]) -> dict[str, Entry]:
    """The files without those that would lie below something that is no directory."""
    solid = {path for path, entry in files.items() if _kind(entry) != "dir"}
    return {
        path: entry
        for path, entry in files.items()
        if not any(path[:at] in solid for at, letter in enumerate(path) if letter == "/")
    }


def _rename(files: dict[str, Entry], old: str, new: str) -> None:
    if new in files or (new + "/").startswith(old + "/"):
        return
    for path in list(files):
        if path == old or path.startswith(old + "/"):
            files[new + path[len(old) :]] = files.pop(path)


def to_json(case: Case, about: str = "") -> str:
    state = case.state
    document = {
        "about": about,
        "dockerfile": state.dockerfile,
        "files": dict(state.files),
        "args": dict(state.args),
        "target": state.target,
        "inside": state.inside,
        "changes": case.changes,
        "epoch": case.epoch,
        "variant": case.variant,
    }
    return json.dumps(document, indent=1) + "\n"


def from_json(text: str) -> Case:
    got = json.loads(text)
    state = State(tuple(got["dockerfile"]), got["files"], got["args"], got["target"], got["inside"])
    return Case(state, tuple(got["changes"]), got["epoch"], got["variant"])


def write(state: State, folder: Path, backwards: bool = False) -> None:
    """Write a context into a new folder; `backwards` in the opposite order of names."""
    folder.mkdir(parents=True)
    _create(folder, state.files, sorted(state.files, reverse=backwards))
    _write_dockerfile(folder, state)


def rewrite(folder: Path, old: State, new: State) -> None:
    """Make a folder with one state hold another. Files that stay are written in place, with their times."""
    gone = [path for path in old.files if path not in new.files]
    fresh = []
    for path, entry in new.files.items():
        before = old.files.get(path)
        if before == entry and _kind(entry) != "hard":
            continue
        full = folder / path
        if before and _kind(before) == _kind(entry) in ("file", "tar") and full.is_file():
            full.write_bytes(_bytes(entry))
            _dress(full, entry)
        else:
            if before:
                gone.append(path)
            fresh.append(path)
    for path in gone:
        _remove(folder / path)
        _prune(folder, path, new)
    if gone:
        # What was below a removed directory, or another name of a removed file, is made again.
        fresh += [path for path in new.files if not os.path.lexists(folder / path)]
    _create(folder, new.files, sorted(set(fresh)))
    _write_dockerfile(folder, new)


def _write_dockerfile(folder: Path, state: State) -> None:
    if state.inside:
        (folder / "Dockerfile").write_bytes(state.text().encode("utf-8", "surrogateescape"))


def _kind(entry: Entry) -> str:
    return str(entry.get("kind", "file"))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _prune(folder: Path, path: str, state: State) -> None:
    """Remove the directories above a path that are only there because of it."""
    while "/" in path:
        path = path.rpartition("/")[0]
        full = folder / path
        if (
            _kind(state.files.get(path, {})) == "dir"
            or full.is_symlink()
            or not full.is_dir()
            or os.listdir(full)
        ):
            break
        full.rmdir()


def _create(folder: Path, files: Mapping[str, Entry], paths: list[str]) -> None:
    """Hard links come last, and modes of directories after what is in them. A path that cannot be is left."""
    for late in (False, True):
        for path in paths:
            entry = files[path]
            if (_kind(entry) == "hard") != late:
                continue
            try:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                _make(folder, folder / path, entry)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
    for path in paths:
        full = folder / path
        if os.path.lexists(full):
            _dress(full, files[path])


def _make(folder: Path, full: Path, entry: Entry) -> None:
    kind = _kind(entry)
    if kind == "dir":
        full.mkdir(exist_ok=True)
    elif kind == "link":
        os.symlink(entry["to"], full)
    elif kind == "fifo":
        os.mkfifo(full)
    elif kind == "hard" and (folder / entry["to"]).is_file():
        os.link(folder / entry["to"], full)
    elif full.is_symlink():
        raise FileExistsError
    else:
        full.write_bytes(_bytes(entry))


def _dress(full: Path, entry: Entry) -> None:
    kind = _kind(entry)
    if kind not in ("link", "hard"):
        os.chmod(full, entry.get("mode", 0o755 if kind == "dir" else 0o644))
    moment = entry.get("mtime", MTIME)
    if kind != "hard":
        os.utime(full, (moment, moment), follow_symlinks=False)


def _bytes(entry: Entry) -> bytes:
    if _kind(entry) == "tar":
        return _tar(entry)
    return str(entry.get("text", "")).encode("utf-8", "surrogateescape")


def _tar(entry: Entry) -> bytes:
    """An archive of `members`: [path, entry] in their order. `pack` is "", gz, bz2 or xz."""
    import bz2
    import gzip
    import lzma

    out = io.BytesIO()
    types = {
        "dir": tarfile.DIRTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, member in entry["members"]:
            info = tarfile.TarInfo(name)
            kind = _kind(member)
            info.type = types.get(kind, tarfile.REGTYPE)
            info.mode = member.get("mode", 0o755 if kind == "dir" else 0o644)
            info.uid, info.gid = member.get("owner", (0, 0))
            info.linkname = member.get("to", "")
            info.mtime = MTIME
            data = _bytes(member) if info.type == tarfile.REGTYPE else b""
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    pack = entry.get("pack", "")
    if pack == "gz":
        return gzip.compress(data, mtime=0)
    return {"bz2": bz2.compress, "xz": lzma.compress}[pack](data) if pack else data

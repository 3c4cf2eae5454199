"""The logs of a build on the disk: one file for each step that wrote something, whole, as it came.

A build holds a lock on its folder as long as it lives, so that others can tell whether it does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from jettison.store.locks import try_lock

EVENTS = "events.jsonl"
"""What a build did so far: there until the history has it."""

_LARGE = 1 << 20
"""Bytes from which a log is compressed when its build is over."""

_PIECE = 1 << 20
_LOOK = 16 << 20
"""After so many bytes a log looks whether the disk still has room."""

_ROOM = 64 << 20
"""What it leaves of that to others."""


class LogFolder:
    """The logs of a build that runs. Errors are raised once, as OSError; nothing is written after."""

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.mkdir(path, 0o700)
        self.path = path
        self.broken = False
        self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try_lock(self._lock)
        self._files: dict[str, int] = {}
        self._written = 0

    def write(self, step: int, data: bytes) -> None:
        """Append to the log of a step."""
        self._append(f"{step}.log", data)

    def mark(self, step: int, text: str) -> None:
        """Write a line of our own into the log of a step."""
        log = self._files.get(f"{step}.log")
        size = os.fstat(log).st_size if log is not None else 0
        ended = log is None or not size or os.pread(log, 1, size - 1) == b"\n"
        self.write(step, f"{'' if ended else chr(10)}{text}\n".encode())

    def note(self, line: str) -> None:
        """Append a line to the events."""
        self._append(EVENTS, line.encode("utf-8", "replace") + b"\n")

    def _append(self, name: str, data: bytes) -> None:
        if self.broken:
            return
        try:
            if name not in self._files:
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._files[name] = os.open(f"{self.path}/{name}", flags, 0o600)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._files[name], rest) :]
            self._look(len(data))
        except OSError:
            self.broken = True
            raise

    def _look(self, more: int) -> None:
        before, self._written = self._written, self._written + more
        if before // _LOOK != self._written // _LOOK:
            disk = os.statvfs(self.path)
            if disk.f_bavail * disk.f_frsize < _ROOM:
                raise OSError(28, f"less than {_ROOM >> 20} MiB are left on the disk", self.path)

    def ended(self, step: int) -> None:
        """Nothing more comes of a step."""
        if (fd := self._files.pop(f"{step}.log", -1)) >= 0:
            os.close(fd)

    def close(self, keep: int = 0) -> None:
        """Compress what is large, but for the log of the step `keep`, and leave. The history has the rest."""
        for fd in self._files.values():
            os.close(fd)
        self._files.clear()
        with suppress(OSError):
            for name in os.listdir(self.path):
                path = f"{self.path}/{name}"
                if name == EVENTS:
                    os.unlink(path)
                elif name.endswith(".log") and name != f"{keep}.log" and os.stat(path).st_size >= _LARGE:
                    _compress(path)
            if not os.listdir(self.path):
                os.rmdir(self.path)
        os.close(self._lock)


def _compress(path: str) -> None:
    igzip = _igzip()
    new = f"{path}.gz.new"
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with (
            open(path, "rb") as source,
            open(fd, "wb") as file,
            igzip.GzipFile(fileobj=file, mode="wb") as to,
        ):
            while piece := source.read(_PIECE):
                to.write(piece)
        os.rename(new, f"{path}.gz")
    except BaseException:
        os.unlink(new)
        raise
    os.unlink(path)


def _igzip() -> Any:
    from isal import igzip

    return igzip


def path_of(folder: str, step: int) -> str:
    """The file with the log of a step; "" when there is none."""
    for name in (f"{step}.log", f"{step}.log.gz"):
        if os.path.exists(f"{folder}/{name}"):
            return f"{folder}/{name}"
    return ""


def open_log(path: str) -> BinaryIO:
    """A log as it was written. Raises OSError."""
    if path.endswith(".gz"):
        stream: BinaryIO = _igzip().open(path, "rb")
        return stream
    return open(path, "rb")


def pieces(path: str) -> Iterator[bytes]:
    """A log, piece by piece. Raises OSError."""
    with open_log(path) as file:
        while piece := file.read(_PIECE):
            yield piece


def is_alive(folder: str) -> bool:
    """Whether the build that writes to a folder of logs still runs."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not try_lock(fd)
    finally:
        os.close(fd)

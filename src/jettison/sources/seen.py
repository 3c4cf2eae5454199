"""What was found in the folders of a build context last time, by their fingerprints.

A folder with the same fingerprint has the same content, unless something in it was changed
so shortly before the look at it that the file system's clock had not moved on: such a one is not `settled`.
"""

from __future__ import annotations

import json
from hashlib import sha256

from jettison.dataclass import dataclass

_FORM = "jettison seen 1"
_RECENT_NS = 2_000_000_000
_MOST = 200


@dataclass(frozen=True, slots=True)
class Found:
    """A content digest and the fingerprint it stands for; how many files there are.

    `layer` is the layer that was made of it last.
    """

    fingerprint: str
    settled: bool
    content: str
    files: int
    layer: str = ""


class Seen:
    """What is known of a context's folders, by the digest of what was asked of them.

    `path` is the file that it is kept in; "" keeps nothing.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._known: dict[str, Found] | None = None
        self._fresh = False

    def get(self, key: str) -> Found | None:
        """What was found last time."""
        if self._known is None:
            self._known = _read(self._path)
        return self._known.get(key)

    def put(self, key: str, found: Found) -> None:
        """Remember what was found. The latest are kept."""
        if self.get(key) != found:
            assert self._known is not None
            self._known.pop(key, None)
            self._known[key] = found
            self._fresh = True

    def save(self) -> None:
        """Keep it for the next build. Raises nothing: without it a build is only slower."""
        if not self._path or not self._fresh or self._known is None:
            return
        latest = list(self._known.items())[-_MOST:]
        body = json.dumps([[key, *_fields(found)] for key, found in latest])
        from jettison.replacing import replacing

        try:
            with replacing(self._path, 0o600) as file:
                file.write(f"{_FORM}\n{_checksum(body)}\n{body}".encode())
        except OSError:
            return
        self._fresh = False


def is_settled(newest_ns: int, began_ns: int) -> bool:
    """Whether nothing with such a latest time can have changed again within one tick of a clock."""
    return newest_ns < began_ns - _RECENT_NS


def _fields(found: Found) -> tuple[str, bool, str, int, str]:
    return found.fingerprint, found.settled, found.content, found.files, found.layer


def _checksum(body: str) -> str:
    return sha256(body.encode()).hexdigest()


def _read(path: str) -> dict[str, Found]:
    try:
        with open(path, encoding="utf-8") as file:
            form, checksum, body = file.read().split("\n", 2)
        if form != _FORM or checksum != _checksum(body):
            return {}
        return {key: Found(*fields) for key, *fields in json.loads(body)}
    except (OSError, ValueError, TypeError):
        return {}

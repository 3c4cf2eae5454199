"""Files as the bodies of requests: over plain HTTP the kernel sends them, without a copy in this process."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from jettison.dataclass import dataclass

_PIECE = 1 << 20


class FileBody:
    """A file to send. `sent` is told the bytes of every piece; it may raise to stop the sending."""

    def __init__(self, file: BinaryIO, sent: Callable[[int], None]) -> None:
        self._file = file
        self._sent = sent

    def read(self, size: int = -1) -> bytes:
        """The next bytes, for connections that encrypt them."""
        data = self._file.read(size)
        self._sent(len(data))
        return data

    def pieces(self) -> Iterator[Piece]:
        """All bytes as pieces that send themselves; each has to be sent before the next is asked for."""
        while True:
            start = self._file.tell()
            yield Piece(self._file)
            count = self._file.tell() - start
            if not count:
                return
            self._sent(count)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes of a file from where it stands."""

    file: BinaryIO

    def send(self, sock: socket.socket) -> None:
        """Send them; the file stands behind them then. Raises OSError."""
        sock.sendfile(self.file, self.file.tell(), _PIECE)


class PlainConnection(HTTPConnection):
    """A connection without encryption."""

    def request(  # type: ignore[override]
        self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        """Send a request, with a file as its body if there is one."""
        content: Any = body.pieces() if isinstance(body, FileBody) else body
        super().request(method, url, content, headers, **more)

    def send(self, data: Any) -> None:
        """Send bytes, or a piece of a file."""
        if isinstance(data, Piece):
            data.send(self.sock)
        else:
            super().send(data)


class PlainPool(HTTPConnectionPool):
    """Connections without encryption."""

    ConnectionCls = PlainConnection

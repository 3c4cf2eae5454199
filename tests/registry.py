"""A real registry on a free loopback port, and a connection that breaks, for tests of all rooms."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BINARY = shutil.which("docker-registry") or "/usr/bin/docker-registry"

needs_registry = pytest.mark.skipif(
    not os.path.exists(BINARY), reason="docker-registry (Debian's package of that name) is not installed"
)


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running_registry(
    tmp_path: Path, htpasswd: str | None = None, tls: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Run a registry that keeps its data below `tmp_path`; gives its address, HOST:PORT.

    `htpasswd` is the text of a password file with bcrypt hashes; with it, everything needs a login.
    `tls` are the files of a certificate and its key; with them it speaks https only.
    """
    if not os.path.exists(BINARY):
        pytest.skip("docker-registry (Debian's package of that name) is not installed")
    port = free_port()
    folder = tmp_path / f"registry-{port}"
    folder.mkdir(parents=True)
    config = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '127.0.0.1:{port}', secret: test{_tls(tls)}}}",
    ]
    if htpasswd is not None:
        (folder / "htpasswd").write_text(htpasswd)
        config.append(f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}")
    (folder / "config.yml").write_text("\n".join(config) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([BINARY, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _await_port(process, port, folder / "log")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _tls(files: tuple[Path, Path] | None) -> str:
    return f", tls: {{certificate: {files[0]}, key: {files[1]}}}" if files else ""


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            break
    raise RuntimeError(f"the registry did not start: {log.read_text()}")


class CuttingProxy:
    """Passes connections on to an address, and cuts each of the first `cuts` after `after` bytes of answer.

    Answers shorter than that pass. `connections` counts what was accepted.
    """

    def __init__(self, target: str, after: int, cuts: int) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._after = after
        self._cuts = cuts
        self.connections = 0
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept no more."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _answer(self, source: socket.socket, target: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(4096):
                with self._lock:
                    cut = passed + len(data) > self._after and self._cuts > 0
                    self._cuts -= cut
                if cut:
                    target.sendall(data[: self._after - passed])
                    break
                target.sendall(data)
                passed += len(data)
        for sock in (source, target):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@contextmanager
def cutting_proxy(target: str, *, after: int, cuts: int) -> Iterator[CuttingProxy]:
    """A `CuttingProxy` in front of a registry."""
    proxy = CuttingProxy(target, after, cuts)
    try:
        yield proxy
    finally:
        proxy.close()

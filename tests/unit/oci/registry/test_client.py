"""The client against a small HTTP server that answers as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jettison.errors import RegistryError
from jettison.oci.reference import parse
from jettison.oci.registry.access import RegistryAccess
from jettison.oci.registry.client import Client, Request
from jettison.oci.registry.endpoints import Endpoint
from jettison.oci.registry.push import Upload, push
from jettison.oci.registry.transfer import download, fetch_manifest

Headers = dict[str, str]


@dataclass
class Asked:
    """One request that the server got."""

    method: str
    path: str
    headers: Headers
    body: bytes = b""


@dataclass
class Said:
    """One answer of the server."""

    status: int = 200
    headers: Headers = field(default_factory=dict)
    body: bytes = b""


class Server(ThreadingHTTPServer):
    """Keeps what it was asked; `answer` makes the answers to all but GET /v2/, which gets `ping`."""

    daemon_threads = True

    def __init__(self, answer: Callable[[Asked], Said], ping: Said) -> None:
        self.answer = answer
        self.ping = ping
        self.asked: list[Asked] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        asked = Asked(self.command, self.path, dict(self.headers), body)
        if self.path == "/v2/":
            said = self.server.ping
        else:
            self.server.asked.append(asked)
            said = self.server.answer(asked)
        self.send_response(said.status)
        for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answer: Callable[[Asked], Said], ping: Said | None = None) -> Iterator[Server]:
    server = Server(answer, ping or Said())
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def client_of(server: Server, **more: object) -> Client:
    access = RegistryAccess(first_pause=0, **more)  # type: ignore[arg-type]
    return Client(Endpoint("r.test", server.address, schemes=("http",)), access)


def in_turn(*answers: Said) -> Callable[[Asked], Said]:
    left = list(answers)
    return lambda asked: left.pop(0)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    busy = Said(status, {"Retry-After": "0"})
    with serving(in_turn(busy, busy, Said(body=b"there"))) as server:
        assert client_of(server).send(Request("GET", "/v2/a"), 100).body == b"there"
        assert len(server.asked) == 3


def test_it_is_not_tried_for_ever() -> None:
    with serving(lambda asked: Said(503)) as server:
        with pytest.raises(RegistryError, match="503") as caught:
            client_of(server, attempts=3).send(Request("GET", "/v2/a"), 100)
        assert len(server.asked) == 3
    assert caught.value.temporary


@pytest.mark.parametrize(("status", "word"), [(400, "bad"), (401, "log in"), (403, "rights"), (404, "")])
def test_a_refusal_is_final_and_explained(status: int, word: str) -> None:
    body = json.dumps({"errors": [{"code": "X", "message": "so it\nis"}]}).encode()
    with serving(lambda asked: Said(status, {}, body)) as server:
        with pytest.raises(RegistryError) as caught:
            client_of(server).send(Request("GET", "/v2/a", action="trying"), 100)
        assert len(server.asked) == 1
    error = caught.value
    assert error.message == f"registry r.test: {status}, so it is (trying)"
    assert (error.status, error.temporary) == (status, False)
    if status in (401, 403):
        assert word in (error.hint or "")


def test_an_answer_has_a_limit() -> None:
    with serving(lambda asked: Said(body=b"x" * 101)) as server:
        with pytest.raises(RegistryError, match="longer than 100 bytes"):
            client_of(server).send(Request("GET", "/v2/a"), 100)
        assert len(client_of(server).send(Request("GET", "/v2/a"), 101).body) == 101


def logged_in(server: Server, folder: Path) -> Client:
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {"r.test": {"username": "me", "password": "pw"}}}))
    return client_of(server, credential_files=(str(path),))


def test_a_redirect_to_another_host_gets_no_credentials(tmp_path: Path) -> None:
    with serving(lambda asked: Said(body=b"blob")) as store:
        away = Said(307, {"Location": f"http://{store.address}/data?sig=1"})
        ping = Said(401, {"WWW-Authenticate": "Basic realm=x"})
        with serving(lambda asked: away, ping) as server:
            reply = logged_in(server, tmp_path).send(
                Request("GET", "/v2/a", headers={"Range": "bytes=1-"}), 100
            )
            assert reply.body == b"blob"
            assert server.asked[0].headers["Authorization"] == "Basic bWU6cHc="
        assert store.asked[0].path == "/data?sig=1"
        assert store.asked[0].headers["Range"] == "bytes=1-"
        assert "Authorization" not in store.asked[0].headers


def test_a_redirect_on_the_same_host_keeps_them(tmp_path: Path) -> None:
    ping = Said(401, {"WWW-Authenticate": "Basic realm=x"})
    with serving(in_turn(Said(302, {"Location": "/v2/b"}), Said(body=b"x")), ping) as server:
        logged_in(server, tmp_path).send(Request("GET", "/v2/a"), 100)
        assert [asked.path for asked in server.asked] == ["/v2/a", "/v2/b"]
        assert server.asked[1].headers["Authorization"] == "Basic bWU6cHc="


def test_redirects_end() -> None:
    with (
        serving(lambda asked: Said(302, {"Location": "/v2/a"})) as server,
        pytest.raises(RegistryError, match="more than 5 redirects"),
    ):
        client_of(server).send(Request("GET", "/v2/a"), 100)


def test_a_token_that_ends_is_replaced_once() -> None:
    tokens: list[str] = []

    def answer(asked: Asked) -> Said:
        if asked.path.startswith("/token"):
            tokens.append(f"T{len(tokens)}")
            return Said(body=json.dumps({"token": tokens[-1]}).encode())
        if asked.headers.get("Authorization") == "Bearer T1":
            return Said(body=b"in")
        return Said(401, {"WWW-Authenticate": challenge})

    with serving(answer) as server:
        challenge = f'Bearer realm="http://{server.address}/token",service="s"'
        server.ping = Said(401, {"WWW-Authenticate": challenge})
        client = client_of(server)
        request = Request("GET", "/v2/a", "app", ("repository:app:pull",))
        assert client.send(request, 100).body == b"in"
        assert client.send(request, 100).body == b"in"
    assert tokens == ["T0", "T1"]


def test_what_speaks_no_http_is_reported() -> None:
    with serving(lambda asked: Said(), Said(502)) as server, pytest.raises(RegistryError, match="502"):
        client_of(server, attempts=2).connect()


def test_a_registry_that_is_down_is_asked_once() -> None:
    with serving(lambda asked: Said()) as server:
        client = client_of(server)
    with pytest.raises(RegistryError, match="connection refused") as first:
        client.connect()
    with pytest.raises(RegistryError) as second:
        client.connect()
    assert second.value is first.value


def test_a_server_without_ranges_does_not_spoil_a_download() -> None:
    data = bytes(range(256)) * 2000

    def answer(asked: Asked) -> Said:
        if "Range" in asked.headers:
            return Said(body=data)
        return Said(200, {"Content-Length": str(len(data)), "Connection": "close"}, data[:200_000])

    with serving(answer) as server:
        back = bytearray()
        reference = parse(f"{server.address}/a:1")
        access = RegistryAccess(first_pause=0)
        # the first answer ends early, and keeps its connection open no longer than that
        server.RequestHandlerClass = ClosingHandler
        download(access, reference, "sha256:" + "0" * 64, len(data), back.extend)
    assert bytes(back) == data
    assert server.asked[1].headers["Range"].startswith("bytes=")


class ClosingHandler(Handler):
    """Closes the connection after each answer, whatever its length was said to be."""

    def handle_any(self) -> None:
        super().handle_any()
        self.close_connection = True

    do_GET = handle_any


def test_the_wrong_part_of_a_blob_is_refused() -> None:
    def answer(asked: Asked) -> Said:
        if "Range" in asked.headers:
            return Said(206, {"Content-Range": "bytes 0-9/10"}, b"0123456789")
        return Said(200, {"Content-Length": "300000"}, b"x" * 150_000)

    with serving(answer) as server:
        server.RequestHandlerClass = ClosingHandler
        with pytest.raises(RegistryError, match="another part"):
            download(
                RegistryAccess(first_pause=0),
                parse(f"{server.address}/a:1"),
                "sha256:" + "0" * 64,
                300_000,
                lambda data: None,
            )


def test_a_manifest_with_another_digest_is_refused() -> None:
    with (
        serving(lambda asked: Said(body=b"{}")) as server,
        pytest.raises(RegistryError, match=r"sent sha256:44136fa.* where sha256:0000.* was expected"),
    ):
        fetch_manifest(RegistryAccess(), parse(f"{server.address}/a@sha256:{'0' * 64}"))


def test_a_registry_that_takes_no_whole_blob_gets_chunks() -> None:
    import io

    got = bytearray()

    def answer(asked: Asked) -> Said:
        match asked.method:
            case "HEAD":
                return Said(404)
            case "POST":
                return Said(202, {"Location": "/v2/up?state=1"})
            case "PATCH":
                assert asked.headers["Content-Range"] == f"{len(got)}-{len(got) + len(asked.body) - 1}"
                got.extend(asked.body)
                return Said(202, {"Location": "/v2/up?state=2"})
        if "manifests" in asked.path:
            return Said(201)
        return Said(201) if not asked.body else Said(413)

    data = b"0123456789" * 2_000_000
    with serving(answer) as server:
        upload = Upload("sha256:" + "1" * 64, len(data), lambda: io.BytesIO(data))
        done: list[int] = []
        push(
            RegistryAccess(first_pause=0),
            parse(f"{server.address}/a:1"),
            [upload],
            b"{}",
            "application/json",
            progress=lambda now, total: done.append(now),
        )
        paths = [asked.path for asked in server.asked if asked.method == "PUT"]
    assert bytes(got) == data
    assert paths[-2] == f"/v2/up?state=2&digest=sha256%3A{'1' * 64}"
    assert done[-1] == len(data)

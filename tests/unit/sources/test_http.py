from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jettison.errors import Cancelled, NotFound, SourceError
from jettison.sources.http import HttpAccess, check_checksum, fetch_url, name_of, pin_http, write_http
from tests.unit.executor.layers import Recorder

BODY = b"content of the file\n"
SHA = hashlib.sha256(BODY).hexdigest()
FAST = HttpAccess(connect_timeout=2, read_timeout=0.5, retries=0)


@dataclass
class Site:
    """A web server that answers by path, and remembers what it was asked."""

    url: str = ""
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def file(self, path: str, body: bytes = BODY, status: int = 200, **headers: str) -> str:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content_Length": str(len(body)), **headers}.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.end_headers()
            if handler.command == "GET":
                handler.wfile.write(body)

        self.answers[path] = answer
        return self.url + path


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(f"{self.command} {self.path}")
            if self.path in site.answers:
                site.answers[self.path](self)
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()
    thread.join()


def test_names() -> None:
    assert name_of("http://x/a/b.tar.gz?q=/z#f") == "b.tar.gz"
    assert name_of("http://x/a%20b") == "a b"
    for url in ("http://x", "http://x/", "http://x/a/", "http://x/.."):
        assert name_of(url) == "__unnamed__"
    assert name_of("http://x/%2e%2e%2fetc") == "etc"


def test_a_strong_etag_pins_without_a_download(site: Site) -> None:
    url = site.file("/f", ETag='"v1"')
    op = pin_http(url)
    assert (op.name, op.pin, op.mode, op.checksum) == ("f", 'etag:"v1"', "600", "")
    assert site.asked == ["HEAD /f"]
    site.file("/f", ETag='"v2"')
    assert pin_http(url).pin != op.pin


@pytest.mark.parametrize(
    "headers", [{}, {"ETag": 'W/"weak"'}, {"Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}]
)
def test_without_one_the_content_pins(site: Site, headers: dict[str, str]) -> None:
    url = site.file("/f", **headers)
    assert pin_http(url).pin == f"sha256:{SHA}"
    site.file("/f", BODY.upper(), **headers)
    assert pin_http(url).pin != f"sha256:{SHA}"


def test_a_server_without_head(site: Site) -> None:
    url = site.file("/f")
    answer = site.answers["/f"]
    site.answers["/f"] = lambda handler: (
        handler.send_error(405) if handler.command == "HEAD" else answer(handler)
    )
    assert pin_http(url).pin == f"sha256:{SHA}"


def test_a_checksum_pins_without_the_network() -> None:
    assert pin_http("http://host.invalid/f", f"sha256:{SHA}").pin == f"sha256:{SHA}"


@pytest.mark.parametrize(
    "text", ["md5:zz", "sha256:", f"sha256:{SHA.upper()}", SHA, f"sha256:{SHA} ", "sha256:" + "g" * 64]
)
def test_checksums_that_are_none(text: str) -> None:
    with pytest.raises(SourceError, match="checksum"):
        check_checksum(text)


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_checksums_are_verified(site: Site, tmp_path: Path, algorithm: str) -> None:
    url = site.file("/f")
    right = f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}"
    assert fetch_url(url, str(tmp_path / "f"), checksum=right).size == len(BODY)
    wrong = f"{algorithm}:{hashlib.new(algorithm, b'other').hexdigest()}"
    with pytest.raises(SourceError, match="checksum"):
        fetch_url(url, str(tmp_path / "g"), checksum=wrong)
    assert not (tmp_path / "g").exists()


def test_the_layer_of_a_url(site: Site, tmp_path: Path) -> None:
    url = site.file("/dir/f.txt", Last_Modified="Mon, 01 Jan 2024 00:00:00 GMT", ETag='"v1"')
    writer = Recorder()
    write_http(pin_http(url), writer, str(tmp_path), threading.Event())
    entry = writer.entries["f.txt"]
    assert (entry.mode, entry.uid, entry.mtime_ns) == (0o600, 0, 1_704_067_200_000_000_000)
    assert writer.data["f.txt"] == BODY and list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed_and_the_name_stays(site: Site, tmp_path: Path) -> None:
    site.file("/real")
    url = site.file("/short", b"", 302, Location="/real")
    op = pin_http(url)
    assert (op.name, op.pin) == ("short", f"sha256:{SHA}")
    assert fetch_url(url, str(tmp_path / "f"), pin=op.pin).size == len(BODY)


def test_what_changes_after_the_pin_is_an_error(site: Site, tmp_path: Path) -> None:
    url = site.file("/f", ETag='"v1"')
    pins = [pin_http(url).pin, f"sha256:{SHA}"]
    site.file("/f", BODY.upper(), ETag='"v2"')
    for pin in pins:
        with pytest.raises(SourceError, match="changed"):
            fetch_url(url, str(tmp_path / "f"), pin=pin)


def test_what_is_not_there(site: Site) -> None:
    with pytest.raises(NotFound, match="404"):
        pin_http(site.url + "/nosuch")
    with pytest.raises(SourceError, match="403"):
        pin_http(site.file("/secret", b"", 403))
    with pytest.raises(SourceError, match="503") as error:
        pin_http(site.file("/down", b"", 503), access=FAST)
    assert error.value.temporary


def test_a_truncated_body(site: Site, tmp_path: Path) -> None:
    url = site.file("/f", Content_Length=str(len(BODY) + 5))
    with pytest.raises(SourceError, match="broke off") as error:
        fetch_url(url, str(tmp_path / "f"), access=FAST)
    assert error.value.temporary and not (tmp_path / "f").exists()


def test_a_server_that_does_not_answer(site: Site, tmp_path: Path) -> None:
    done = threading.Event()
    site.answers["/slow"] = lambda handler: (done.wait(5), None)[1]
    with pytest.raises(SourceError, match="too long"):
        fetch_url(site.url + "/slow", str(tmp_path / "f"), access=FAST)
    done.set()


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot reach") as error:
        fetch_url("http://user:secret@127.0.0.1:1/f", str(tmp_path / "f"), access=FAST)
    assert "secret" not in str(error.value)


def test_compressed_files_stay_as_they_are(site: Site, tmp_path: Path) -> None:
    import gzip

    data = gzip.compress(BODY)
    fetch_url(site.file("/f.gz", data, Content_Encoding="gzip"), str(tmp_path / "f"))
    assert (tmp_path / "f").read_bytes() == data


def test_a_stopped_build_stops_the_download(site: Site, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        write_http(pin_http(site.file("/f", ETag='"1"')), Recorder(), str(tmp_path), stop)

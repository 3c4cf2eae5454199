"""ADD of a URL: pin what is there now, and bring it here, verified.

Only a strong ETag saves the download: by it a server promises that equal tags are equal bytes. A
Last-Modified time promises nothing of the kind, with or without a length: it has whole seconds, and tools
that set all times to one date give two versions of equal length the same. Such a file is fetched and its
content is the pin; so the steps that use it are cached all the same, and never stale.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from jettison.dataclass import dataclass, field
from jettison.errors import Cancelled, NotFound, SourceError
from jettison.graph.ops import HttpOp
from jettison.sources.waiting import interruptible
from jettison.store.base import Entry, LayerWriter

if TYPE_CHECKING:
    import threading

    from urllib3 import BaseHTTPResponse, PoolManager

_UNNAMED = "__unnamed__"
_MODE = "600"
_CHUNK = 1 << 20
_CHECKSUM = re.compile(r"(sha256):[0-9a-f]{64}|(sha384):[0-9a-f]{96}|(sha512):[0-9a-f]{128}", re.ASCII)
_STRONG = re.compile(r'"[^"]*"')


def _nothing(host: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class HttpAccess:
    """How servers are reached. Timeouts are in seconds; `read_timeout` is how long one may be silent.

    `proxies` maps http and https to a proxy's URL; "no" lists hosts that are reached without.
    `authorization` gives what a host is shown as Authorization, "" for nothing.
    """

    ca_bundle: str | None = None
    proxies: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: float = 15.0
    read_timeout: float = 60.0
    retries: int = 3
    authorization: Callable[[str], str] = _nothing


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was brought here. `mtime_ns` is its Last-Modified, or None when the server said none."""

    digest: str
    size: int
    mtime_ns: int | None


def name_of(url: str) -> str:
    """The file name that a URL's path ends with."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return _UNNAMED if name in ("", ".", "..") or "\0" in name else name


def check_checksum(text: str) -> str:
    """A checksum of ADD --checksum as it is. Raises SourceError when it is none this project can verify."""
    if not _CHECKSUM.fullmatch(text):
        raise SourceError(
            f"invalid --checksum {text!r}: no digest of a known algorithm",
            hint="write it as sha256:HEX, sha384:HEX or sha512:HEX, in lower case",
        )
    return text


def pin_http(
    url: str,
    checksum: str = "",
    access: HttpAccess | None = None,
    *,
    keep: str = "",
    cancel: threading.Event | None = None,
) -> HttpOp:
    """Pin a URL: by its checksum if one is given, else by the server's strong ETag, else by the content.

    Content that had to be fetched stays in the file `keep` (with its Last-Modified as time), for
    `write_http`. Raises NotFound, SourceError and Cancelled.
    """
    if checksum:
        return HttpOp(url, name_of(url), check_checksum(checksum), _MODE, checksum)
    access = access or HttpAccess()
    tag = interruptible(lambda: _strong_tag(url, access), cancel)
    if tag:
        return HttpOp(url, name_of(url), "", _MODE, f"etag:{tag}")
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="jettison-") if not keep else nullcontext("") as folder:
        path = keep or f"{folder}/content"
        fetched = fetch_url(url, path, access=access, cancel=cancel)
        os.utime(path, ns=(fetched.mtime_ns or 0, fetched.mtime_ns or 0))
    return HttpOp(url, name_of(url), "", _MODE, fetched.digest)


def _strong_tag(url: str, access: HttpAccess) -> str:
    response = _request("HEAD", url, access)
    response.close()
    tag = response.headers.get("ETag", "")
    return tag if response.status == 200 and _STRONG.fullmatch(tag) else ""


def write_http(
    op: HttpOp,
    writer: LayerWriter,
    folder: str,
    cancel: threading.Event,
    access: HttpAccess | None = None,
    kept: str = "",
) -> None:
    """Write the layer that holds a pinned URL's content, but don't commit it.

    The content comes from the file that `pin_http` kept, or is fetched by way of a file in `folder`.
    Raises NotFound, SourceError and Cancelled.
    """
    mode = int(op.mode or _MODE, 8)
    if kept:
        there = os.stat(kept)
        writer.add(Entry(op.name, "file", mode, mtime_ns=there.st_mtime_ns, size=there.st_size), kept)
        return
    path = f"{folder}/download"
    fetched = fetch_url(op.url, path, checksum=op.checksum, pin=op.pin, access=access, cancel=cancel)
    writer.add(Entry(op.name, "file", mode, mtime_ns=fetched.mtime_ns or 0, size=fetched.size), path)
    _remove(path)


def fetch_url(
    url: str,
    path: str,
    *,
    checksum: str = "",
    pin: str = "",
    access: HttpAccess | None = None,
    cancel: threading.Event | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fetched:
    """Write what a URL holds to a file, and verify its length, `checksum` and `pin`.

    `progress` is told the bytes done and the bytes in all (0 when unknown). Raises NotFound, SourceError
    and Cancelled; the file is then removed.
    """
    access = access or HttpAccess()
    if checksum:
        check_checksum(checksum)

    def watch(done: int, total: int) -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("the build was stopped")
        if progress is not None:
            progress(done, total)

    return interruptible(lambda: _fetch(url, path, checksum, pin, access, watch), cancel)


def _fetch(
    url: str, path: str, checksum: str, pin: str, access: HttpAccess, progress: Callable[[int, int], None]
) -> Fetched:
    response = _request("GET", url, access)
    try:
        if response.status != 200:
            raise _refused(url, response)
        tag = response.headers.get("ETag", "")
        if pin.startswith("etag:") and pin != f"etag:{tag}":
            raise _changed(url)
        progress(0, 0)
        fetched = _receive(url, response, path, checksum, progress)
        if pin.startswith("sha256:") and pin != fetched.digest:
            raise _changed(url)
        return fetched
    except BaseException:
        _remove(path)
        raise
    finally:
        response.close()


def _receive(
    url: str,
    response: BaseHTTPResponse,
    path: str,
    checksum: str,
    progress: Callable[[int, int], None],
) -> Fetched:
    import hashlib

    from urllib3.exceptions import HTTPError

    length = response.headers.get("Content-Length", "")
    expected = int(length) if length.isdigit() else 0
    content = hashlib.sha256()
    algorithm = checksum.partition(":")[0]
    other = hashlib.new(algorithm) if algorithm not in ("", "sha256") else content
    size = 0
    try:
        with open(path, "wb") as out:
            for data in response.stream(_CHUNK, decode_content=False):
                out.write(data)
                content.update(data)
                if other is not content:
                    other.update(data)
                size += len(data)
                progress(size, expected)
    except HTTPError as error:
        raise SourceError(
            f"the download of {shown_url(url)} broke off after {size} bytes: {error}",
            hint="try again",
            temporary=True,
        ) from error
    if length.isdigit() and size != expected:
        raise SourceError(
            f"the download of {shown_url(url)} broke off: {size} of {expected} bytes came",
            hint="try again",
            temporary=True,
        )
    if checksum and f"{algorithm}:{other.hexdigest()}" != checksum:
        raise SourceError(
            f"the checksum of {shown_url(url)} is {algorithm}:{other.hexdigest()},"
            f" but {checksum} was asked for",
            hint="the file has changed, or the checksum is one of another file",
        )
    return Fetched(f"sha256:{content.hexdigest()}", size, _last_modified(response))


def _last_modified(response: BaseHTTPResponse) -> int | None:
    text = response.headers.get("Last-Modified")
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        seconds = int(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 1_000_000_000 if 0 <= seconds <= time.time() + 86_400 else None


def _request(method: str, url: str, access: HttpAccess) -> BaseHTTPResponse:
    from urllib3.exceptions import HTTPError, MaxRetryError, TimeoutError

    headers = {"User-Agent": "jettison", "Accept-Encoding": "identity", "Accept": "*/*"}
    shown = access.authorization(urlsplit(url).hostname or "")
    if shown:
        # Not sent on to other hosts: urllib3 drops it when a redirect leaves this one.
        headers["Authorization"] = shown
    try:
        return _pool(url, access).request(
            method,
            url,
            preload_content=False,
            decode_content=False,
            headers=headers,
        )
    except (HTTPError, ValueError) as error:
        reason: Any = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        slow = isinstance(reason, TimeoutError)
        raise SourceError(
            f"cannot reach {shown_url(url)}: {'it took too long to answer' if slow else reason}",
            hint="check the address and the network, or download it beforehand and COPY it",
            temporary=True,
        ) from error


def _pool(url: str, access: HttpAccess) -> PoolManager:
    from urllib3 import PoolManager, ProxyManager, Retry, Timeout

    retry = Retry(
        total=access.retries + 10,
        connect=access.retries,
        read=access.retries,
        status=access.retries,
        redirect=10,
        backoff_factor=0.2,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,
    )
    options: dict[str, Any] = {
        "retries": retry,
        "timeout": Timeout(connect=access.connect_timeout, read=access.read_timeout),
        "cert_reqs": "CERT_REQUIRED",
    }
    if access.ca_bundle:
        options["ca_certs"] = access.ca_bundle
    proxy = proxy_of(url, access)
    return ProxyManager(proxy, **options) if proxy else PoolManager(**options)


def proxy_of(url: str, access: HttpAccess) -> str:
    """The proxy for a URL, or "" when it is reached directly."""
    from jettison.oci.registry.access import RegistryAccess
    from jettison.oci.registry.transport import proxy_for

    parts = urlsplit(url)
    return proxy_for(parts.scheme, parts.netloc.rpartition("@")[2], RegistryAccess(proxies=access.proxies))


def _refused(url: str, response: BaseHTTPResponse) -> SourceError:
    status = response.status
    if status in (404, 410):
        return NotFound(f"{shown_url(url)} not found (HTTP status {status})", hint="check the address")
    return SourceError(
        f"the server refused {shown_url(url)} with HTTP status {status}",
        hint="give credentials as the secret HTTP_AUTH_TOKEN_HOST or HTTP_AUTH_HEADER_HOST"
        if status in (401, 403)
        else None,
        temporary=status >= 500 or status == 429,
    )


def _changed(url: str) -> SourceError:
    return SourceError(
        f"{shown_url(url)} changed while the build was running", hint="build again", temporary=True
    )


def shown_url(url: str) -> str:
    """A URL without the password that may stand in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

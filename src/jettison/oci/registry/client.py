"""One endpoint of the distribution protocol: requests with authentication, redirects and retries.

The first request finds out whether the endpoint is there, which scheme it speaks
and how it wants callers to identify themselves (distribution-spec, Endpoints: end-1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from jettison.dataclass import dataclass
from jettison.errors import RegistryError
from jettison.oci.registry.auth import Answer, Authenticator
from jettison.oci.registry.credentials import Found
from jettison.oci.registry.endpoints import Endpoint, host_name
from jettison.oci.registry.failure import TRANSIENT, broken, pause_before, refusal
from jettison.oci.registry.transport import LONGEST_ERROR, open_pool, origin, read, release, wait
from jettison.version import VERSION

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from jettison.oci.registry.access import RegistryAccess
    from jettison.oci.registry.sending import FileBody

    Body = bytes | Callable[[], FileBody] | None
    """What a request carries; a file is opened anew for every try."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. Header names are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `target` is a path or an address; `ok` are the statuses that are no error.

    `scopes` are what a token must allow; `action` says to a person what is tried.
    """

    method: str
    target: str
    repository: str = ""
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] | None = None
    body: Body = None
    ok: tuple[int, ...] = (200,)
    action: str = ""


class Client:
    """Talks to one endpoint. Safe for threads."""

    def __init__(self, endpoint: Endpoint, access: RegistryAccess) -> None:
        self.endpoint = endpoint
        self.access = access
        self._lock = Lock()
        self._base = ""
        self._failure: RegistryError | None = None
        self._manager: PoolManager | None = None
        self._direct = True
        self._auth: Authenticator | None = None

    @property
    def label(self) -> str:
        """How messages name the endpoint."""
        return self.endpoint.label

    def close(self) -> None:
        """Close the sockets."""
        if self._manager is not None:
            self._manager.clear()

    def connect(self) -> str:
        """The endpoint's base address. Raises RegistryError when it is not there, the second time at once."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if not self._base:
                try:
                    self._base = self._find_base()
                except RegistryError as error:
                    self._failure = error
                    raise
            return self._base

    def send(self, request: Request, largest: int, *, attempts: int = 0) -> Reply:
        """Send a request and read the whole answer, of at most `largest` bytes. Raises RegistryError.

        `attempts` is how often it may be tried; 0 stands for what the access says.
        """
        from urllib3.exceptions import HTTPError

        base = self.connect()
        attempt = 1
        while True:
            response: BaseHTTPResponse | None = None
            try:
                response = self._authorised(base, request)
                body = read(response, largest if response.status in request.ok else LONGEST_ERROR)
            except HTTPError as error:
                failure = broken(self.label, self.endpoint.host, error)
                headers = None
            else:
                if response.status in request.ok:
                    if body is None:
                        raise RegistryError(f"{self.label}: the answer is longer than {largest} bytes")
                    return Reply(response.status, response.headers, body)
                failure = self._refusal(request, response.status, body or b"")
                headers = response.headers
            finally:
                release(response)
            if not failure.temporary or attempt >= (attempts or self.access.attempts):
                raise failure
            attempt += 1
            wait(pause_before(attempt, self.access.first_pause, headers))

    def open(self, request: Request) -> BaseHTTPResponse:
        """Send a request once, for an answer to be read bit by bit; the caller releases it.

        Raises RegistryError for a status that is not in `request.ok`, with the status, and for a
        broken connection; both are marked as temporary where another try makes sense.
        """
        from urllib3.exceptions import HTTPError

        base = self.connect()
        try:
            response = self._authorised(base, request)
            if response.status in request.ok:
                return response
            body = read(response, LONGEST_ERROR) or b""
        except HTTPError as error:
            raise broken(self.label, self.endpoint.host, error) from error
        release(response)
        raise self._refusal(request, response.status, body)

    def _refusal(self, request: Request, status: int, body: bytes) -> RegistryError:
        problem = self._auth.found(request.repository).problem if self._auth and status == 401 else ""
        return refusal(self.label, request.action, status, body, problem)

    def _authorised(self, base: str, request: Request) -> BaseHTTPResponse:
        """One exchange; when the credentials are refused, a second one with new ones."""
        assert self._auth is not None
        url = urljoin(base, request.target)
        tried: str | None = None
        for last in (False, True):
            headers = dict(request.headers or {})
            own = origin(url) == origin(base)
            authorization = self._auth.header(request.repository, request.scopes) if own else None
            if authorization is not None:
                headers["Authorization"] = authorization
            response = self._follow(request.method, url, headers, request.body)
            if response.status != 401 or not own or last:
                break
            tried = authorization
            self._auth.learn(response.headers.get("WWW-Authenticate", ""))
            self._auth.forget(request.scopes)
            fresh = self._auth.header(request.repository, request.scopes)
            if fresh is None or fresh == tried:
                break
            release(response, drain=True)
        return response

    def _follow(self, method: str, url: str, headers: dict[str, str], body: Body) -> BaseHTTPResponse:
        """One exchange, through redirects. What identifies the caller never goes to another origin."""
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._exchange(method, url, headers, body)
            target = response.headers.get("Location", "")
            if response.status not in _REDIRECTS or method not in ("GET", "HEAD") or not target:
                return response
            release(response, drain=True)
            following = urljoin(url, target)
            scheme = urlsplit(following).scheme
            if scheme not in ("http", "https"):
                raise RegistryError(f"{self.label}: it redirects to an address that is not http")
            if scheme == "http" and url.startswith("https:") and self.endpoint.verify:
                raise RegistryError(f"{self.label}: it redirects to an address that is not encrypted")
            if origin(following) != origin(url):
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = following
        raise RegistryError(f"{self.label}: more than {_MOST_REDIRECTS} redirects")

    def _exchange(self, method: str, url: str, headers: dict[str, str], body: Body) -> BaseHTTPResponse:
        from urllib3 import Timeout

        assert self._manager is not None
        stream = body() if callable(body) else None
        content = stream if callable(body) else body
        try:
            return self._manager.request(
                method,
                url,
                headers={"User-Agent": f"jettison/{VERSION}", **headers},
                body=content,  # type: ignore[arg-type]  # it can be read, as a file can
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=Timeout(connect=self.access.connect_timeout, read=self.access.read_timeout),
            )
        finally:
            if stream is not None:
                stream.close()

    def _find_base(self) -> str:
        """The first scheme in which something answers like a registry."""
        failures: list[RegistryError] = []
        for scheme in self.endpoint.schemes:
            try:
                if self._ping(f"{scheme}://{self.endpoint.host}"):
                    return f"{scheme}://{self.endpoint.host}"
            except RegistryError as error:
                failures.append(error)
        # an untrusted certificate says more than that plain http is not understood
        failures.sort(key=lambda error: error.temporary)
        raise failures[0] if failures else RegistryError(f"{self.label}: {self.endpoint.host} is no registry")

    def _ping(self, base: str) -> bool:
        """Ask for /v2/. False when another scheme should be tried."""
        from urllib3.exceptions import HTTPError, ProtocolError, SSLError

        self._manager, self._direct = open_pool(base, self.endpoint, self.access)
        if self._direct and (reason := self._unreachable(base)):
            raise RegistryError(f"{self.label}: {reason}", temporary=True)
        self._auth = Authenticator(self.label, base.startswith("https:"), self._find, self._token_request)
        more = base.startswith(f"{self.endpoint.schemes[-1]}:") is False
        attempt = 1
        while True:
            try:
                response = self._exchange("GET", f"{base}/v2/", {}, None)
            except HTTPError as error:
                failure = broken(self.label, self.endpoint.host, error)
                if (more and isinstance(error, (SSLError, ProtocolError))) or not failure.temporary:
                    raise failure from error
            else:
                release(response, drain=True)
                if response.status not in TRANSIENT:
                    if response.status == 401:
                        self._auth.learn(response.headers.get("WWW-Authenticate", ""))
                    return not (more and response.status == 400)
                failure = refusal(self.label, "", response.status, b"")
            if attempt >= self.access.attempts:
                raise failure
            attempt += 1
            wait(pause_before(attempt, self.access.first_pause, None))

    def _unreachable(self, base: str) -> str:
        from jettison.oci.registry.reach import reach

        parts = urlsplit(base)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            return f"{self.endpoint.host!r} has no valid port"
        return reach(host_name(self.endpoint.host), port, self.access.connect_timeout)

    def _find(self, repository: str) -> Found:
        from jettison.oci.registry.credentials import find_credential

        name = self.endpoint.host if self.endpoint.mirror else self.endpoint.registry
        return find_credential(self.access.credential_files, name, repository)

    def _token_request(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        """Ask a token server. Its status is for the authenticator to judge."""
        from urllib3.exceptions import HTTPError

        attempt = 1
        while True:
            response: BaseHTTPResponse | None = None
            try:
                response = self._follow(method, url, headers, body)
                answer = Answer(response.status, read(response, 1 << 20) or b"")
                if answer.status not in TRANSIENT or attempt >= self.access.attempts:
                    return answer
            except HTTPError as error:
                failure = broken(self.label, urlsplit(url).netloc, error)
                if not failure.temporary or attempt >= min(self.access.attempts, 2):
                    raise failure from error
            finally:
                release(response)
            attempt += 1
            wait(pause_before(attempt, self.access.first_pause, None))

"""Downloads: manifests and blobs, from the first endpoint that has them (distribution-spec, Pull)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from jettison.dataclass import dataclass
from jettison.errors import RegistryError
from jettison.oci import media
from jettison.oci.manifest import LARGEST
from jettison.oci.reference import Reference
from jettison.oci.registry.client import Client, Request
from jettison.oci.registry.endpoints import endpoints
from jettison.oci.registry.failure import broken, pause_before
from jettison.oci.registry.transport import release, wait

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from jettison.oci.registry.access import RegistryAccess

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes there will be."""

_PIECE = 128 * 1024
_MOST_TRIES = 100


@dataclass(frozen=True, slots=True)
class Received:
    """A manifest or an index as a registry sent it; `source` says to a person where it came from."""

    data: bytes
    digest: str
    media_type: str
    source: str


def fetch_manifest(access: RegistryAccess, reference: Reference, selector: str = "") -> Received:
    """Get a manifest or an index by tag or digest (`selector`, else the reference's own).

    Raises RegistryError with status 404 when no endpoint has it; what is asked for by digest is verified.
    """
    wanted = selector or reference.selector

    def ask(client: Client) -> Received:
        name = client.endpoint.repository(reference.repository)
        reply = client.send(
            Request(
                "GET",
                f"/v2/{name}/manifests/{wanted}",
                repository=name,
                scopes=pull_scope(name),
                headers={"Accept": ", ".join(media.ACCEPTED)},
            ),
            LARGEST,
        )
        told = wanted if ":" in wanted else reply.headers.get("Docker-Content-Digest", "")
        digest = _verified(client.label, reply.body, told)
        media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
        return Received(reply.body, digest, media_type, client.label)

    return through(access, reference, ask)


def fetch_small(access: RegistryAccess, reference: Reference, digest: str, size: int, largest: int) -> bytes:
    """Get a small blob, such as a configuration, into memory. Raises RegistryError when it is too long."""
    if size > largest:
        raise RegistryError(f"{reference}: the blob {digest} has {size} bytes; at most {largest} are read")
    pieces: list[bytes] = []
    download(access, reference, digest, size, pieces.append)
    data = b"".join(pieces)
    _verified(f"registry {reference.registry}", data, digest)
    return data


def download(
    access: RegistryAccess,
    reference: Reference,
    digest: str,
    size: int,
    write: Callable[[bytes], object],
    progress: Progress | None = None,
) -> None:
    """Stream a blob of a known size into `write`. Whoever takes the bytes verifies the digest.

    A broken connection is taken up again where it broke, at the same endpoint or the next one.
    Raises RegistryError.
    """
    stream = _Stream(reference, digest, size, write, progress)
    through(access, reference, stream.run)


class _Stream:
    """A download that knows how far it is."""

    def __init__(
        self,
        reference: Reference,
        digest: str,
        size: int,
        write: Callable[[bytes], object],
        progress: Progress | None,
    ) -> None:
        self._reference = reference
        self._digest = digest
        self._size = size
        self._write = write
        self._progress = progress
        self._done = 0

    def run(self, client: Client) -> None:
        """Go on at one endpoint until all is there, or until it gives nothing more."""
        fruitless = tries = 0
        while True:
            before = self._done
            failure = self._once(client)
            if failure is None:
                return
            tries += 1
            fruitless = 1 if self._done > before else fruitless + 1
            if not failure.temporary or fruitless >= client.access.attempts or tries >= _MOST_TRIES:
                raise failure
            wait(pause_before(fruitless + 1, client.access.first_pause, None))

    def _once(self, client: Client) -> RegistryError | None:
        from urllib3.exceptions import HTTPError

        if self._done == self._size:
            return None
        name = client.endpoint.repository(self._reference.repository)
        resume = {"Range": f"bytes={self._done}-"} if self._done else {}
        request = Request(
            "GET",
            f"/v2/{name}/blobs/{self._digest}",
            repository=name,
            scopes=pull_scope(name),
            headers=resume,
            ok=(200, 206) if resume else (200,),
            action=f"downloading {self._digest}",
        )
        try:
            response = client.open(request)
        except RegistryError as error:
            return error
        try:
            return self._take(client, response)
        except HTTPError as error:
            return broken(client.label, client.endpoint.host, error)
        finally:
            release(response)

    def _take(self, client: Client, response: BaseHTTPResponse) -> RegistryError | None:
        skip = self._done
        if response.status == 206:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {self._done}-"):
                return RegistryError(f"{client.label}: it sent another part of {self._digest} than asked for")
            skip = 0
        while piece := response.read(_PIECE, decode_content=False):
            if skip:
                dropped = min(skip, len(piece))
                skip -= dropped
                piece = piece[dropped:]
            if self._done + len(piece) > self._size:
                return RegistryError(f"{client.label}: {self._digest} is longer than {self._size} bytes")
            self._write(piece)
            self._done += len(piece)
            if self._progress is not None:
                self._progress(self._done, self._size)
        if self._done < self._size:
            return RegistryError(
                f"{client.label}: {self._digest} ended after {self._done} of {self._size} bytes",
                temporary=True,
            )
        return None


def through(access: RegistryAccess, reference: Reference, attempt: Callable[[Client], T]) -> T:
    """Try at the mirrors in their order and then at the registry itself; the first that succeeds ends it.

    The endpoint that has given something of this repository comes first next time. Raises one
    RegistryError that says what each of them answered: its status is 404 only if all said so.
    """
    failures: list[RegistryError] = []
    candidates = list(endpoints(reference.registry, access))
    served = access.connections.served_by(reference.registry, reference.repository)
    if served in candidates:
        candidates.remove(served)
        candidates.insert(0, served)
    for endpoint in candidates:
        try:
            result = attempt(access.connections.client(endpoint, access))
        except RegistryError as error:
            failures.append(error)
            continue
        access.connections.remember(reference.registry, reference.repository, endpoint)
        return result
    raise _joined(failures)


def _joined(failures: list[RegistryError]) -> RegistryError:
    telling = [error for error in failures if error.status != 404] or failures
    return RegistryError(
        "; ".join(error.message for error in failures),
        status=telling[0].status,
        hint=next((error.hint for error in telling if error.hint), None),
        temporary=any(error.temporary for error in failures),
    )


def pull_scope(name: str) -> tuple[str, ...]:
    """The scope of a token that may read a repository (token specification: scope)."""
    return (f"repository:{name}:pull",)


def _verified(label: str, data: bytes, digest: str) -> str:
    """The digest of some bytes, which must be the given one if there is one."""
    import hashlib

    algorithm = digest.partition(":")[0] or "sha256"
    if algorithm not in ("sha256", "sha512"):
        algorithm, digest = "sha256", ""
    real = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    if digest and real != digest:
        raise RegistryError(f"{label}: it sent {real} where {digest} was expected")
    return real

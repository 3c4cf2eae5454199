"""Uploads: blobs that are not there yet, side by side, then the manifest (distribution-spec, Push)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urljoin

from jettison.dataclass import dataclass
from jettison.errors import Cancelled, RegistryError
from jettison.oci.manifest import LARGEST
from jettison.oci.reference import Reference
from jettison.oci.registry.client import Client, Reply, Request
from jettison.oci.registry.endpoints import endpoints
from jettison.oci.registry.failure import pause_before
from jettison.oci.registry.transport import wait
from jettison.side_by_side import side_by_side

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess
    from jettison.oci.registry.sending import FileBody

Progress = Callable[[int, int], None]
_CHUNK = 16 * 1024 * 1024
_CHUNKED_AFTER = frozenset((404, 405, 411, 413, 501))
"""Statuses of registries, and of proxies before them, that take no upload in one piece."""
_LONGEST_REPLY = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """A blob to push. `open` gives its bytes, anew each time; it is not called for a blob that is there.

    `mount_from` names repositories of the same registry that may have it.
    """

    digest: str
    size: int
    open: Callable[[], BinaryIO]
    mount_from: tuple[str, ...] = ()


def push(
    access: RegistryAccess,
    reference: Reference,
    uploads: Sequence[Upload],
    manifest: bytes,
    media_type: str,
    *,
    progress: Progress | None = None,
    jobs: int = 4,
) -> str:
    """Push an image: its blobs, then its manifest under the reference's tag (or by digest, if it has none).

    Gives the digest of the manifest. `progress` gets the bytes done and the bytes of all blobs; it is
    called from several threads, never from two at once. Raises RegistryError.
    """
    endpoint = endpoints(reference.registry, access, push=True)[0]
    client = access.connections.client(endpoint, access)
    unique = {upload.digest: upload for upload in uploads}
    stop = Event()
    counter = _Counter(sum(upload.size for upload in unique.values()), progress, stop)
    jobs_of = [_Job(client, reference.repository, upload, counter).run for upload in unique.values()]
    try:
        client.connect()
        side_by_side(jobs_of, jobs, stop)
        return put_manifest(client, reference, manifest, media_type)
    except RegistryError as error:
        raise _not_pushed(reference, error) from error


def mountable(target: Reference, origin: str) -> tuple[str, ...]:
    """The repository that a layer came from, if blobs can be mounted from it into the target.

    `origin` is what the store keeps with a layer: "registry:REFERENCE", or something that is no registry.
    """
    from jettison.oci.reference import parse

    if not origin.startswith("registry:"):
        return ()
    source = parse(origin.removeprefix("registry:"))
    return (source.repository,) if source.registry == target.registry else ()


def _not_pushed(reference: Reference, error: RegistryError) -> RegistryError:
    hint = error.hint
    if error.status == 404:
        hint = f"the repository {reference.repository} may have to be created there first; check its name"
    elif error.status in (401, 403):
        hint = (
            f"pushing needs an account that may write to {reference.repository}; {hint or 'check its rights'}"
        )
    return RegistryError(
        f"{reference.familiar()} was not pushed: {error.message}",
        status=error.status,
        hint=hint,
        temporary=error.temporary,
    )


def put_manifest(client: Client, reference: Reference, manifest: bytes, media_type: str) -> str:
    """Let the manifest appear under its tag or digest, and give its digest. Raises RegistryError."""
    from hashlib import sha256

    digest = "sha256:" + sha256(manifest).hexdigest()
    name = reference.repository
    if len(manifest) > LARGEST:
        raise RegistryError(
            f"{reference}: the manifest has {len(manifest)} bytes; at most {LARGEST} are allowed"
        )
    reply = client.send(
        Request(
            "PUT",
            f"/v2/{name}/manifests/{reference.tag or digest}",
            repository=name,
            scopes=push_scope(name),
            headers={"Content-Type": media_type},
            body=manifest,
            ok=(200, 201, 202),
            action=f"pushing the manifest of {reference.familiar()}",
        ),
        _LONGEST_REPLY,
    )
    told = reply.headers.get("Docker-Content-Digest", digest)
    if told.startswith("sha256:") and told != digest:
        raise RegistryError(f"{client.label}: it stored the manifest as {told} instead of {digest}")
    return digest


def push_scope(name: str, *mount_from: str) -> tuple[str, ...]:
    """The scopes of a token that may write a repository, and read those that blobs are mounted from."""
    return (f"repository:{name}:pull,push", *(f"repository:{other}:pull" for other in mount_from))


class _Counter:
    """Bytes done over all blobs of a push, and whether it was given up."""

    def __init__(self, total: int, progress: Progress | None, stop: Event) -> None:
        self.stop = stop
        self._total = total
        self._done = 0
        self._progress = progress
        self._lock = Lock()

    def add(self, count: int) -> None:
        """More bytes are done; a negative count takes back what a failed try had added."""
        if self._progress is None or count == 0:
            return
        with self._lock:
            self._done += count
            self._progress(self._done, self._total)


class _Job:
    """One blob on its way."""

    def __init__(self, client: Client, repository: str, upload: Upload, counter: _Counter) -> None:
        self._client = client
        self._name = repository
        self._upload = upload
        self._counter = counter
        self._sent = 0

    def run(self) -> None:
        """Bring the blob there in the cheapest way that works. Raises RegistryError."""
        if self._is_there() or any(self._mount(other) for other in self._upload.mount_from):
            self._counter.add(self._upload.size)
            return
        attempt = 1
        while True:
            try:
                return self._put(self._start())
            except RegistryError as error:
                self._take_back()
                if error.status in _CHUNKED_AFTER and self._upload.size > 0:
                    return self._put_chunks()
                # an upload address may be gone after a failure, so the whole upload begins again
                if not error.temporary or attempt >= self._client.access.attempts:
                    raise
            attempt += 1
            wait(pause_before(attempt, self._client.access.first_pause, None))

    def _send(self, method: str, target: str, ok: tuple[int, ...], **more: object) -> Reply:
        request = Request(
            method,
            target,
            repository=self._name,
            scopes=push_scope(self._name),
            ok=ok,
            action=f"pushing {self._upload.digest}",
            **more,  # type: ignore[arg-type]
        )
        return self._client.send(request, _LONGEST_REPLY)

    def _is_there(self) -> bool:
        reply = self._send("HEAD", f"/v2/{self._name}/blobs/{self._upload.digest}", (200, 404))
        return reply.status == 200

    def _mount(self, other: str) -> bool:
        if other == self._name:
            return False
        query = f"mount={quote(self._upload.digest)}&from={quote(other, safe='')}"
        request = Request(
            "POST",
            f"/v2/{self._name}/blobs/uploads/?{query}",
            repository=self._name,
            scopes=push_scope(self._name, other),
            ok=(201, 202),
            action=f"mounting {self._upload.digest} from {other}",
        )
        try:
            reply = self._client.send(request, _LONGEST_REPLY)
        except RegistryError as error:
            if error.status in (400, 401, 403, 404, 405):
                return False
            raise
        if reply.status == 201:
            return True
        # the registry has opened an upload instead, which nobody will finish
        try:
            self._send("DELETE", self._location(reply), (200, 202, 204, 404, 405))
        except RegistryError:
            pass
        return False

    def _start(self) -> str:
        return self._location(self._send("POST", f"/v2/{self._name}/blobs/uploads/", (202,)))

    def _location(self, reply: Reply) -> str:
        location = reply.headers.get("Location", "")
        if not location:
            raise RegistryError(f"{self._client.label}: it gave no address for the upload")
        return urljoin(self._client.connect(), location)

    def _finish(self, location: str) -> str:
        joint = "&" if "?" in location else "?"
        return f"{location}{joint}digest={quote(self._upload.digest)}"

    def _put(self, location: str) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(self._upload.size)}
        request = Request(
            "PUT",
            self._finish(location),
            repository=self._name,
            scopes=push_scope(self._name),
            headers=headers,
            body=self._open,
            ok=(201, 204),
            action=f"pushing {self._upload.digest}",
        )
        self._client.send(request, _LONGEST_REPLY, attempts=1)

    def _open(self) -> FileBody:
        from jettison.oci.registry.sending import FileBody

        self._take_back()
        return FileBody(self._upload.open(), self._count)

    def _count(self, count: int) -> None:
        if self._counter.stop.is_set():
            raise Cancelled("the upload was stopped")
        self._sent += count
        self._counter.add(count)

    def _take_back(self) -> None:
        """What a failed try had sent does not count."""
        self._counter.add(-self._sent)
        self._sent = 0

    def _put_chunks(self) -> None:
        """In pieces, each acknowledged (distribution-spec, Pushing a blob in chunks)."""
        location = self._start()
        at = 0
        with self._upload.open() as file:
            while piece := file.read(_CHUNK):
                headers = {
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(len(piece)),
                    "Content-Range": f"{at}-{at + len(piece) - 1}",
                }
                reply = self._send("PATCH", location, (202, 204), headers=headers, body=piece)
                location = self._location(reply)
                at += len(piece)
                self._counter.add(len(piece))
        self._send("PUT", self._finish(location), (201, 204), headers={"Content-Length": "0"})

"""What a request reads from this machine: contexts, the Dockerfile's text, secrets and agents."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from jettison.dataclass import dataclass, replace
from jettison.errors import NotFound, SourceError, UsageError
from jettison.request import BuildRequest

_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class Contexts:
    """The build contexts of a request: folders by name ("" is the main one), and images by name."""

    folders: Mapping[str, str]
    images: Mapping[str, str]


def sort_contexts(request: BuildRequest) -> Contexts:
    """Tell folders from images among --build-context. Raises UsageError and NotFound."""
    folders: dict[str, str] = {}
    images: dict[str, str] = {}
    for name, value in request.build_contexts.items():
        scheme, _, rest = value.partition("://")
        if value.startswith(("oci-layout://", "docker-image://")):
            if not rest:
                raise UsageError(f"--build-context {name}={value} names nothing behind {scheme}://")
            images[name] = value
        elif "://" in value or value.startswith(("git@", "target:")):
            raise UsageError(
                f"--build-context {name}={value}: this kind of context is not supported yet",
                hint="use a folder, oci-layout://FOLDER[:TAG|@DIGEST] or docker-image://REFERENCE",
            )
        elif not os.path.isdir(value):
            raise NotFound(f"--build-context {name}={value}: there is no such folder")
        else:
            folders[name] = value
    return Contexts(folders, images)


def read_dockerfile(request: BuildRequest, folder: str) -> tuple[bytes, str, str]:
    """The Dockerfile's bytes, the name that messages use, and its path ("" when it is no file)."""
    if request.file_text is not None:
        return request.file_text.encode("utf-8", "surrogateescape"), "Dockerfile", ""
    path = request.file or os.path.join(folder, "Dockerfile")
    if request.file and not os.path.exists(path):
        inside = os.path.join(folder, request.file)
        path = inside if os.path.exists(inside) else path
    shown = os.path.relpath(path) if not request.file else request.file
    try:
        with open(path, "rb") as file:
            return file.read(), shown if not shown.startswith("../..") else path, path
    except FileNotFoundError as error:
        hint = "name it with -f FILE"
        if not request.file and os.path.isdir(folder):
            near = [name for name in sorted(os.listdir(folder)) if "dockerfile" in name.lower()]
            hint = f"the context has {', '.join(near[:3])}: name one with -f" if near else hint
        raise NotFound(f"no such file: {shown}: the Dockerfile was not found", hint=hint) from error
    except OSError as error:
        raise SourceError(f"cannot read the Dockerfile {shown}: {error.strerror}") from error


def open_stream(request: BuildRequest, new_folder: Callable[[str], str]) -> tuple[str, BuildRequest]:
    """The folder for a context that came on standard input, and the request that goes on with it.

    A tar, compressed or not, is unpacked; anything else is the Dockerfile itself, with an empty context.
    """
    data = request.context_stream or b""
    folder = new_folder("context")
    if data[:6].startswith(_ARCHIVES) or data[257:262] == b"ustar":
        _unpack(data, folder)
        return folder, request
    if request.file and request.file_text is None:
        raise UsageError(
            f"-f {request.file} names a file of the context, but standard input is a Dockerfile",
            hint="send a tar of the context, or leave -f out",
        )
    text = data.decode("utf-8", "surrogateescape")
    return folder, request if request.file_text is not None else replace(request, file_text=text)


def _unpack(data: bytes, folder: str) -> None:
    import io
    import tarfile

    if data.startswith(_ARCHIVES[3]):
        import zstandard

        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(folder, filter="tar")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SourceError(
            f"the build context on standard input cannot be unpacked: {error}",
            hint="send a tar (plain, gzip, bzip2, xz or zstd) of a folder",
        ) from error


def secret_values(request: BuildRequest) -> Callable[[str], bytes | None]:
    """Gives a secret's value by id, read when a step needs it. Raises NotFound and UsageError."""
    secrets = {secret.id: secret for secret in request.secrets}

    def value(name: str) -> bytes | None:
        secret = secrets.get(name)
        if secret is None:
            return None
        if secret.env:
            text = request.environment.get(secret.env)
            if text is None:
                raise NotFound(f"--secret id={name}: the variable {secret.env} is not set")
            return text.encode("utf-8", "surrogateescape")
        try:
            with open(secret.src, "rb") as file:
                return file.read()
        except OSError as error:
            raise NotFound(f"--secret id={name}: cannot read {secret.src}: {error.strerror}") from error

    return value


def agent_sockets(request: BuildRequest) -> Mapping[str, str]:
    """The agent sockets of --ssh, by id: `default`, `ID` (both SSH_AUTH_SOCK) or `ID=SOCKET`."""
    out: dict[str, str] = {}
    for item in request.ssh:
        name, _, path = item.partition("=")
        path = path or request.environment.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {item}: SSH_AUTH_SOCK is not set", hint="start an agent, or name its socket"
            )
        if not os.path.exists(path):
            raise NotFound(f"--ssh {item}: there is no {path}")
        out[name] = path
    return out

"""What a request reads from this machine: contexts, the Dockerfile's text and agents.

A build context that is no folder (an archive, standard input, a URL, a git repository) becomes one in
the store's folder for this build, and goes with it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO, Literal

from jettison.dataclass import dataclass, replace
from jettison.errors import NotFound, SourceError, UsageError
from jettison.events import CONTEXT, ContextFetched, Emit, Pace
from jettison.request import BuildRequest, Reader

if TYPE_CHECKING:
    from jettison.executor.remote import Remotes
    from jettison.sources.git import GitAccess
    from jettison.sources.http import HttpAccess
    from jettison.sources.tarball import Peeked

_REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")
_STDIN = "the build context on standard input"


@dataclass(frozen=True, slots=True)
class Contexts:
    """The build contexts of a request: folders by name ("" is the main one), and images by name.

    Among the folders are archives, URLs and repositories, as they were written, until `fetch_contexts`.
    """

    folders: Mapping[str, str]
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MainContext:
    """The main build context as a folder, and the request that goes on with it.

    `fetched`: it was brought here, and holds nothing of the caller's own.
    """

    folder: str
    request: BuildRequest
    fetched: bool = False


@dataclass(frozen=True, slots=True)
class Fetching:
    """How contexts are brought here. `new_folder` makes folders that are gone after the build."""

    http: HttpAccess
    git: GitAccess
    new_folder: Callable[[str], str]
    emit: Emit
    cancel: threading.Event
    keep_git_dir: bool = False


def fetching_with(
    remotes: Remotes, request: BuildRequest, new_folder: Callable[[str], str], emit: Emit
) -> Fetching:
    """How the contexts of a request are brought here; ssh may use the caller's own agent for them."""
    agent = remotes.git.ssh_agent or request.environment.get("SSH_AUTH_SOCK", "")
    keep = request.build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR") in ("1", "true")
    git = replace(remotes.git, ssh_agent=agent)
    return Fetching(remotes.http, git, new_folder, emit, remotes.cancel, keep)


def kind_of(context: str) -> Literal["folder", "git", "http", "archive", ""]:
    """What a build context is, by its name and by what is on this machine; "" is nothing that is known."""
    if os.path.isdir(context):
        return "folder"
    if context.startswith(_REMOTE) or "://" in context or "@" in context:
        from jettison.sources.git import parse_git

        if parse_git(context) is not None:
            return "git"
        if context.startswith(("http://", "https://")):
            return "http"
    return "archive" if os.path.exists(context) else ""


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
        elif value.startswith("target:"):
            raise UsageError(
                f"--build-context {name}={value}: there are no other builds to take a target from",
                hint="build it first, and name its image: docker-image://NAME; or make it a stage",
            )
        elif kind_of(value):
            folders[name] = value
        elif "://" in value:
            raise UsageError(
                f"--build-context {name}={value}: there is no such kind of context",
                hint="a folder, an archive, a URL, a git repository, oci-layout:// or docker-image://",
            )
        else:
            raise NotFound(f"--build-context {name}={value}: there is no such folder")
    return Contexts(folders, images)


def open_main(request: BuildRequest, fetching: Callable[[], Fetching]) -> MainContext:
    """The main build context: as it is if it is a folder, else brought here.

    What is a Dockerfile in place of a context becomes the request's `file_text`, with an empty folder.
    Raises NotFound, SourceError, UsageError and Cancelled.
    """
    context = request.context
    kind = "stdin" if context == "-" else kind_of(context)
    if kind == "folder":
        return MainContext(context, request)
    if kind == "git":
        return MainContext(_fetch_git("", context, fetching()), request, True)
    if kind == "stdin":
        import io

        given = request.context_stream or b""
        stream = io.BytesIO(given) if isinstance(given, bytes) else given
        return _from_stream(stream, _STDIN, request, fetching())
    if kind == "http":
        with open(_download("", context, fetching()), "rb") as file:
            return _from_stream(file, f"the build context {_shown(context)}", request, fetching())
    if kind == "archive":
        return MainContext(_open_archive("", context, fetching()), request, True)
    raise NotFound(
        f"the build context {context!r} is not a folder",
        hint="give the folder that holds the files, often: .",
    )


def fetch_contexts(contexts: Contexts, names: Iterable[str], fetching: Callable[[], Fetching]) -> Contexts:
    """Bring the named contexts here that a build uses, so that their folders are folders.

    Raises NotFound, SourceError, UsageError and Cancelled.
    """
    folders = dict(contexts.folders)
    for name in names:
        value = folders[name]
        kind = kind_of(value)
        if kind == "git":
            folders[name] = _fetch_git(name, value, fetching())
        elif kind == "http":
            folders[name] = _open_archive(name, value, fetching(), _download(name, value, fetching()))
        elif kind == "archive":
            folders[name] = _open_archive(name, value, fetching())
    return Contexts(folders, contexts.images)


def _fetch_git(name: str, value: str, fetching: Fetching) -> str:
    from jettison.sources.git import fetch_git, parse_git, resolve_commit, shown_repository

    source = parse_git(value)
    assert source is not None
    commit = resolve_commit(source, fetching.git)
    keep = fetching.keep_git_dir if source.keep_git_dir is None else source.keep_git_dir
    folder = fetch_git(
        source,
        commit,
        fetching.new_folder("context"),
        keep_git_dir=keep,
        commit_times=True,
        access=fetching.git,
    )
    where = ":".join(filter(None, (source.ref, source.subdir))) if source.ref else ""
    where = where or (f":{source.subdir}" if source.subdir else "")
    shown = shown_repository(source.url) + (f"#{where}" if where else "")
    fetching.emit(ContextFetched(time.time(), name, shown, commit))
    return folder


def _download(name: str, url: str, fetching: Fetching) -> str:
    """A file with what a URL holds now."""
    from jettison.sources.http import fetch_url

    shown = _shown(url)
    pace = Pace(fetching.emit, CONTEXT, f"context {shown}")
    path = f"{fetching.new_folder('download')}/content"
    got = fetch_url(url, path, access=fetching.http, cancel=fetching.cancel, progress=pace.reach)
    pace.end()
    fetching.emit(ContextFetched(time.time(), name, shown, got.digest, got.size))
    return path


def _open_archive(name: str, value: str, fetching: Fetching, path: str = "") -> str:
    """The folder with an archive's content: a file of this machine, or what was downloaded to `path`."""
    from jettison.sources.tarball import Peeked, is_archive

    shown = _shown(value) if path else value
    with _opened(path or value, shown) as file:
        stream = Peeked(file)
        if not is_archive(stream.head):
            of = f"--build-context {name}={shown}" if name else f"the build context {shown}"
            hint = "give its folder, and the Dockerfile with -f" if not name else "give a folder or a tar"
            raise UsageError(f"{of} is neither a folder nor an archive", hint=hint)
        folder = _unpack(stream, f"the archive {shown}", fetching)
    if not path:
        fetching.emit(ContextFetched(time.time(), name, shown, ""))
    return folder


def _opened(path: str, shown: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise SourceError(f"cannot read the build context {shown}: {error.strerror}") from error


def _unpack(stream: Peeked, what: str, fetching: Fetching) -> str:
    from jettison.sources.tarball import unpack
    from jettison.sources.waiting import interruptible

    folder = fetching.new_folder("context")
    interruptible(lambda: unpack(stream, folder, what, fetching.cancel), fetching.cancel)
    return folder


def _from_stream(source: Reader, what: str, request: BuildRequest, fetching: Fetching) -> MainContext:
    """A context from a stream: a tar, compressed or not, or the Dockerfile itself with nothing around it."""
    from jettison.sources.tarball import Peeked, is_archive

    stream = Peeked(source)
    if is_archive(stream.head):
        return MainContext(_unpack(stream, what, fetching), request, True)
    data = stream.read()
    if b"\0" in data[:4096]:
        raise SourceError(
            f"{what} is neither a tar archive nor a Dockerfile",
            hint="send a tar (plain, gzip, bzip2, xz or zstd), or the text of a Dockerfile",
        )
    if request.file and request.file_text is None:
        raise UsageError(
            f"-f {request.file} names a file of the context, but {what} is a Dockerfile",
            hint="send a tar of the context, or leave -f out",
        )
    if request.file_text is None:
        request = replace(request, file_text=data.decode("utf-8", "surrogateescape"))
    return MainContext(fetching.new_folder("context"), request, True)


def _shown(url: str) -> str:
    from jettison.sources.http import shown_url

    return shown_url(url)


def read_dockerfile(main: MainContext) -> tuple[bytes, str, str]:
    """The Dockerfile's bytes, the name that messages use, and its path ("" when it is no file)."""
    request, folder = main.request, main.folder
    if request.file_text is not None:
        return request.file_text.encode("utf-8", "surrogateescape"), "Dockerfile", ""
    path = request.file or os.path.join(folder, "Dockerfile")
    if main.fetched:
        path = os.path.join(folder, (request.file or "Dockerfile").lstrip("/"))
        _refuse_outside(path, folder, request.file or "Dockerfile")
    elif request.file and not os.path.exists(path):
        inside = os.path.join(folder, request.file)
        path = inside if os.path.exists(inside) else path
    if not main.fetched and _is_below(os.path.abspath(path), os.path.abspath(folder)):
        _refuse_outside(path, folder, request.file or "Dockerfile")
    shown = os.path.relpath(path) if not request.file and not main.fetched else request.file or "Dockerfile"
    try:
        with open(path, "rb") as file:
            return file.read(), shown if not shown.startswith("../..") else path, path
    except FileNotFoundError as error:
        hint = "name it with -f FILE"
        if main.fetched and request.file:
            hint = "-f names a file of that context; a file of this machine is sent by -f - < FILE"
        elif not request.file and os.path.isdir(folder):
            near = [name for name in sorted(os.listdir(folder)) if "dockerfile" in name.lower()]
            hint = f"the context has {', '.join(near[:3])}: name one with -f" if near else hint
        raise NotFound(f"no such file: {shown}: the Dockerfile was not found", hint=hint) from error
    except OSError as error:
        raise SourceError(f"cannot read the Dockerfile {shown}: {error.strerror}") from error


def _refuse_outside(path: str, folder: str, shown: str) -> None:
    """A context must not choose which file of this machine is read and shown, nor wait for ever."""
    real = os.path.realpath(path)
    if not _is_below(real, os.path.realpath(folder)):
        raise SourceError(
            f"the Dockerfile {shown} is a symlink that leads out of the build context",
            hint="put the file there, or name the one that it leads to with -f",
        )
    if os.path.exists(real) and not os.path.isfile(real) and not os.path.isdir(real):
        raise SourceError(f"the Dockerfile {shown} is no regular file", hint="put a file there")


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def agent_sockets(request: BuildRequest) -> Mapping[str, str]:
    """The agents of --ssh, by id: `default`, `ID` (both SSH_AUTH_SOCK), `ID=SOCKET` or `ID=KEY[,KEY]`."""
    out: dict[str, str] = {}
    for item in request.ssh:
        name, _, path = item.partition("=")
        path = path or request.environment.get("SSH_AUTH_SOCK", "")
        if not path:
            raise UsageError(
                f"--ssh {item}: SSH_AUTH_SOCK is not set", hint="start an agent, or name its socket"
            )
        # One path may hold a comma; several are key files.
        parts = [path] if os.path.exists(path) else path.split(",")
        for part in parts:
            if not os.path.exists(part):
                raise NotFound(f"--ssh {item}: there is no {part}")
        out[name] = ",".join(map(os.path.abspath, parts))
    return out

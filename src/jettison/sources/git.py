"""ADD of a git repository, and git repositories as build contexts, by way of the `git` program."""

from __future__ import annotations

import os
import posixpath
import re
import signal
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from jettison.dataclass import dataclass, field, replace
from jettison.errors import Cancelled, NotFound, SourceError
from jettison.graph.ops import GitOp
from jettison.sources.git_auth import Secrets, authorized, no_secret
from jettison.store.base import Entry, LayerWriter

if TYPE_CHECKING:
    import subprocess
    import threading

_SCP = re.compile(r"(?:[A-Za-z0-9._-]+)@[A-Za-z0-9.-]+:(?!/?\d+/)[^\s]+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_SHORT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_SCHEMES = ("http", "https", "git", "ssh", "git+ssh", "file")
_TIMEOUT = 600.0
_LOOK = 0.1
"""Seconds between two looks at whether the build was stopped."""


@dataclass(frozen=True, slots=True)
class GitSource:
    """A repository as it was written: where it is, which branch, tag or commit of it, which folder.

    `ref` "" is its HEAD. `checksum` is the commit (or its first digits) that `ref` has to be.
    """

    url: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None


@dataclass(frozen=True, slots=True)
class GitAccess:
    """What the git program may use.

    `protocols` are git's names; `ssh_agent` is the socket of an agent, or key files with commas between.
    """

    program: str = "git"
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    protocols: tuple[str, ...] = ("https", "http", "git", "ssh")
    ssh_agent: str = ""
    ca_bundle: str = ""
    timeout: float = _TIMEOUT
    """Seconds that one call of git may take."""
    silence: float = 60.0
    """Seconds that an http server may send nothing."""
    proxies: Mapping[str, str] = field(default_factory=dict)
    """Proxies by http and https; "no" lists hosts that are reached without."""
    cancel: threading.Event | None = None
    """Ends git when it is set, with Cancelled."""
    secrets: Secrets = no_secret
    variables: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables."""


def parse_git(text: str) -> GitSource | None:
    """The repository that a source of ADD or a build context names, or None when it is none.

    Understood are `https://host/x.git`, `git://`, `ssh://`, `user@host:path`, each with
    `#ref:subdir`, or with `?ref=…&branch=…&tag=…&subdir=…&checksum=…&keep-git-dir=…`. Raises SourceError
    for a query that isn't.
    """
    before, _, fragment = text.partition("#")
    if before.startswith("github.com/"):
        before = f"https://{before.removesuffix('.git')}.git"
    if _SCP.fullmatch(before) and "://" not in before:
        return _with_fragment(GitSource(before), fragment)
    parts = urlsplit(before)
    if parts.scheme not in _SCHEMES or (not parts.netloc and parts.scheme != "file"):
        return None
    query = parse_qsl(parts.query, keep_blank_values=True)
    plain = parts._replace(query="").geturl()
    if parts.scheme in ("http", "https", "file") and not parts.path.rstrip("/").endswith(".git"):
        return None
    if fragment and query:
        raise SourceError(f"{text!r} has both a # and a query", hint="use one of them")
    return _with_query(GitSource(plain), query, text) if query else _with_fragment(GitSource(plain), fragment)


def pin_git(
    url: str, checksum: str = "", keep_git_dir: bool = False, access: GitAccess | None = None
) -> GitOp:
    """Pin a repository, as ADD names it, to the commit that it is at now. Raises NotFound and SourceError."""
    source = parse_git(url)
    if source is None:
        raise SourceError(
            f"{url!r} is no git repository",
            hint="write https://HOST/PATH.git#REF:FOLDER or git@HOST:PATH#REF",
        )
    if checksum:
        source = replace(source, checksum=checksum)
    keep = keep_git_dir if source.keep_git_dir is None else source.keep_git_dir
    return GitOp(source.url, resolve_commit(source, access), source.subdir, keep)


def write_git(
    op: GitOp, writer: LayerWriter, folder: str, cancel: threading.Event, access: GitAccess | None = None
) -> None:
    """Check a pinned commit out below `folder`, and write the layer with its files, but don't commit that.

    Files belong to root, and have the time of the commit. Raises NotFound, SourceError and Cancelled.
    """
    access = access or GitAccess()
    checkout = f"{folder}/checkout"
    os.mkdir(checkout, 0o755)
    source = GitSource(op.url, subdir=op.subdir)
    top = fetch_git(source, op.commit, checkout, keep_git_dir=True, access=access)
    time_ns = _commit_time(access, checkout) * 1_000_000_000
    if not op.keep_git_dir:
        _drop_git_dirs(checkout)
    for entry, file in sorted(_entries(top, "", time_ns), key=lambda found: found[0].path):
        if cancel.is_set():
            raise Cancelled("the build was stopped")
        writer.add(entry, file or None)


def resolve_commit(source: GitSource, access: GitAccess | None = None) -> str:
    """The commit that a repository's ref names now. Asks the server, except for a ref that is a full commit.

    Raises NotFound when there is no such ref, SourceError when the repository can't be
    reached or the commit isn't the one that `checksum` asks for.
    """
    access = access or GitAccess()
    if _COMMIT.fullmatch(source.ref):
        return _checked(source, source.ref)
    _refuse_option(source)
    ref = source.ref or "HEAD"
    url, access = _authorized(source, access)
    out = _git(["ls-remote", "--", url, ref, f"{ref}^{{}}"], access, what=shown_repository(source.url))
    found: dict[str, str] = {}
    for line in out.splitlines():
        commit, _, name = line.partition("\t")
        found[name] = commit
    names = [ref] if ref == "HEAD" else [ref, f"refs/heads/{ref}", f"refs/tags/{ref}"]
    for name in names:
        commit = found.get(f"{name}^{{}}") or found.get(name) or ""
        if _COMMIT.fullmatch(commit):
            return _checked(source, commit)
    if _SHORT.fullmatch(ref):
        raise NotFound(
            f"{shown_repository(source.url)} has no branch or tag {ref}",
            hint="a commit has to be written with all its 40 digits",
        )
    raise NotFound(f"{shown_repository(source.url)} has no branch or tag {ref}", hint="check its name")


def fetch_git(
    source: GitSource,
    commit: str,
    folder: str,
    *,
    keep_git_dir: bool = False,
    commit_times: bool = False,
    access: GitAccess | None = None,
) -> str:
    """Check one commit out into an empty folder, submodules too, and give the path of `subdir` in it.

    `commit_times` gives all files the time of the commit.

    Raises NotFound when the folder isn't in the commit.
    """
    access = access or GitAccess()
    if not _COMMIT.fullmatch(commit):
        raise SourceError(f"{commit!r} is no full commit")
    _refuse_option(source)
    shown = shown_repository(source.url)
    _git(["init", "--quiet", "--initial-branch=main", folder], access, what=shown)
    url, access = _authorized(source, access)
    _git(["remote", "add", "origin", url], access, folder, shown)
    try:
        _git(["fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit], access, folder, shown)
    except SourceError:
        # Some servers hand out commits only by way of the refs that lead to them.
        _git(
            ["fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*"],
            access,
            folder,
            shown,
        )
    _git(["checkout", "--quiet", "--detach", "--force", commit], access, folder, shown)
    if os.path.lexists(os.path.join(folder, ".gitmodules")):
        update = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"]
        _git(update, access, folder, shown)
    if commit_times:
        _set_times(folder, access)
    if not keep_git_dir:
        _drop_git_dirs(folder)
    return _below(folder, source)


def _set_times(folder: str, access: GitAccess) -> None:
    """Give all files of a checkout the time of its commit, so that equal commits make equal layers."""
    seconds = _commit_time(access, folder)
    for path, folders, files in os.walk(folder, topdown=False):
        for name in (*folders, *files):
            os.utime(os.path.join(path, name), (seconds, seconds), follow_symlinks=False)


def _commit_time(access: GitAccess, folder: str) -> int:
    return max(0, int(_git(["show", "--no-patch", "--format=%ct", "HEAD"], access, folder).split()[-1]))


def _entries(folder: str, prefix: str, time_ns: int) -> Iterator[tuple[Entry, str]]:
    todo = [(prefix, folder)]
    while todo:
        prefix, folder = todo.pop()
        with os.scandir(folder) as found:
            for item in found:
                path = prefix + item.name
                if item.is_symlink():
                    yield Entry(path, "symlink", 0o777, mtime_ns=time_ns, link=os.readlink(item.path)), ""
                elif item.is_dir(follow_symlinks=False):
                    yield Entry(path, "dir", 0o755, mtime_ns=time_ns), ""
                    todo.append((path + "/", item.path))
                else:
                    at = item.stat(follow_symlinks=False)
                    yield Entry(path, "file", at.st_mode & 0o755, 0, 0, time_ns, at.st_size), item.path


def _with_fragment(source: GitSource, fragment: str) -> GitSource:
    ref, _, subdir = fragment.partition(":")
    return replace(source, ref=unquote(ref), subdir=_subdir(unquote(subdir)))


def _with_query(source: GitSource, query: list[tuple[str, str]], text: str) -> GitSource:
    for key, value in query:
        if key in ("ref", "branch", "tag"):
            if source.ref:
                raise SourceError(f"{text!r} names more than one ref", hint="give one of ref, branch and tag")
            prefix = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}[key]
            source = replace(source, ref=prefix + value)
        elif key == "subdir":
            source = replace(source, subdir=_subdir(value))
        elif key in ("checksum", "commit"):
            source = replace(source, checksum=value)
        elif key == "keep-git-dir":
            source = replace(source, keep_git_dir=value.lower() in ("", "1", "true"))
        else:
            raise SourceError(
                f"{text!r}: {key!r} is no option of a git source",
                hint="there are ref, branch, tag, subdir, checksum and keep-git-dir",
            )
    return source


def _subdir(text: str) -> str:
    clean = posixpath.normpath("/" + text).lstrip("/")
    return "" if clean == "." else clean


def _checked(source: GitSource, commit: str) -> str:
    if source.checksum and not commit.startswith(source.checksum.lower()):
        raise SourceError(
            f"{shown_repository(source.url)} is at commit {commit},"
            f" but the checksum asks for {source.checksum}",
            hint="the branch or tag has moved, or the checksum is one of another commit",
        )
    return commit


def _authorized(source: GitSource, access: GitAccess) -> tuple[str, GitAccess]:
    url, variables = authorized(source.url, access.secrets)
    return url, replace(access, variables=variables) if variables else access


def _refuse_option(source: GitSource) -> None:
    if source.url.startswith("-") or source.ref.startswith("-"):
        raise SourceError(f"{source.url} {source.ref}: a repository or ref does not start with a dash")


def _below(folder: str, source: GitSource) -> str:
    path = os.path.join(folder, source.subdir) if source.subdir else folder
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if not os.path.isdir(real) or (real != root and not real.startswith(root + "/")):
        raise NotFound(f"{shown_repository(source.url)} has no folder {source.subdir}")
    return real


def _drop_git_dirs(folder: str) -> None:
    from shutil import rmtree

    for path, folders, files in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
            rmtree(os.path.join(path, ".git"))
        elif ".git" in files:
            os.unlink(os.path.join(path, ".git"))


def _git(arguments: list[str], access: GitAccess, folder: str = "/", what: str = "") -> str:
    """Run git with nothing of the user's: no configuration, no hooks, no questions."""
    import subprocess

    safe = ["core.hooksPath=/dev/null", "core.fsmonitor=false", "core.autocrlf=false", "safe.directory=*"]
    safe += ["http.lowSpeedLimit=1", f"http.lowSpeedTime={max(1, round(access.silence))}"]
    command = [access.program, *(part for option in safe for part in ("-c", option)), *arguments]
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(access),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            umask=0o022,
            process_group=0,
        )
    except FileNotFoundError as error:
        raise SourceError(
            f"{what} is a git repository, but there is no git program here", hint="install git"
        ) from error
    with process:
        try:
            out, err = _listen(process, access, what)
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        said = err.decode("utf-8", "replace").strip().splitlines()
        raise SourceError(
            f"git cannot {arguments[0]} {what}: {said[-1] if said else f'status {process.returncode}'}",
            hint="check the address; the secret GIT_AUTH_TOKEN opens private repositories over https",
        )
    return out.decode("utf-8", "surrogateescape")


def _environment(access: GitAccess) -> dict[str, str]:
    environment = {
        "PATH": access.path,
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_ALLOW_PROTOCOL": ":".join(access.protocols),
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    }
    if os.path.isfile(access.ssh_agent.partition(",")[0]):
        from shlex import quote

        keys = "".join(f" -i {quote(key)}" for key in access.ssh_agent.split(","))
        environment["GIT_SSH_COMMAND"] += f" -o IdentitiesOnly=yes{keys}"
    elif access.ssh_agent:
        environment["SSH_AUTH_SOCK"] = access.ssh_agent
    if access.ca_bundle:
        environment["GIT_SSL_CAINFO"] = access.ca_bundle
    environment |= {f"{kind}_proxy": value for kind, value in access.proxies.items()}
    return {**environment, **access.variables}


def _listen(process: subprocess.Popen[bytes], access: GitAccess, what: str) -> tuple[bytes, bytes]:
    """What git writes to 1 and 2 until its end. Raises Cancelled, and SourceError when it takes too long."""
    import time
    from subprocess import TimeoutExpired

    until = time.monotonic() + access.timeout
    while True:
        try:
            return process.communicate(timeout=_LOOK)
        except TimeoutExpired:
            if access.cancel is not None and access.cancel.is_set():
                raise Cancelled("the build was stopped") from None
            if time.monotonic() > until:
                raise SourceError(
                    f"git took longer than {access.timeout:.0f} s for {what}",
                    hint="try again",
                    temporary=True,
                ) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End git and the helpers that it started, which are in one group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def shown_repository(url: str) -> str:
    """A URL without the password that may stand in it."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

"""ADD of URLs and git repositories: what they stand for now, and their files as a layer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jettison.errors import JettisonError, SourceError
from jettison.executor.copy import run_copy
from jettison.graph.ops import CopyOp, GitOp, HttpOp
from jettison.graph.state import Remote
from jettison.sources.context import ContextTree
from jettison.sources.git import GitAccess, GitSource, fetch_git, parse_git, pin_git
from jettison.sources.http import HttpAccess, fetch_url, name_of, pin_url
from jettison.store.base import Entry, LayerWriter
from jettison.store.view import LayerView


@dataclass(frozen=True, slots=True)
class Remotes:
    """Reads remote sources. `new_file` gives a path where there is nothing yet; `empty` a tree without files.

    `downloaded` holds the files that had to be read to be pinned, by pin.
    """

    http: HttpAccess
    git: GitAccess
    new_file: Callable[[str], str]
    empty: Callable[[], LayerView]
    downloaded: dict[str, str] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)

    def pin(self, remote: Remote) -> HttpOp | GitOp:
        """Ask what a source stands for now. Raises SourceError and NotFound with the instruction's place."""
        try:
            source = parse_git(remote.url)
            if source is None:
                return self._pin_http(remote)
            if remote.checksum:
                source = GitSource(source.url, source.ref, source.subdir, remote.checksum)
            return GitOp(source.url, pin_git(source, self.git), source.subdir, remote.keep_git_dir)
        except JettisonError as error:
            if error.location is None:
                error.location = remote.location
            raise

    def _pin_http(self, remote: Remote) -> HttpOp:
        path = self.new_file("download")
        pinned = pin_url(remote.url, path, checksum=remote.checksum, access=self.http)
        if pinned.fetched is not None:
            self.downloaded[pinned.pin] = path
            self.times[pinned.pin] = pinned.fetched.mtime_ns or 0
        return HttpOp(remote.url, pinned.name, remote.checksum, "600", pinned.pin)

    def write(self, op: HttpOp | GitOp, writer: LayerWriter, progress: Callable[[int, int], None]) -> None:
        """Write the files of a pinned source into a layer."""
        if isinstance(op, GitOp):
            self._write_git(op, writer)
            return
        path = self.downloaded.get(op.pin)
        mtime = self.times.get(op.pin, 0)
        if path is None:
            path = self.new_file("download")
            fetched = fetch_url(
                op.url,
                path,
                checksum=op.checksum,
                pin="" if op.checksum else op.pin,
                access=self.http,
                progress=progress,
            )
            mtime = fetched.mtime_ns or 0
        size = os.stat(path).st_size
        writer.add(Entry(op.name or name_of(op.url), "file", int(op.mode, 8), 0, 0, mtime, size), path)

    def _write_git(self, op: GitOp, writer: LayerWriter) -> None:
        folder = self.new_file("clone")
        os.mkdir(folder, 0o700)
        source = GitSource(op.url, op.commit, op.subdir)
        tree = fetch_git(source, op.commit, folder, keep_git_dir=op.keep_git_dir, access=self.git)
        if not os.path.isdir(tree):
            raise SourceError(f"{op.url}: {op.subdir!r} is no folder", hint="name a folder of the repository")
        everything = CopyOp(dest="/", dest_is_dir=True, paths=("/",))
        run_copy(everything, ContextTree(tree), self.empty(), writer, 0)


def access_of(environment: Mapping[str, str], ca_bundle: str, agent: str) -> tuple[HttpAccess, GitAccess]:
    """How remote sources are reached, from the caller's environment and settings."""
    proxies = {}
    for scheme in ("http", "https"):
        value = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme.upper()}_PROXY")
        if value:
            proxies[scheme] = value
    http = HttpAccess(ca_bundle=ca_bundle or None, proxies=proxies)
    git = GitAccess(path=environment.get("PATH") or GitAccess().path, ssh_agent=agent, ca_bundle=ca_bundle)
    return http, git

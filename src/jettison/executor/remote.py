"""ADD of URLs and git repositories: what they stand for now, and their files as a layer."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from jettison.dataclass import dataclass
from jettison.errors import JettisonError
from jettison.graph.ops import GitOp, HttpOp
from jettison.graph.state import Remote
from jettison.sources.git import GitAccess, parse_git, pin_git, write_git
from jettison.sources.http import HttpAccess, pin_http, write_http
from jettison.store.base import LayerWriter


@dataclass(frozen=True, slots=True)
class Remotes:
    """Reads remote sources: how servers and repositories are reached."""

    http: HttpAccess
    git: GitAccess

    def pin(self, remote: Remote) -> HttpOp | GitOp:
        """Ask what a source stands for now. Raises SourceError and NotFound with the instruction's place."""
        try:
            if parse_git(remote.url) is None:
                return pin_http(remote.url, remote.checksum, self.http)
            return pin_git(remote.url, remote.checksum, remote.keep_git_dir, self.git)
        except JettisonError as error:
            if error.location is None:
                error.location = remote.location
            raise

    def write(self, op: HttpOp | GitOp, writer: LayerWriter, folder: str, cancel: threading.Event) -> None:
        """Write the files of a pinned source into a layer; `folder` is empty and may be filled."""
        if isinstance(op, HttpOp):
            write_http(op, writer, folder, cancel, self.http)
        else:
            write_git(op, writer, folder, cancel, self.git)


def remotes_of(environment: Mapping[str, str], ca_bundle: str, agent: str) -> Remotes:
    """How remote sources are reached, from the caller's environment and settings."""
    proxies = {}
    for scheme in ("http", "https"):
        value = environment.get(f"{scheme}_proxy") or environment.get(f"{scheme.upper()}_PROXY")
        if value:
            proxies[scheme] = value
    http = HttpAccess(ca_bundle=ca_bundle or None, proxies=proxies)
    git = GitAccess(path=environment.get("PATH") or GitAccess().path, ssh_agent=agent, ca_bundle=ca_bundle)
    return Remotes(http, git)

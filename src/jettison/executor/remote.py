"""ADD of URLs and git repositories: what they stand for now, and their files as a layer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import partial

from jettison.dataclass import dataclass, field, replace
from jettison.errors import JettisonError
from jettison.graph.ops import GitOp, HttpOp
from jettison.graph.state import Remote
from jettison.sources.git import GitAccess, parse_git, pin_git, write_git
from jettison.sources.http import HttpAccess, pin_http, write_http
from jettison.store.base import LayerWriter


@dataclass(frozen=True, slots=True)
class Remotes:
    """Reads remote sources for one build: how servers and repositories are reached, and what was seen there.

    `new_name` gives paths for content that has to be fetched to pin it: it is fetched only once.
    """

    http: HttpAccess
    git: GitAccess
    new_name: Callable[[str], str]
    cancel: threading.Event
    _pinned: dict[tuple[str, str, bool], HttpOp | GitOp] = field(default_factory=dict)
    _kept: dict[HttpOp, str] = field(default_factory=dict)

    def pin(self, remote: Remote) -> HttpOp | GitOp:
        """Ask what a source stands for now. Raises SourceError and NotFound with the instruction's place."""
        asked = (remote.url, remote.checksum, remote.keep_git_dir)
        if asked not in self._pinned:
            try:
                self._pinned[asked] = self._pin(remote)
            except JettisonError as error:
                if error.location is None:
                    error.location = remote.location
                raise
        return self._pinned[asked]

    def _pin(self, remote: Remote) -> HttpOp | GitOp:
        if parse_git(remote.url) is not None:
            return pin_git(remote.url, remote.checksum, remote.keep_git_dir, self.git)
        if remote.checksum:
            return pin_http(remote.url, remote.checksum, self.http)
        path = self.new_name("download")
        op = pin_http(remote.url, "", self.http, keep=path, cancel=self.cancel)
        if os.path.exists(path):
            self._kept[op] = path
        return op

    def write(self, op: HttpOp | GitOp, writer: LayerWriter, folder: str, cancel: threading.Event) -> None:
        """Write the files of a pinned source into a layer; `folder` is empty and may be filled."""
        if isinstance(op, HttpOp):
            write_http(op, writer, folder, cancel, self.http, self._kept.get(op, ""))
        else:
            write_git(op, writer, folder, cancel, replace(self.git, cancel=cancel))


def _none(name: str) -> None:
    return None


def remotes_of(
    environment: Mapping[str, str],
    ca_bundle: str,
    read_timeout: float,
    agent: str,
    new_name: Callable[[str], str],
    cancel: threading.Event,
    secrets: Callable[[str], bytes | None] = _none,
) -> Remotes:
    """How remote sources are reached, from the caller's environment, settings and secrets."""
    proxies = {}
    for kind in ("http", "https", "no"):
        value = environment.get(f"{kind}_proxy") or environment.get(f"{kind.upper()}_PROXY")
        if value:
            proxies[kind] = value
    http = HttpAccess(
        ca_bundle=ca_bundle or None,
        proxies=proxies,
        read_timeout=read_timeout,
        authorization=partial(_authorization, secrets),
    )
    git = GitAccess(
        path=environment.get("PATH") or GitAccess().path,
        ssh_agent=agent,
        ca_bundle=ca_bundle,
        silence=read_timeout,
        proxies=proxies,
        cancel=cancel,
        secrets=secrets,
    )
    return Remotes(http, git, new_name, cancel)


def _authorization(secrets: Callable[[str], bytes | None], host: str) -> str:
    """What a host is shown: the secret HTTP_AUTH_HEADER_host, or HTTP_AUTH_TOKEN_host as a bearer token."""
    header = secrets(f"HTTP_AUTH_HEADER_{host}")
    token = secrets(f"HTTP_AUTH_TOKEN_{host}") if header is None else None
    text = header if header is not None else b"Bearer " + token if token is not None else b""
    return text.decode("utf-8", "surrogateescape").strip()

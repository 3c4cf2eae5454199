"""How registries are reached: plain values from whoever read the configuration, and the open connections."""

from __future__ import annotations

import os
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

from jettison.config import Config, RegistryConfig
from jettison.dataclass import dataclass, field

if TYPE_CHECKING:
    from jettison.oci.registry.client import Client
    from jettison.oci.registry.endpoints import Endpoint


class Connections:
    """The clients that one build has open, so that requests share sockets and tokens. For threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._clients: dict[Endpoint, Client] = {}
        self._served: dict[tuple[str, str], Endpoint] = {}

    def client(self, endpoint: Endpoint, access: RegistryAccess) -> Client:
        """The client for an endpoint, made when it is first asked for."""
        from jettison.oci.registry.client import Client

        with self._lock:
            client = self._clients.get(endpoint)
            if client is None:
                client = self._clients[endpoint] = Client(endpoint, access)
            return client

    def remember(self, registry: str, repository: str, endpoint: Endpoint) -> None:
        """Note which endpoint has a repository: its blobs are asked for there first."""
        with self._lock:
            self._served[registry, repository] = endpoint

    def served_by(self, registry: str, repository: str) -> Endpoint | None:
        """The endpoint that `remember` was told of."""
        with self._lock:
            return self._served.get((registry, repository))

    def close(self) -> None:
        """Close all sockets."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """All that is needed to talk to registries. Timeouts and pauses are in seconds.

    `credential_files` are docker's config.json and podman's auth.json files, the first
    with an entry for a registry wins. `proxies` has the keys http, https and no.
    """

    registries: Mapping[str, RegistryConfig] = field(default_factory=dict)
    ca_bundle: str = ""
    credential_files: tuple[str, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: float = 5.0
    read_timeout: float = 60.0
    attempts: int = 4
    """Tries for what may go better next time: 429, 5xx and broken connections."""
    first_pause: float = 0.5
    """The wait before the second try; it doubles with every further one."""
    connections: Connections = field(default_factory=Connections, repr=False, compare=False)


def access_from(config: Config, environment: Mapping[str, str]) -> RegistryAccess:
    """What the configuration and the environment say about registries, credentials and proxies."""
    proxies = {}
    for kind in ("http", "https", "no"):
        if value := environment.get(f"{kind}_proxy") or environment.get(f"{kind.upper()}_PROXY"):
            proxies[kind] = value
    return RegistryAccess(
        registries=config.registries,
        ca_bundle=config.ca_bundle,
        credential_files=credential_files(environment),
        proxies=proxies,
        read_timeout=config.read_timeout,
    )


def credential_files(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Where credentials may be, the first to ask first.

    REGISTRY_AUTH_FILE stands alone when it is set, as with podman and skopeo.
    """
    if path := environment.get("REGISTRY_AUTH_FILE"):
        return (path,)
    home = environment.get("HOME", "")
    found = []
    if folder := environment.get("DOCKER_CONFIG") or (os.path.join(home, ".docker") if home else ""):
        found.append(os.path.join(folder, "config.json"))
    settings = environment.get("XDG_CONFIG_HOME") or (os.path.join(home, ".config") if home else "")
    for base in filter(None, (environment.get("XDG_RUNTIME_DIR"), settings)):
        found.append(os.path.join(base, "containers", "auth.json"))
    return tuple(found)

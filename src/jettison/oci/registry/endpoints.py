"""Where the requests for a registry go: its mirrors in order, then the registry itself."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.errors import ConfigError

if TYPE_CHECKING:
    from jettison.oci.registry.access import RegistryAccess

# The default domain of references is not the machine that speaks the protocol.
_HOSTS = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One machine that speaks the distribution protocol.

    `host` has the port if one was given. `prefix` goes before every repository's
    name. `schemes` are tried in order. `verify` says whether certificates are checked.
    """

    registry: str
    host: str
    prefix: str = ""
    schemes: tuple[str, ...] = ("https",)
    verify: bool = True
    mirror: bool = False

    @property
    def label(self) -> str:
        """How messages name it."""
        if not self.mirror:
            return f"registry {self.registry}"
        where = f"{self.schemes[0]}://{self.host}" + (f"/{self.prefix}" if self.prefix else "")
        return f"registry {self.registry} (via {where})"

    def repository(self, name: str) -> str:
        """A repository's name at this endpoint."""
        return f"{self.prefix}/{name}" if self.prefix else name


def endpoints(registry: str, access: RegistryAccess, *, push: bool = False) -> tuple[Endpoint, ...]:
    """All endpoints for a registry, in the order to try. Mirrors take no pushes."""
    config = access.registries.get(registry)
    insecure = config is not None and config.insecure
    host = _HOSTS.get(registry, registry)
    found = []
    if config is not None and not push:
        found += [_mirror(registry, address, access) for address in config.mirrors]
    found.append(Endpoint(registry, host, "", _schemes(host, insecure), not insecure))
    return tuple(dict.fromkeys(found))


def is_loopback(host: str) -> bool:
    """Whether a host (with or without port) is this machine: localhost, 127.0.0.0/8, ::1."""
    name = host_name(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """A host without its port, and without the brackets of IPv6."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _schemes(host: str, insecure: bool) -> tuple[str, ...]:
    if is_loopback(host):
        return ("http", "https")
    return ("https", "http") if insecure else ("https",)


def _mirror(registry: str, address: str, access: RegistryAccess) -> Endpoint:
    scheme, separator, rest = address.partition("://")
    if not separator:
        scheme, rest = "", address
    host, _, prefix = rest.strip("/").partition("/")
    prefix = prefix.strip("/")
    if prefix == "v2" or prefix.startswith("v2/"):
        prefix = prefix[3:]
    if scheme not in ("", "http", "https") or not host or set("?#@ ") & set(rest):
        raise ConfigError(
            f'[registry."{registry}"] mirrors: {address!r} is no address of a registry',
            hint="write it as http://HOST[:PORT][/PREFIX] or https://…",
        )
    own = access.registries.get(host)
    insecure = own is not None and own.insecure
    schemes = (scheme,) if scheme else _schemes(host, insecure)
    return Endpoint(registry, host, prefix, schemes, not insecure, mirror=True)

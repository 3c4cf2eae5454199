"""The sockets below a client: pools of connections, proxies, and how an answer is read and given back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jettison.oci.registry.endpoints import Endpoint, host_name, is_loopback

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

    from jettison.oci.registry.access import RegistryAccess

LONGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer that is only looked at for its error message."""

_BLOCK = 1 << 16
"""Bytes that are read of a file at a time where they have to be encrypted."""


def origin(url: str) -> tuple[str, str]:
    """Scheme, and host with port: credentials for one origin never go to another."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower()
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.scheme, host.removesuffix(default)


def read(response: BaseHTTPResponse, largest: int) -> bytes | None:
    """The body, or None when it is longer."""
    data = response.read(largest + 1, decode_content=False)
    return data if len(data) <= largest else None


def release(response: BaseHTTPResponse | None, *, drain: bool = False) -> None:
    """Give the connection back; one whose answer was not read to its end is closed."""
    if response is None:
        return
    if drain:
        with suppress(Exception):
            response.read(LONGEST_ERROR, decode_content=False)
    if response.length_remaining:
        response.close()
    response.release_conn()


def wait(seconds: float) -> None:
    """Back off."""
    from time import sleep

    sleep(seconds)


def open_pool(base: str, endpoint: Endpoint, access: RegistryAccess) -> tuple[PoolManager, bool]:
    """The pool of connections for an endpoint, and whether it goes there without a proxy."""
    import urllib3

    from jettison.oci.registry.sending import PlainPool

    options: dict[str, object] = {"maxsize": 8, "blocksize": _BLOCK}
    if not endpoint.verify:
        options |= {"cert_reqs": "CERT_NONE", "assert_hostname": False}
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    elif access.ca_bundle:
        options["ca_certs"] = access.ca_bundle
    proxy = proxy_for(urlsplit(base).scheme, endpoint.host, access)
    manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)  # type: ignore[arg-type]
    manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "http": PlainPool}
    return manager, not proxy


def proxy_for(scheme: str, host: str, access: RegistryAccess) -> str:
    """The proxy for a host, or "": this machine and what no_proxy names are reached directly."""
    if is_loopback(host):
        return ""
    name = host_name(host).lower()
    for item in access.proxies.get("no", "").lower().replace(",", " ").split():
        domain = host_name(item).removeprefix("*").lstrip(".")
        if item == "*" or (domain and (name == domain or name.endswith("." + domain))):
            return ""
    proxy = access.proxies.get(scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"

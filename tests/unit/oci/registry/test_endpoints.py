from __future__ import annotations

import pytest

from jettison.config import RegistryConfig
from jettison.errors import ConfigError
from jettison.oci.registry.access import RegistryAccess, credential_files
from jettison.oci.registry.endpoints import endpoints, is_loopback
from jettison.oci.registry.transport import proxy_for


def access(name: str, *mirrors: str, insecure: bool = False) -> RegistryAccess:
    return RegistryAccess({name: RegistryConfig(mirrors, insecure)})


def test_a_registry_is_spoken_to_with_https_only() -> None:
    (only,) = endpoints("images.test:5000", RegistryAccess())
    assert (only.host, only.schemes, only.verify) == ("images.test:5000", ("https",), True)


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:1", "127.9.9.9", "[::1]:5000"])
def test_this_machine_is_spoken_to_with_http_first(host: str) -> None:
    assert is_loopback(host)
    assert endpoints(host, RegistryAccess())[0].schemes == ("http", "https")


@pytest.mark.parametrize("host", ["localhost.test", "10.0.0.1:5000", "127.test", "[2001:db8::1]:5000"])
def test_other_machines_are_not_this_one(host: str) -> None:
    assert not is_loopback(host)


def test_an_insecure_registry_gets_https_first_then_http() -> None:
    (only,) = endpoints("images.test", access("images.test", insecure=True))
    assert (only.schemes, only.verify) == (("https", "http"), False)


def test_mirrors_come_first_and_take_no_pushes() -> None:
    config = access("images.test", "http://127.0.0.1:5000/hub/", "https://mirror.test/v2/a/b", "mirror.test")
    first, second, third, own = endpoints("images.test", config)
    assert (first.host, first.prefix, first.schemes) == ("127.0.0.1:5000", "hub", ("http",))
    assert (second.repository("app"), second.schemes) == ("a/b/app", ("https",))
    assert (third.prefix, third.repository("app")) == ("", "app")
    assert first.label == "registry images.test (via http://127.0.0.1:5000/hub)"
    assert (own.mirror, own.label) == (False, "registry images.test")
    assert endpoints("images.test", config, push=True) == (own,)


@pytest.mark.parametrize("address", ["ftp://mirror.test", "http://", "", "http://a/b?c", "http://user@a"])
def test_a_mirror_must_be_an_address(address: str) -> None:
    with pytest.raises(ConfigError, match="is no address of a registry"):
        endpoints("images.test", access("images.test", address))


def test_where_credentials_are_looked_for() -> None:
    home = {"HOME": "/home/a", "XDG_RUNTIME_DIR": "/run/user/1"}
    assert credential_files(home) == (
        "/home/a/.docker/config.json",
        "/run/user/1/containers/auth.json",
        "/home/a/.config/containers/auth.json",
    )
    assert credential_files({"HOME": "/home/a", "DOCKER_CONFIG": "/d"})[0] == "/d/config.json"
    assert credential_files({**home, "REGISTRY_AUTH_FILE": "/r.json"}) == ("/r.json",)
    assert credential_files({}) == ()


@pytest.mark.parametrize(
    ("host", "no", "proxy"),
    [
        ("images.test", "", "http://proxy:3128"),
        ("images.test:5000", "other.test,.test", ""),
        ("images.test", "mages.test", "http://proxy:3128"),
        ("images.test", "images.test:5000", ""),
        ("images.test", "*", ""),
        ("localhost:5000", "", ""),
    ],
)
def test_what_goes_through_a_proxy(host: str, no: str, proxy: str) -> None:
    assert proxy_for("https", host, RegistryAccess(proxies={"https": "proxy:3128", "no": no})) == proxy

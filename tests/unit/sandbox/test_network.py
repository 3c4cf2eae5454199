from __future__ import annotations

import pytest

from jettison.errors import UsageError
from jettison.sandbox.network import HOST, NONE, Network, hosts_text, parse_host, resolv_text


def test_hosts() -> None:
    lines = [line.split() for line in hosts_text("myhost", ["db:10.1.2.3", "six:[2001:db8::2]"]).splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert any(line[0] == "::1" for line in lines)
    assert ["127.0.0.1", "myhost"] in lines
    assert lines[-2:] == [["10.1.2.3", "db"], ["2001:db8::2", "six"]]


def test_default_host_name() -> None:
    assert "127.0.0.1\tbuildkitsandbox\n" in hosts_text("")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:1.2.3.4", ("a", "1.2.3.4")),
        ("a=1.2.3.4", ("a", "1.2.3.4")),
        ("a:::1", ("a", "::1")),
        ("a:[::1]", ("a", "::1")),
        ("a=::1", ("a", "::1")),
        ("a:host-gateway", ("a", "host-gateway")),
    ],
)
def test_parse_host(text: str, expected: tuple[str, str]) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize("text", ["", "a", "a:", ":1.2.3.4", "a:1.2.3", "a:b", "a b:1.2.3.4", "a:1.2.3.4\n5"])
def test_bad_hosts(text: str) -> None:
    with pytest.raises(UsageError, match="add-host"):
        parse_host(text)


def test_gateway_needs_a_network() -> None:
    with pytest.raises(UsageError, match="without network"):
        hosts_text("", ["a:host-gateway"], NONE)


def test_gateway_is_this_machine() -> None:
    assert "127.0.0.1\ta\n" in hosts_text("", ["a:host-gateway"], HOST)
    assert "192.0.2.7\ta\n" in hosts_text("", ["a:host-gateway"], Network("/n", "10.0.2.3", "192.0.2.7"))


def test_resolv() -> None:
    own = b"nameserver 127.0.0.53\noptions edns0\nsearch example.org"
    assert resolv_text(own) == own.decode() + "\n"
    assert resolv_text(None) == ""


def test_resolv_of_a_network_with_a_name_server_of_its_own() -> None:
    own = b"nameserver 127.0.0.53\nnameserver\t::1\noptions edns0\nsearch example.org"
    text = resolv_text(own, Network("/n", "10.0.2.3"))
    assert text == "options edns0\nsearch example.org\nnameserver 10.0.2.3\n"

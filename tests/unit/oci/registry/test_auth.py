from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from jettison.errors import RegistryError
from jettison.oci.registry.auth import Answer, Authenticator, Challenge, parse_challenges
from jettison.oci.registry.credentials import Credential, Found


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        ("", []),
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://t/token",service="s",scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer", {"realm": "https://t/token", "service": "s", "scope": "repository:a:pull,push"}
                )
            ],
        ),
        (
            'Basic realm="a \\"b\\", c", Bearer realm=r , service = "s"',
            [Challenge("basic", {"realm": 'a "b", c'}), Challenge("bearer", {"realm": "r", "service": "s"})],
        ),
        ("Negotiate, Basic realm=x", [Challenge("negotiate", {}), Challenge("basic", {"realm": "x"})]),
    ],
)
def test_challenges_are_read(header: str, challenges: list[Challenge]) -> None:
    assert parse_challenges(header) == challenges


class TokenServer:
    """Answers token requests in the way it was told to, and keeps what it was asked."""

    def __init__(self, status: int = 200, body: object = None) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes | None]] = []
        self._answer = Answer(status, json.dumps(body or {"token": "T", "expires_in": 300}).encode())

    def send(self, method: str, url: str, headers: dict[str, str], body: bytes | None) -> Answer:
        self.asked.append((method, url, headers, body))
        return self._answer


def authenticator(server: TokenServer, found: Found, header: str, secure: bool = True) -> Authenticator:
    auth = Authenticator("registry r.test", secure, lambda repository: found, server.send)
    auth.learn(header)
    return auth


BEARER = 'Bearer realm="https://t.test/token?a=b",service="r.test"'
PULL = ("repository:app:pull",)


def test_anonymous_tokens_are_asked_for_once_per_scope() -> None:
    server = TokenServer()
    auth = authenticator(server, Found(), BEARER)
    assert auth.header("app", PULL) == auth.header("app", PULL) == "Bearer T"
    assert len(server.asked) == 1
    method, url, headers, _ = server.asked[0]
    assert method == "GET"
    assert parse_qs(urlsplit(url).query) == {"a": ["b"], "service": ["r.test"], "scope": list(PULL)}
    assert headers == {}
    auth.header("app", ("repository:app:pull,push", "repository:b:pull"))
    assert parse_qs(urlsplit(server.asked[1][1]).query)["scope"][1] == "repository:b:pull"
    auth.forget(PULL)
    auth.header("app", PULL)
    assert len(server.asked) == 3


def test_a_password_goes_to_the_token_server_only() -> None:
    server = TokenServer(body={"access_token": "A"})
    auth = authenticator(server, Found(Credential("me", "pw")), BEARER)
    assert auth.header("app", PULL) == "Bearer A"
    assert server.asked[0][2] == {"Authorization": "Basic bWU6cHc="}
    assert parse_qs(urlsplit(server.asked[0][1]).query)["account"] == ["me"]


def test_an_identity_token_is_exchanged() -> None:
    server = TokenServer()
    auth = authenticator(server, Found(Credential(identity_token="I")), BEARER)
    assert auth.header("app", PULL) == "Bearer T"
    method, url, _, body = server.asked[0]
    assert (method, url) == ("POST", "https://t.test/token?a=b")
    form = parse_qs((body or b"").decode())
    assert form["refresh_token"] == ["I"]
    assert form["grant_type"] == ["refresh_token"]


def test_a_password_is_not_sent_where_all_can_read_it() -> None:
    server = TokenServer()
    header = 'Bearer realm="http://t.test/token"'
    with pytest.raises(RegistryError, match="not encrypted"):
        authenticator(server, Found(Credential("me", "pw")), header).header("app", PULL)
    assert server.asked == []
    assert authenticator(server, Found(), header).header("app", PULL) == "Bearer T"


def test_basic_needs_a_credential() -> None:
    server = TokenServer()
    assert authenticator(server, Found(), 'Basic realm="x"').header("app", PULL) is None
    assert (
        authenticator(server, Found(Credential("a", "b")), "Basic realm=x").header("app", PULL)
        == "Basic YTpi"
    )
    assert authenticator(server, Found(Credential("a", "b")), "").header("app", PULL) is None


def test_a_refused_login_says_who_and_what_to_do() -> None:
    server = TokenServer(401)
    with pytest.raises(RegistryError, match="no token to user 'me'") as caught:
        authenticator(server, Found(Credential("me", "pw"), "the helper is broken"), BEARER).header(
            "app", PULL
        )
    assert caught.value.status == 401
    assert caught.value.hint == "the helper is broken"


@pytest.mark.parametrize("body", [{"token": ""}, {"token": 3}, ["token"], "x"])
def test_an_answer_without_a_token_is_an_error(body: object) -> None:
    with pytest.raises(RegistryError, match="holds no token"):
        authenticator(TokenServer(body=body), Found(), BEARER).header("app", PULL)

"""Authentication at a registry: challenges, Basic, and Bearer tokens (distribution project, token protocol).

The token of a scope is asked for once and kept until shortly before it ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

from jettison.dataclass import dataclass
from jettison.errors import RegistryError
from jettison.oci.registry.credentials import Credential, Found
from jettison.oci.registry.endpoints import is_loopback

_PAIR = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', re.ASCII)
_SCHEME = re.compile(r"\s*,?\s*([A-Za-z][A-Za-z0-9_-]*)(?=\s+[A-Za-z0-9_-]+\s*=|\s*(?:,|$))", re.ASCII)
_LIFE = 60.0
"""Seconds that a token lives when nobody says (token specification: expires_in)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a token server said."""

    status: int
    body: bytes


Send = Callable[[str, str, dict[str, str], bytes | None], Answer]
"""Sends (method, url, headers, body); the client lends it to `Authenticator`."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header. `scheme` is in lower case."""

    scheme: str
    parameters: dict[str, str]


def parse_challenges(header: str) -> list[Challenge]:
    """Read a WWW-Authenticate header, which may hold several challenges (RFC 9110, 11.6.1)."""
    found: list[Challenge] = []
    at = 0
    while at < len(header):
        scheme = _SCHEME.match(header, at)
        if scheme is None:
            break
        at = scheme.end()
        parameters: dict[str, str] = {}
        while True:
            start = re.compile(r"[\s,]*").match(header, at)
            pair = _PAIR.match(header, start.end() if start else at)
            if pair is None:
                break
            quoted = pair[2]
            parameters[pair[1].lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else pair[3]
            at = pair.end()
        found.append(Challenge(scheme[1].lower(), parameters))
    return found


def basic(credential: Credential) -> str:
    """The value of an Authorization header for a user and a password."""
    from base64 import b64encode

    return "Basic " + b64encode(f"{credential.user}:{credential.password}".encode()).decode()


class Authenticator:
    """Gives the Authorization headers for one endpoint. Safe for threads."""

    def __init__(self, label: str, secure: bool, find: Callable[[str], Found], send: Send) -> None:
        self._label = label
        self._secure = secure
        self._find = find
        self._send = send
        self._lock = Lock()
        self._challenges: list[Challenge] = []
        self._found: dict[str, Found] = {}
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}

    def learn(self, header: str) -> None:
        """Take note of what the endpoint asks for."""
        with self._lock:
            self._challenges = parse_challenges(header) or self._challenges

    def forget(self, scopes: tuple[str, ...]) -> None:
        """A token was refused: get another one next time."""
        with self._lock:
            self._tokens.pop(scopes, None)

    def found(self, repository: str) -> Found:
        """The credential for a repository; files and helpers are asked once."""
        found = self._found.get(repository)
        if found is None:
            found = self._found[repository] = self._find(repository)
        return found

    def header(self, repository: str, scopes: tuple[str, ...]) -> str | None:
        """The Authorization for requests with these scopes, or None where none is wanted or known."""
        with self._lock:
            for challenge in self._challenges:
                if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
                    return "Bearer " + self._token(challenge, repository, scopes)
            if any(challenge.scheme == "basic" for challenge in self._challenges):
                credential = self.found(repository).credential
                if credential is not None and credential.user:
                    return basic(credential)
            return None

    def _token(self, challenge: Challenge, repository: str, scopes: tuple[str, ...]) -> str:
        from time import monotonic

        known = self._tokens.get(scopes)
        if known is not None and monotonic() < known[1]:
            return known[0]
        credential = self.found(repository).credential
        realm = challenge.parameters["realm"]
        parts = urlsplit(realm)
        safe = parts.scheme == "https" or not self._secure or is_loopback(parts.netloc)
        if parts.scheme not in ("http", "https") or (credential is not None and not safe):
            raise RegistryError(
                f"{self._label}: it asks for the password to be sent to {realm}, which is not encrypted"
            )
        answer = self._ask(challenge, realm, credential, scopes)
        if answer.status != 200:
            raise self._refused(answer, realm, credential, repository)
        token, life = _read_token(answer.body)
        if not token:
            raise RegistryError(f"{self._label}: the answer of {realm} holds no token")
        self._tokens[scopes] = (token, monotonic() + max(life - 10.0, life / 2))
        return token

    def _ask(
        self, challenge: Challenge, realm: str, credential: Credential | None, scopes: tuple[str, ...]
    ) -> Answer:
        service = challenge.parameters.get("service", "")
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": "jettison",
                "scope": " ".join(scopes),
                "refresh_token": credential.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._send("POST", realm, headers, urlencode(form).encode())
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credential is not None:
            query.append(("account", credential.user))
            headers["Authorization"] = basic(credential)
        joint = "&" if "?" in realm else "?"
        return self._send("GET", realm + (joint + urlencode(query) if query else ""), headers, None)

    def _refused(
        self, answer: Answer, realm: str, credential: Credential | None, repository: str
    ) -> RegistryError:
        problem = self.found(repository).problem
        if answer.status in (400, 401, 403):
            who = f"user {credential.user!r}" if credential and credential.user else "an anonymous user"
            return RegistryError(
                f"{self._label}: {answer.status}, {realm} gives no token to {who}",
                status=401 if answer.status == 400 else answer.status,
                hint=problem or "check the credentials in docker's config.json or podman's auth.json",
            )
        return RegistryError(
            f"{self._label}: {realm} answered {answer.status}", status=answer.status, temporary=True
        )


def _read_token(body: bytes) -> tuple[str, float]:
    from json import loads

    try:
        data: Any = loads(body)
    except ValueError:
        return "", _LIFE
    if not isinstance(data, dict):
        return "", _LIFE
    token = data.get("token") or data.get("access_token")
    life = data.get("expires_in")
    seconds = float(life) if isinstance(life, (int, float)) and life > 0 else _LIFE
    return (token if isinstance(token, str) else ""), seconds

"""What git shows to a server: handed over in its environment, as everyone may read command lines."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

Secrets = Callable[[str], bytes | None]
"""Gives the value of a secret by its id, or None."""


def no_secret(name: str) -> None:
    """Where nothing is given."""
    return None


def authorized(url: str, secrets: Secrets) -> tuple[str, dict[str, str]]:
    """A repository's URL without user and password, and the variables with which git shows them.

    Without them in the URL, the server is shown the secret GIT_AUTH_HEADER.HOST, GIT_AUTH_TOKEN.HOST,
    GIT_AUTH_HEADER or GIT_AUTH_TOKEN, whichever is there. Raises as `secrets`.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return url, {}
    user, at, host = parts.netloc.rpartition("@")
    header = _basic(unquote(user)) if at else _secret(host, secrets)
    if not header:
        return url, {}
    return parts._replace(netloc=host).geturl(), {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{host}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
    }


def _basic(text: str) -> str:
    whole = text if ":" in text else f"{text}:"
    return "Basic " + b64encode(whole.encode("utf-8", "surrogateescape")).decode("ascii")


def _secret(host: str, secrets: Secrets) -> str:
    for end in (f".{host}", ""):
        header = secrets(f"GIT_AUTH_HEADER{end}")
        token = secrets(f"GIT_AUTH_TOKEN{end}") if header is None else None
        if header is not None:
            return header.decode("utf-8", "surrogateescape").strip()
        if token is not None:
            return _basic("x-access-token:" + token.decode("utf-8", "surrogateescape").strip())
    return ""

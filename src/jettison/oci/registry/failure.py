"""What goes wrong at a registry, in words: each says who answered what, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jettison.errors import RegistryError

TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses after which the same request may well succeed."""

_LONGEST_PAUSE = 30.0


def refusal(label: str, action: str, status: int, body: bytes, problem: str = "") -> RegistryError:
    """The error for a status that is no success. `problem` tells of credentials that could not be used."""
    said = _detail(body)
    message = f"{label}: {status}" + (f", {said}" if said else "") + (f" ({action})" if action else "")
    hint = None
    if status == 401:
        hint = problem or (
            "log in with docker or podman, or put credentials for it into docker's config.json"
            " or podman's auth.json"
        )
    elif status == 403:
        hint = "the credentials are known there but do not allow this; check the account's rights"
    elif status == 429:
        hint = "it limits how often it may be asked; log in, wait, or name a mirror"
    return RegistryError(message, status=status, hint=hint, temporary=status in TRANSIENT)


def _detail(body: bytes) -> str:
    """The messages of an error document (distribution-spec, Error Codes), in one line."""
    from json import loads

    try:
        data: Any = loads(body)
        items = [item for item in data["errors"] if isinstance(item, dict)]
    except (ValueError, KeyError, TypeError):
        return ""
    texts = [str(item.get("message") or item.get("code") or "") for item in items[:3]]
    return "; ".join(" ".join(text.split())[:200] for text in texts if text)


def broken(label: str, host: str, error: Exception) -> RegistryError:
    """The error for an exchange that ended without an answer."""
    from urllib3 import exceptions as of

    cause = error.reason if isinstance(error, of.MaxRetryError) and error.reason else error
    hint = None
    temporary = True
    match cause:
        case of.ConnectTimeoutError() | of.ReadTimeoutError():
            reason = f"{host} timed out"
        case of.NameResolutionError():
            reason = f"the name of {host} could not be looked up"
        case of.NewConnectionError():
            inner = cause.__cause__
            if isinstance(inner, ConnectionRefusedError):
                reason = f"connection refused by {host}"
            else:
                reason = f"{host} cannot be reached: {getattr(inner, 'strerror', None) or cause}"
        case of.SSLError():
            reason, temporary = f"no trusted connection to {host}: {_plain(cause)}", False
            hint = "name the authority's certificates (ca_bundle), or mark the registry as insecure"
        case of.ProxyError():
            reason = f"the proxy for {host} failed: {_plain(cause)}"
        case _:
            reason = f"the connection to {host} broke: {_plain(cause)}"
    return RegistryError(f"{label}: {reason}", hint=hint, temporary=temporary)


def _plain(error: BaseException) -> str:
    inner = error.args[-1] if error.args else error
    if isinstance(inner, BaseException) and inner is not error:
        return _plain(inner)
    return str(inner) or type(error).__name__


def pause_before(attempt: int, first: float, headers: Mapping[str, str] | None) -> float:
    """Seconds to wait before try number `attempt` (2 is the first one that waits).

    A Retry-After in seconds is followed, up to half a minute; one that is a date is not worth the trouble.
    """
    after = (headers or {}).get("Retry-After", "")
    if after.isascii() and after.isdigit():
        return min(float(after), _LONGEST_PAUSE)
    return min(first * float(2 ** (attempt - 2)), _LONGEST_PAUSE)

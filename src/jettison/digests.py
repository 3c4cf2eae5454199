"""Digests, and the one canonical JSON that vertices, cache keys and records are hashed in."""

from __future__ import annotations

import re
from hashlib import sha256
from json import JSONEncoder
from typing import Any

_FORM = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_encode = JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode


def canonical_json(value: Any) -> bytes:
    """Encode plain data (dict, list, tuple, str, int, bool, None) the one way it is always encoded.

    Keys are sorted, there are no blanks, and lone surrogates (file names that
    are not UTF-8) stay distinguishable as escapes.
    """
    return _encode(value).encode("ascii")


def digest_of(value: Any) -> str:
    """The digest of a value's canonical JSON."""
    return "sha256:" + sha256(canonical_json(value)).hexdigest()


def digest_of_bytes(data: bytes) -> str:
    """The digest of some bytes, as in an OCI descriptor."""
    return "sha256:" + sha256(data).hexdigest()


def is_digest(text: str) -> bool:
    """Whether a text is a digest that this project accepts (OCI image-spec, Descriptors: Digests)."""
    return _FORM.fullmatch(text) is not None


def hex_of(digest: str) -> str:
    """The part behind the colon. Raises ValueError for what is no digest: it becomes a file name."""
    if not is_digest(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest.partition(":")[2]

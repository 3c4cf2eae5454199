"""Cache keys: a digest, and the named parts that it is made of.

A key exists in two speeds. The *definition* key comes from the op, the keys of
the inputs, and the content of build contexts: it can be computed before anything runs. The
*content* key comes from what the inputs turned out to be, so that a rebuilt
stage with an equal result does not rebuild what reads it.
"""

from __future__ import annotations

from typing import Any

from jettison.dataclass import dataclass
from jettison.digests import digest_of

GENERATION = 2
"""Raised when the meaning of an op changes, so that results of older programs are not reused."""


@dataclass(frozen=True, slots=True)
class CacheKey:
    """A key with its parts: plain JSON, kept in the record so that two keys can be compared in words."""

    digest: str
    parts: dict[str, Any]


def definition_key(op: dict[str, Any], inputs: tuple[str, ...], content: str) -> CacheKey:
    """The key by definition. `inputs` are the inputs' own, `content` the digest of context files."""
    parts: dict[str, Any] = {"by": "definition", "generation": GENERATION, "op": op, "inputs": list(inputs)}
    if content:
        parts["content"] = content
    return CacheKey(digest_of(parts), parts)


def content_key(op: dict[str, Any], inputs: tuple[tuple[str, ...] | str, ...]) -> CacheKey:
    """The key by content. Each input is its layers, or the digest of just those files that the op reads."""
    parts = {
        "by": "content",
        "generation": GENERATION,
        "op": op,
        "inputs": [item if isinstance(item, str) else list(item) for item in inputs],
    }
    return CacheKey(digest_of(parts), parts)

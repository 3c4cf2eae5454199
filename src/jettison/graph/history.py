"""The `created_by` texts of image history, in the form that BuildKit gives them."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps

from jettison.oci.config import History

COMMENT = "buildkit.dockerfile.v0"
"""Tools know history of Dockerfile builds by this comment."""


def entry(created_by: str, *, empty: bool, author: str = "") -> History:
    """One entry; `empty` for instructions that make no layer. The time is filled in at export."""
    return History(created_by=created_by, comment=COMMENT, author=author, empty_layer=empty)


def quoted(words: Sequence[str]) -> str:
    """Words as in `CMD ["npm" "start"]`."""
    return "[" + " ".join(dumps(word, ensure_ascii=False) for word in words) + "]"


def run(args: Sequence[str], arguments: Sequence[tuple[str, str]]) -> str:
    """`RUN |1 A=1 /bin/sh -c make # buildkit`: the build arguments in force come first."""
    declared = [f"{name}={value}" for name, value in arguments]
    prefix = [f"|{len(declared)}", *declared] if declared else []
    return " ".join(["RUN", *prefix, *args, "# buildkit"])

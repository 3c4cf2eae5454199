"""Ops round-trip through JSON, and differ in it wherever they differ."""

from __future__ import annotations

import pytest

from jettison.digests import canonical_json
from jettison.graph.ops import (
    CopyOp,
    GitOp,
    HttpOp,
    InlineFile,
    MkdirOp,
    MountOp,
    Op,
    RunOp,
    SourceOp,
    from_json,
    to_json,
)

OPS: list[Op] = [
    SourceOp(("sha256:1",), "linux/amd64"),
    CopyOp(
        "/a",
        True,
        ("x", "y"),
        "",
        (InlineFile("f", "text\n"),),
        "1:2",
        "755",
        True,
        True,
        ("*.md",),
        True,
        True,
    ),
    CopyOp("/a", False),
    CopyOp("/a", False, context=""),
    MkdirOp("/w", "1000"),
    HttpOp("http://h/f", "f", "", "", "etag"),
    GitOp("git://h/r", "c", "", True),
    RunOp(
        ("sh", "-c", "x"),
        ("A=1",),
        "/",
        "",
        (MountOp("cache", "/c", mode=0o700, id="k"),),
        (InlineFile("E", "#!"),),
    ),
    RunOp(
        ("x",), (), "/", "", (MountOp("bind", "/c", 1, "/s", False),), network="none", hosts=("a:1.2.3.4",)
    ),
]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.TYPE)
def test_round_trip(op: Op) -> None:
    assert from_json(to_json(op)) == op


def test_no_two_share_their_json() -> None:
    assert len({canonical_json(to_json(op)) for op in OPS}) == len(OPS)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(KeyError):
        from_json({"type": "fly"})

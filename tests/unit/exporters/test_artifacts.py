from __future__ import annotations

import os
from pathlib import Path

import pytest

from jettison.exporters.artifacts import _chosen, _leads_out, _Picked
from jettison.exporters.filesystem import flattened
from jettison.sources.context import open_context


@pytest.mark.parametrize(
    ("path", "link", "out"),
    [
        ("a", "b", False),
        ("a", "/b", True),
        ("a", "..", True),
        ("a/b", "..", False),
        ("a/b", "../../x", True),
        ("a/b/c", "../../x/y", False),
        ("a/b", "x/../../../etc", True),
        ("a/b", "./../x", False),
        ("a/b", "x/..", True),
    ],
)
def test_a_symlink_may_not_lead_out(path: str, link: str, out: bool) -> None:
    assert _leads_out(path, link) is out


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/r", ["a.xml", "none", "sub", "sub/a.xml", "sub/deep", "sub/deep/c.txt"]),
        ("/link/sub/", ["a.xml", "deep", "deep/c.txt"]),
        ("/link/a.xml", ["a.xml"]),
        ("/r/*.xml", ["a.xml"]),
        ("/l*/a.xml", None),
        ("/r/**/*.xml", ["a.xml", "sub", "sub/a.xml"]),
        ("/**/**/c.txt", ["r", "r/sub", "r/sub/deep", "r/sub/deep/c.txt"]),
        ("/r/s*", ["sub", "sub/a.xml", "sub/deep", "sub/deep/c.txt"]),
        ("/r/sub/**", ["a.xml", "deep", "deep/c.txt"]),
        ("/r/a.xml/*", None),
        ("/nix", None),
        ("/../r/./a.xml", ["a.xml"]),
        ("/r/none", []),
    ],
)
def test_what_a_path_picks(tmp_path: Path, path: str, expected: list[str] | None) -> None:
    (tmp_path / "r/sub/deep").mkdir(parents=True)
    (tmp_path / "r/none").mkdir()
    for name in ("r/a.xml", "r/sub/a.xml", "r/sub/deep/c.txt"):
        (tmp_path / name).write_text(name)
    os.symlink("r", tmp_path / "link")
    os.mkfifo(tmp_path / "r/pipe")
    tree = open_context(str(tmp_path), None)
    roots = _chosen(tree, path)
    found = None if roots is None else [entry.path for entry, _ in flattened(_Picked(tree, roots))]
    assert found == expected

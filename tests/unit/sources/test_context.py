from __future__ import annotations

import os
from pathlib import Path

import pytest

from jettison.errors import NotFound, SourceError
from jettison.sources.context import ContextTree, find_ignore, open_context
from jettison.store.resolve import resolve


def write(path: Path, *names: str) -> None:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)


def everything(tree: ContextTree, path: str = "") -> list[str]:
    found = []
    for name, node in tree.scan(path).items():
        whole = f"{path}/{name}" if path else name
        found.append(whole)
        if node.kind == "dir":
            found += everything(tree, whole)
    return found


def test_what_is_ignored_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "keep", "drop", "s/keep", "s/drop", "node/x")
    tree = open_context(str(tmp_path), b"drop\nnode\n")
    assert everything(tree) == ["keep", "s", "s/drop", "s/keep"]
    assert tree.lookup("drop") is None and tree.lookup("node/x") is None and tree.lookup("keep/x") is None
    assert tree.ignored_by("node/x") == '.dockerignore:2 ("node")' and tree.ignored_by("nosuch") is None
    with pytest.raises(NotFound):
        tree.open("drop")


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        (b"*\n!a/b\n", ["a", "a/b"]),
        (b"**\n!a/c/d\n", ["a", "a/c", "a/c/d"]),
        (b"a\n!a/c/d\n", ["a", "a/c", "a/c/d", "e", "e/f"]),
        (b"*\n!nosuch/x\n", []),
        (b"a/**\n!a/b\n", ["a", "a/b", "e", "e/f"]),
        (b"*\n!*/*\n", ["a", "a/b", "a/c", "a/c/d", "e", "e/f"]),
    ],
)
def test_directories_that_lead_to_something_stay(tmp_path: Path, lines: bytes, left: list[str]) -> None:
    write(tmp_path, "a/b", "a/c/d", "e/f")
    assert everything(open_context(str(tmp_path), lines)) == left


def test_nothing_outside_is_reached(tmp_path: Path) -> None:
    write(tmp_path, "secret", "c/f")
    (tmp_path / "c/up").symlink_to("..")
    (tmp_path / "c/abs").symlink_to(tmp_path)
    tree = open_context(str(tmp_path / "c"), None)
    for path in ("up/secret", "abs/secret", "../secret"):
        assert tree.lookup(path) is None
    assert resolve(tree, "up/f") == "f"
    assert tree.lookup(resolve(tree, "up/secret")) is None


def test_the_folder_is_not_changed(tmp_path: Path) -> None:
    write(tmp_path, "a/b", ".git/config")
    before = sorted(path for path, _, _ in os.walk(tmp_path))
    everything(open_context(str(tmp_path), b"*\n"))
    assert sorted(path for path, _, _ in os.walk(tmp_path)) == before


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_context(str(tmp_path / "nosuch"), None)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe")).write_text("x")
    tree = open_context(str(tmp_path), None)
    (name,) = tree.listdir("")
    assert os.fsencode(name) == b"\xff\xfe" and tree.open(name).read() == b"x"


def test_the_ignore_file_of_the_dockerfile_wins(tmp_path: Path) -> None:
    write(tmp_path, "Dockerfile", "sub/my.df")
    assert find_ignore(str(tmp_path), str(tmp_path / "Dockerfile")) is None
    (tmp_path / ".dockerignore").write_bytes(b"general")
    (tmp_path / "sub/my.df.dockerignore").write_bytes(b"own")
    assert find_ignore(str(tmp_path), str(tmp_path / "Dockerfile")) == (".dockerignore", b"general")
    assert find_ignore(str(tmp_path), str(tmp_path / "sub/my.df")) == ("my.df.dockerignore", b"own")
    assert find_ignore(str(tmp_path), "") == (".dockerignore", b"general")


def test_an_ignore_file_outside_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "secret", "c/Dockerfile", "c/real")
    (tmp_path / "c/.dockerignore").symlink_to("../secret")
    with pytest.raises(SourceError, match="leaves the build context"):
        find_ignore(str(tmp_path / "c"), str(tmp_path / "c/Dockerfile"))
    (tmp_path / "c/.dockerignore").unlink()
    (tmp_path / "c/.dockerignore").symlink_to("real")
    assert find_ignore(str(tmp_path / "c"), str(tmp_path / "c/Dockerfile")) == (".dockerignore", b"c/real")

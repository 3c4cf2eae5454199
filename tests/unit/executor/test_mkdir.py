from __future__ import annotations

import os
from pathlib import Path

import pytest

from jettison.errors import SourceError
from jettison.executor.mkdir import run_mkdir
from jettison.graph.ops import MkdirOp
from jettison.sources.context import ContextTree
from tests.unit.executor.layers import EPOCH, Recorder, folder


def made(path: str, owner: str, base: ContextTree) -> Recorder:
    writer = Recorder()
    run_mkdir(MkdirOp(path, owner), base, writer, EPOCH)
    return writer


def test_every_directory_that_is_made_belongs_to_the_user(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"etc/passwd": "app:x:5:6::/:/bin/sh\n"})
    assert made("/w/x", "1000:50", base).owners() == {"w": (1000, 50), "w/x": (1000, 50)}
    assert made("/w", "app", base).owners() == {"w": (5, 6)}
    assert made("/w", "", base).owners() == {"w": (0, 0)}


def test_parents_that_exist_keep_their_owner(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"home": None})
    os.chmod(tmp_path / "b/home", 0o1777)
    got = made("/home/app", "7", ContextTree(base.folder))
    assert got.owners() == {"home": (0, 0), "home/app": (7, 7)} and got.modes()["home"] == "1777"


def test_an_existing_directory_is_left_alone(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"w": None, "l": ("->", "w")})
    assert made("/w", "1000", base).entries == {}
    assert made("/l", "nobody", base).entries == {}
    assert made("/", "1000", base).entries == {}


def test_symlinks_are_followed_inside_the_image(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"real": None, "l": ("->", "real"), "out": ("->", "../../../etc")})
    assert list(made("/l/sub", "", base).entries) == ["real", "real/sub"]
    assert list(made("/out/x", "", base).entries) == ["etc", "etc/x"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    base = folder(tmp_path / "b", {"w": "file"})
    for path in ("/w", "/w/x"):
        with pytest.raises(SourceError, match="not a directory"):
            made(path, "", base)

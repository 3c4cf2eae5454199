"""Copying contents into a layer."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from jettison.store.tree_builder import copy_file

DATA = os.urandom(10_000)


def sparse(path: Path, *places: int, size: int) -> bytes:
    with path.open("wb") as file:
        for place in places:
            file.seek(place)
            file.write(DATA)
        file.truncate(size)
    return path.read_bytes()


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize(
    ("places", "size"),
    [
        ((), 0),
        ((0,), 10_000),
        ((), 3 << 20),
        ((0,), 3 << 20),
        ((1 << 20,), 3 << 20),
        ((1 << 20, 2 << 20), (2 << 20) + 10_000),
    ],
)
def test_content_is_the_same_and_holes_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: bool, places: tuple[int, ...], size: int
) -> None:
    def refuse(*_: int) -> int:
        raise OSError(errno.EXDEV, "other filesystem")

    if not kernel:
        monkeypatch.setattr(os, "copy_file_range", refuse)
    content = sparse(tmp_path / "from", *places, size=size)
    with (tmp_path / "to").open("wb") as file:
        assert copy_file(str(tmp_path / "from"), file.fileno()) == size
    assert (tmp_path / "to").read_bytes() == content
    assert (tmp_path / "to").stat().st_blocks <= (tmp_path / "from").stat().st_blocks + 16

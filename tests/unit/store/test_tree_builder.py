"""Copies of files into trees: whole, with the holes that are worth it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jettison.store.tree_builder import copy_file, has_holes


@pytest.mark.parametrize(("size", "kept"), [(6, False), (1 << 15, False), (1 << 20, True)])
def test_only_holes_of_large_files_are_asked_for(tmp_path: Path, size: int, kept: bool) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(size)
        file.seek(0)
        file.write(b"below\n")
    with source.open("rb") as file:
        assert has_holes(file.fileno()) is kept
    with (tmp_path / "copy").open("wb") as copy:
        assert copy_file(str(source), copy.fileno()) == size
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()

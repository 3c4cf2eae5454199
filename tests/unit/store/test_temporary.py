"""Folders for what is not finished."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jettison.store.temporary import Session


def test_a_sweep_of_another_process_between_two_calls_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process sees the new folder before it is locked, takes it for a dead one's and removes it."""
    real = os.mkdir
    swept = []

    def mkdir(path: str, mode: int = 0o777) -> None:
        real(path, mode)
        if not swept:
            swept.append(path)
            os.rmdir(path)

    monkeypatch.setattr(os, "mkdir", mkdir)
    session = Session(str(tmp_path))
    folder = session.new_folder("step")
    assert swept and os.path.isdir(folder) and not folder.startswith(swept[0])
    session.close()
    assert os.listdir(tmp_path) == []

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from jettison.replacing import LARGE, create, give_name, replacing


@pytest.fixture(params=["unnamed", "named"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Filesystems with files that have no name, and those without."""
    if request.param == "named":
        monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY)
    return str(request.param)


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(str(target)) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_text() == "old" and os.listdir(tmp_path) == ["x"]
    with replacing(str(target), 0o640) as file:
        file.write(b"new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["x"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_file_has_no_name_before_it_is_given_one(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "x")
    handle = create(path, 0o600)
    try:
        os.write(handle, b"text")
        assert os.listdir(tmp_path) == ([] if kind == "unnamed" else ["x"])
        give_name(handle, path)
        give_name(handle, path)
    finally:
        os.close(handle)
    assert Path(path).read_text() == "text"


def test_where_no_file_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(str(tmp_path / "none" / "x")):
        pass


@pytest.mark.parametrize("size", [LARGE - 1, LARGE])
def test_large_files_replace_others(tmp_path: Path, size: int) -> None:
    target = tmp_path / "target"
    (tmp_path / "elsewhere").write_text("kept")
    for before in ("nothing", "file", "link"):
        target.unlink(missing_ok=True)
        if before == "file":
            target.write_text("old")
        elif before == "link":
            target.symlink_to("elsewhere")
        with replacing(str(target)) as file:
            file.write(bytes(size))
        assert target.lstat().st_size == size
        assert sorted(item.name for item in tmp_path.iterdir()) == ["elsewhere", "target"]
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(IsADirectoryError), replacing(str(tmp_path / "target")) as file:
        file.write(bytes(LARGE))
    assert [item.name for item in tmp_path.iterdir()] == ["target"]


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_needs_is_not(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")
    (tmp_path / ".x.0123456789ab.tmp").write_text("left")
    (tmp_path / ".other.0123456789ab.tmp").write_text("of another file")
    living = create(str(tmp_path / ".x.ba9876543210.tmp"), 0o600)
    give_name(living, str(tmp_path / ".x.ba9876543210.tmp"))
    try:
        with replacing(str(target)) as file:
            file.write(b"new")
        there = {".x.ba9876543210.tmp", ".other.0123456789ab.tmp", "x"}
        assert set(os.listdir(tmp_path)) == there and target.read_text() == "new"
    finally:
        os.close(living)

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from jettison.sandbox import sealed


def test_a_sealed_copy_runs_and_cannot_be_written_to(tmp_path: Path) -> None:
    path = tmp_path / "runtime"
    shutil.copy("/bin/true", path)
    copy = sealed.program(str(path))
    assert copy >= 10 and sealed.program(str(path)) == copy
    assert Path(f"/proc/self/fd/{copy}").read_bytes() == path.read_bytes()
    assert subprocess.run([f"/proc/self/fd/{copy}"], pass_fds=[copy]).returncode == 0
    for change in (lambda: os.pwrite(copy, b"x", 0), lambda: os.ftruncate(copy, 1)):
        with pytest.raises(PermissionError):
            change()


def test_a_runtime_that_was_replaced_is_copied_anew(tmp_path: Path) -> None:
    path = tmp_path / "runtime"
    shutil.copy("/bin/true", path)
    first = sealed.program(str(path))
    shutil.copy("/bin/false", tmp_path / "new")
    (tmp_path / "new").replace(path)
    copy = sealed.program(str(path))
    assert copy != first
    assert subprocess.run([f"/proc/self/fd/{copy}"], pass_fds=[copy]).returncode == 1


def test_scripts_and_what_is_missing_have_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "runtime"
    path.write_text("#!/bin/sh\n")
    assert sealed.program(str(path)) == -1
    assert sealed.program(str(tmp_path / "missing")) == -1

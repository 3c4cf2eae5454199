from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


@pytest.mark.parametrize("others", range(6))
def test_a_child_finds_the_copy_whatever_files_are_open(others: int) -> None:
    """Pipes may get any of the low numbers."""
    code = f"""
import os, threading
from jettison.sandbox import process, sealed
copy = sealed.program("/bin/echo")
for _ in range({others}):
    os.open("/dev/null", os.O_RDONLY)
child = process.start([process.PROGRAM, "heard"], {{}}, piped=True, own_pids=False, program=copy)
heard = []
process.finish(child, lambda *said: heard.append(said), threading.Event(), process.kill, lambda data: False)
assert heard == [(1, b"heard\\n")], heard
"""
    subprocess.run([sys.executable, "-c", code], check=True)

"""The hook that shuts devices hears the runtime out: one that does not is an error of the runtime's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jettison.sandbox.devices import shutting


@pytest.mark.parametrize("program", [shutil.which("mount"), ""])
def test_the_hook_reads_all_that_the_runtime_tells(tmp_path: Path, program: str) -> None:
    words = shutting(str(tmp_path / "none"), shutil.which("sh") or "", program)
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        # More than a pipe holds: this is a BrokenPipeError if the other end goes away unread.
        process.stdin.write(b'{"ociVersion":"1.0.2"}\n' * 20_000 + b"{}")
        process.stdin.close()
    assert process.returncode != 0, "there is nothing to be remounted"

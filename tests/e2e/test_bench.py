"""The bench itself: it runs to its end, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
def test_the_quick_bench_measures_every_workload(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("the other builders are measured as root only")
    report = tmp_path / "report.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "bench.run", "--quick", "--builder", "jettison", "--json", report],
        env={**os.environ, "TMPDIR": str(temporary)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    times = json.loads(report.read_text())
    assert len(times) == 8
    assert all(seconds["jettison"] for seconds in times.values())
    assert list(temporary.iterdir()) == []

"""A program may build all day: files, threads, children, mounts and memory do not grow with the builds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.many_builds import KINDS

ALL = bool(os.environ.get("JETTISON_TEST_ALL"))
ROUNDS = {"here": 38 if ALL else 3, "worker": 38 if ALL else 2}
"""How often each kind of build takes its turn; eight kinds make a round."""

GROWTH = 6 * 1024
"""KiB of memory that are no leak: of 300 builds that leak, each would have to keep less than 21 KiB."""

CAME = {
    "cached": "cached",
    "copy": "ran",
    "run": "ran",
    "fail": "StepFailed",
    "stop": "Cancelled",
    "wrong": "DockerfileError",
    "archive": "cached",
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")


@pytest.mark.parametrize("where", ROUNDS)
def test_nothing_grows(busybox_layout: Path, tmp_path: Path, where: str) -> None:
    shutil.copytree(busybox_layout, tmp_path / "base", symlinks=True)
    count = ROUNDS[where] * len(KINDS)
    command = [sys.executable, "-m", "tests.e2e.many_builds", str(tmp_path), where, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 3 * count)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["came"] for line in lines[1:]] == [CAME[line["kind"]] for line in lines[1:]]
    assert len(lines) == count
    warm = lines[len(KINDS) :]
    for name in ("files", "threads", "children", "mounts", "temporary"):
        assert {line[name] for line in warm} == {lines[0][name]}, name
    memory = [line["memory"] for line in warm]
    assert memory[-1] - memory[0] < GROWTH, memory
    assert os.listdir(tmp_path / "store/tmp") == []

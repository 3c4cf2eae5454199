"""However a build ends, it leaves no process, zombie, mount, cgroup, network or temporary folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Jettison

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

KEEPER = """
import ctypes, json, os, re, signal, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # orphans of what we start become our children
number = int(sys.argv[1])
build = subprocess.Popen(sys.argv[2:], stderr=subprocess.PIPE, text=True)
seen = ""
for line in build.stderr:
    seen += line
    if re.search(r"^#\\d+ [\\d.]+ up$", line, re.M) and number:
        build.send_signal(number)
status = build.wait()
until = time.monotonic() + 10 * (number == signal.SIGKILL)
while True:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        left = file.read().split()
    if not left or time.monotonic() >= until:
        break
    os.waitpid(-1, os.WNOHANG)  # whom a killed build leaves, only we can bury
print(json.dumps([status, left, seen, build.pid]))
"""

DAEMONS = "(sleep 611 & ) ; setsid sleep 612 & trap '' TERM INT HUP; mkfifo /p; echo up"


@pytest.mark.parametrize(
    ("number", "script", "status"),
    [
        (0, f"{DAEMONS}; echo done", 0),
        (0, f"{DAEMONS}; exit 3", 1),
        (0, f"{DAEMONS}; sleep 613", 1),
        (2, f"{DAEMONS}; sleep 613", 130),
        (15, f"{DAEMONS}; sleep 613", 143),
        (9, f"{DAEMONS}; sleep 613", -9),
    ],
    ids=["success", "failure", "time-out", "Ctrl-C", "SIGTERM", "SIGKILL"],
)
@pytest.mark.parametrize("isolation", ["root", "builtin"])
def test_nothing_is_left(
    jettison: Jettison,
    project: Callable[..., Path],
    number: int,
    script: str,
    status: int,
    isolation: str,
) -> None:
    folder = project(dockerfile=f"FROM busybox\nRUN {script}\n")
    words = ["--isolation", isolation, "--pids-limit", "50", "--memory", "100MB", "--progress", "plain"]
    words += ["--step-timeout", "1s" if not number else "60s", str(folder)]
    environment = {**os.environ, "JETTISON_ROOT": str(jettison.root)}
    command = [sys.executable, "-c", KEEPER, str(number), *COMMAND, "build", *words]
    kept = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=True)
    ended, left, seen, builder = json.loads(kept.stdout)
    assert (ended, left) == (status, []), seen
    assert str(jettison.root) not in Path("/proc/self/mountinfo").read_text()
    if number == 9:
        return  # the next build removes the rest: tests/e2e/test_killed.py, test_limits.py
    assert [path.name for path in (jettison.root / "tmp").iterdir()] == []
    assert list(Path("/sys/fs/cgroup").glob(f"**/jettison-step-{builder}-*")) == []

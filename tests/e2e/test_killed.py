"""Builds that are killed at any moment: the next one works, nothing half is used, nothing is left or lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Jettison
from tests.e2e.harmed import App
from tests.storecheck import users_of

MOMENTS = 200 if os.environ.get("JETTISON_TEST_ALL") else 42
STARTS = 40 if os.environ.get("JETTISON_TEST_ALL") else 12
SEED = int(os.environ.get("JETTISON_TEST_SEED") or random.SystemRandom().randrange(1 << 32))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")


def listing(folder: Path, pattern: str = "*") -> Callable[[], object]:
    def look() -> object:
        try:
            return sorted(path.name for path in folder.glob(pattern))
        except FileNotFoundError:
            return None  # a folder is gone since it was listed

    return look


def state(folder: Path, pattern: str) -> Callable[[], object]:
    def look() -> object:
        try:
            return [(at.st_ino, at.st_size, at.st_mtime_ns) for at in map(os.stat, folder.glob(pattern))]
        except FileNotFoundError:
            return None  # gone since it was listed

    return look


def moments(app: App) -> list[Callable[[], object]]:
    """What changes just before or just after something is made whole: how to look at it."""
    root = app.jettison.root
    return [
        listing(root / "tmp"),
        listing(root / "tmp", "*/*/*"),
        listing(root / "locks"),
        listing(root / "layers"),
        listing(root / "layers", "*/*"),
        listing(root / "blobs/sha256"),
        listing(root / "memo"),
        state(root, "jettison.db-wal"),
        state(root / "cache-mounts", "*/log"),
        state(app.archive.parent, "*"),
    ]


def wait_for_change(process: subprocess.Popen[bytes], look: Callable[[], object], times: int) -> None:
    """Wait for the end. Raises TimeoutExpired as soon as something has changed for the n-th time."""
    before = look()
    while True:
        try:
            process.wait(0.0002)
            return
        except subprocess.TimeoutExpired:
            now = look()
            times -= now != before
            before = now
            if not times:
                raise


def kill(process: subprocess.Popen[bytes], group: bool) -> None:
    """SIGKILL for the build alone, or for all that has its terminal."""
    try:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def assert_nobody_is_left(root: Path) -> None:
    """The steps of a killed build end by themselves."""
    deadline = time.monotonic() + 10
    while (left := users_of(root)) and time.monotonic() < deadline:
        pass
    for line in left:
        os.kill(int(line.partition(":")[0]), signal.SIGKILL)
    assert left == []


def assert_recovers(app: App, known: set[str]) -> None:
    """After a kill: no process is left, the archive is an old or the new one, and the next build is right."""
    assert_nobody_is_left(app.jettison.root)
    assert app.nonce() in known
    app.assert_builds()
    assert os.listdir(app.archive.parent) == [app.archive.name]


def test_killed_at_any_moment(jettison: Jettison, tmp_path: Path) -> None:
    """At a random time, or just as something appears or vanishes."""
    print(f"JETTISON_TEST_SEED={SEED}")
    rng = random.Random(SEED)
    app = App(jettison, tmp_path, tmp_path / "out/app.tar")
    looks = moments(app)
    app.change("timed")
    began = time.monotonic()
    app.assert_builds()
    took = time.monotonic() - began
    unharmed = 0
    for number in range(MOMENTS):
        before = app.nonce()
        app.change(number)
        process = app.start()
        try:
            if number % 2:
                process.wait(rng.random() * took)
            else:
                wait_for_change(process, looks[number // 2 % len(looks)], rng.randrange(1, 8))
            unharmed += 1
        except subprocess.TimeoutExpired:
            kill(process, group=rng.random() < 0.5)
        assert_recovers(app, {before, f"nonce {number}\n"})
    assert unharmed < MOMENTS * 3 / 4, f"{unharmed} of {MOMENTS} builds ended before they were killed"
    assert app.logged() == {"nonce first", "nonce timed", *(f"nonce {n}" for n in range(MOMENTS))}
    app.assert_kept()


def children(process: subprocess.Popen[bytes]) -> list[str]:
    """The process ids of what the threads of a process have started."""
    return [
        pid for tasks in Path(f"/proc/{process.pid}/task").glob("*/children") for pid in read(tasks).split()
    ]


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # the thread has ended


def test_killed_just_as_a_step_starts(jettison: Jettison, project: Callable[..., Path]) -> None:
    """Before the step's process could be told to die with its builder."""
    folder = project(dockerfile="FROM busybox\nRUN sleep 600\n")
    null = subprocess.DEVNULL
    for _ in range(STARTS):
        process = jettison.start("build", "-q", folder, stdout=null, stderr=null)
        while not children(process):
            assert process.poll() is None
        kill(process, group=False)
        assert_nobody_is_left(jettison.root)

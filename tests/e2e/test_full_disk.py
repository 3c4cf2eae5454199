"""Disks that are full or cannot be written: a clear message, nothing lost, all well once there is room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Done, Jettison
from tests.e2e.harmed import App

KB = 1024


class Disk:
    """A small ext4 filesystem in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def free(self) -> int:
        """Bytes that can still be written."""
        at = os.statvfs(self.folder)
        return at.f_bavail * at.f_frsize

    def fill(self, leave: int) -> None:
        """Take all room but some bytes."""
        with self._filler.open("wb") as file:
            size = self.free() - leave
            while size > 0 and self.free() > leave:
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    size += self.free() - leave
                except OSError:
                    size -= 4 * KB

    def clear(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid():
        pytest.skip("mounting a small filesystem takes root")
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(60 << 20)
    # Blocks as on a disk of usual size: smaller ones let SQLite's shared memory have holes.
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", image], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a file cannot be mounted here: {mounted.stderr.strip()}")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


def assert_told(done: Done, *words: str) -> None:
    """The build failed, and said why."""
    assert done.code == 1, done.text[-3000:]
    assert "ERROR" in done.err and ("hint: " in done.err or "exit code" in done.err)
    assert "Traceback" not in done.text and "internal error" not in done.text
    assert any(word in done.err for word in words), done.err[-3000:]


def test_a_store_on_a_full_disk(disk: Disk, busybox_layout: Path, tmp_path: Path) -> None:
    """So full that nothing can be opened, then full at every stage: steps, layers, records, blobs."""
    jettison = Jettison(disk.folder / "store")
    jettison.ok("load", busybox_layout, "busybox")
    app = App(jettison, tmp_path, tmp_path / "out/app.tar")
    failed = 0
    for leave in (0, 24, 48, 72, 100, 150, 200, 300, 400, 550, 700, 900, 1100, 3000):
        before = app.nonce()
        app.change(leave)
        disk.fill(leave * KB)
        done = app.build()
        if done.code:
            failed += 1
            assert_told(done, "space", "disk is full")
            assert app.nonce() == before
        disk.clear()
        app.assert_builds()
    assert 8 < failed < 14
    app.assert_kept()


def test_an_archive_on_a_full_disk(disk: Disk, jettison: Jettison, tmp_path: Path) -> None:
    """The archive that is there stays as it is."""
    app = App(jettison, tmp_path, disk.folder / "app.tar")
    for leave in (0, 8, 100, 600):
        before = app.nonce()
        app.change(leave)
        disk.fill(leave * KB)
        assert_told(app.build(), "space")
        assert app.nonce() == before
        disk.clear()
        app.assert_builds()
        assert set(os.listdir(disk.folder)) == {"app.tar", "lost+found"}
    app.assert_kept()


def test_a_disk_that_became_read_only(disk: Disk, busybox_layout: Path, tmp_path: Path) -> None:
    jettison = Jettison(disk.folder / "store")
    jettison.ok("load", busybox_layout, "busybox")
    app = App(jettison, tmp_path, tmp_path / "out/app.tar")
    app.change("other")
    disk.remount("ro")
    assert_told(app.build(), "has to be writable")
    disk.remount("rw")
    app.assert_builds()
    app.assert_kept()

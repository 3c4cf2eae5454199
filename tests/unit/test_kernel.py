from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jettison import kernel

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@root
def test_mounts_inside_are_invisible_outside_and_gone_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    def inside() -> str:
        kernel.mount("tmpfs", str(place), "tmpfs", 0, "size=64k")
        (place / "seen").write_text("x")
        child = subprocess.run(["ls", str(place)], capture_output=True, text=True, check=True)
        return child.stdout

    assert kernel.private_mounts(inside) == "seen\n"
    assert list(place.iterdir()) == []
    assert str(place) not in Path("/proc/self/mountinfo").read_text()


@root
def test_umount_inside(tmp_path: Path) -> None:
    def inside() -> bool:
        kernel.mount("tmpfs", str(tmp_path), "tmpfs")
        before = os.path.ismount(tmp_path)
        kernel.umount(str(tmp_path), kernel.MNT_DETACH)
        return before and not os.path.ismount(tmp_path)

    assert kernel.private_mounts(inside)


@root
def test_working_folder_and_umask_stay_private(tmp_path: Path) -> None:
    def inside() -> str:
        os.chdir(tmp_path)
        os.umask(0o77)
        return str(Path.cwd())

    before, mask = str(Path.cwd()), os.umask(0o22)
    os.umask(mask)
    assert kernel.private_mounts(inside) == str(tmp_path)
    assert str(Path.cwd()) == before
    now = os.umask(mask)
    assert now == mask


@root
def test_exception_comes_out() -> None:
    def inside() -> None:
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        kernel.private_mounts(inside)


@root
def test_old_cgroup_layouts_are_covered() -> None:
    def inside() -> bool:
        names = os.listdir("/sys/fs/cgroup")
        return not names or "cgroup.controllers" in names

    assert kernel.private_mounts(inside)


def test_errors_name_the_target(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing") as caught:
        kernel.mount("tmpfs", str(tmp_path / "missing"), "tmpfs")
    assert caught.value.errno in (1, 2)
    with pytest.raises(OSError, match="unmount"):
        kernel.umount(str(tmp_path))


def test_what_spreads_folders_changes_ext4_only_and_never_fails(tmp_path: Path) -> None:
    kernel.spread_folders(str(tmp_path))
    kernel.spread_folders(str(tmp_path))
    kernel.spread_folders("/proc")
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], capture_output=True, text=True, check=True)
    if kind.stdout.strip() != "ext2/ext3":
        pytest.skip(f"only ext4 has the flag, and this is {kind.stdout.strip()}")
    flags = subprocess.run(["lsattr", "-d", tmp_path], capture_output=True, text=True, check=True)
    assert "T" in flags.stdout.split()[0]


DENIED = """
import errno, os, sys, threading
from jettison import kernel
def inside():
    sets = map(kernel.capabilities, ("CapEff", "CapPrm", "CapBnd"))
    caps = [bool(held >> kernel.CAP_SYS_ADMIN & 1) for held in sets]
    try:
        kernel.mount("none", "/", "", kernel.MS_BIND)
    except OSError as error:
        print(kernel.may_mount(), *caps, errno.errorcode[error.errno])
kernel.private_mounts(inside)
print(kernel.may_mount())
"""


@root
def test_where_namespaces_are_refused_nothing_can_be_mounted(tmp_path: Path) -> None:
    """Without its own mount namespace, a thread that could mount would do so for the whole machine."""
    deny = Path(__file__).parents[1] / "deny.py"
    done = subprocess.run(
        [sys.executable, str(deny), sys.executable, "-c", DENIED], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False False False False EPERM\nTrue\n", done.stderr

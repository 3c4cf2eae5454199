"""The built-in sandbox's child program, as far as it needs no rights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jettison.sandbox import builtin
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.inner_root import Part, Root


def test_it_says_what_it_would_do_but_no_secret(tmp_path: Path) -> None:
    mounts = (Mount("bind", "/o", "/src", read_only=True), Mount("tmpfs", "/t", mode=0o700, size=4096))
    spec = ProcessSpec("/r", ("/bin/sh", "-c", "x"), ("TOKEN=hush",), mounts=mounts, network="none", uid=7)
    path = tmp_path / "spec.json"
    told = builtin.document(spec, "/w", single_id=False)
    path.write_text(json.dumps({**told, "filters": [], "fakes": ["", "", 0]}))
    command = [sys.executable, "-m", "jettison.sandbox.inner", "--print", str(path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in (
        "namespaces: mount pid ipc uts cgroup network",
        "proc on /proc (nosuid,nodev,noexec)",
        "bind on /o from /src (ro,nodev)",
        "tmpfs on /t (nosuid,nodev,mode=700,size=4096)",
        "mask on /proc/kcore",
        "in /: ['/bin/sh', '-c', 'x']",
    ):
        assert line in out.splitlines()
    assert "hush" not in out


def test_a_part_stays_what_it_is() -> None:
    part = Part("bind", "/o", "/src")
    with pytest.raises(AttributeError):
        part.target = "/p"  # type: ignore[misc]
    assert part.target == "/o"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    for name in ("root/a/b", "outside"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "root/in").symlink_to("/a")
    (tmp_path / "root/out").symlink_to(tmp_path / "outside")
    (tmp_path / "root/up").symlink_to("../../outside")
    return Root(str(tmp_path / "root"))


def same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    finally:
        os.close(descriptor)


def test_mount_points_are_found_inside(root: Root, tmp_path: Path) -> None:
    assert same(root.open("/in/b"), tmp_path / "root/a/b")
    assert same(root.open("/a/../../../a"), tmp_path / "root/a")
    for name in ("/out", "/up"):
        with pytest.raises(FileNotFoundError):
            root.open(name)
        with pytest.raises(OSError, match="File exists"):
            root.open_or_make(f"{name}/new", folder=True)
    assert os.listdir(tmp_path / "outside") == []


def test_missing_mount_points_are_made(root: Root, tmp_path: Path) -> None:
    assert same(root.open_or_make("/in/x/y", folder=False), tmp_path / "root/a/x/y")
    assert (tmp_path / "root/a/x/y").is_file()


def test_old_kernels_follow_no_symlink(root: Root, tmp_path: Path) -> None:
    assert same(root._walk("/a//./b"), tmp_path / "root/a/b")
    for name in ("/in/b", "/out/x", "/a/../a"):
        with pytest.raises(OSError):
            root._walk(name)

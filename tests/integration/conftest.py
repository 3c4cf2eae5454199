"""Fixtures for tests that run processes in containers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jettison.sandbox.base import Sandbox
from tests.integration.containers import Result, Shell, cgroups, children, choose, make_rootfs, run, shell

RUNTIMES = [
    pytest.param(name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed"))
    for name in ("crun", "runc")
] + [pytest.param("builtin")]


@pytest.fixture(params=RUNTIMES)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return choose(request.param)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    return make_rootfs(tmp_path / "rootfs")


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No child, no mount, no cgroup of ours may outlive a test; a server of other tests may go on."""
    before = children()
    yield
    assert [child for child in children() if child not in before] == []
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    assert cgroups(os.getpid()) == []


@pytest.fixture
def sh(sandbox: Sandbox, rootfs: Path, tmp_path: Path) -> Shell:
    def call(script: str, **changes: object) -> Result:
        return run(
            sandbox, replace(shell(rootfs, script), **changes), Path(tempfile.mkdtemp(dir=tmp_path), "work")
        )  # type: ignore[arg-type]

    return call

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jettison.errors import SourceError
from jettison.executor.mounts import Targets, mount_targets
from jettison.executor.run import RunSettings
from jettison.graph.ops import MountOp, RunOp
from jettison.graph.vertex import Vertex
from jettison.location import Location
from jettison.request import BuildRequest, Secret
from jettison.secrets.values import Secrets
from jettison.store.store import Store
from tests.unit.executor.layers import folder


def no_sandbox() -> Any:
    raise AssertionError("nothing is run here")


SETTINGS = RunSettings(
    sandbox=no_sandbox,
    secrets=Secrets(BuildRequest(secrets=(Secret("x", env="X"),), environment={"X": "value"})),
    proxies={},
    ssh={},
    resolv_conf=None,
)


def targets(tmp_path: Path, *mounts: MountOp) -> Targets:
    view = folder(tmp_path / "image", {"file": "", "dir/f": "", "link": ("->", "dir")})
    op = RunOp(args=("true",), env=(), cwd="/", user="", mounts=mounts)
    vertex = Vertex("x", op, (), "", "RUN true", "", Location("Dockerfile", 3, 3))
    with Store.open(str(tmp_path / "store")) as store:
        return mount_targets(store, vertex, op, {}, SETTINGS, view)


def test_a_directory_is_not_mounted_on_a_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"Dockerfile:3: cannot mount a directory at /file: that is a file"):
        targets(tmp_path, MountOp("tmpfs", "/file"))


def test_a_file_is_not_mounted_on_a_directory(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot mount a file at /link: that is a directory"):
        targets(tmp_path, MountOp("secret", "/link", id="x"))


def test_what_fits_is_mounted_where_links_lead(tmp_path: Path) -> None:
    found = targets(tmp_path, MountOp("tmpfs", "/link"), MountOp("secret", "/file", id="x"))
    assert found.paths["/link"] == "/dir"
    assert found.paths["/file"] == "/file"
    assert {stub.path for stub in found.missing}.isdisjoint({"dir", "file"})


def test_what_another_mount_covers_does_not_count(tmp_path: Path) -> None:
    outer, inner = MountOp("tmpfs", "/dir"), MountOp("tmpfs", "/dir/f")
    for number, mounts in enumerate(((outer, inner), (inner, outer))):
        assert targets(tmp_path / str(number), *mounts).paths["/dir/f"] == "/dir/f"

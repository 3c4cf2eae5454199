"""Builds the seed cases with the `measure` beside them, and compares with what BuildKit made of them.

Once with the base images in the local store and no registry at all, and for some cases
again with the bases in a registry on loopback that stands in as a mirror.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import bases, layer_bytes
from tests.bases.make import push
from tests.conftest import COMMAND, Jettison
from tests.needed import SEED_CASES, needed
from tests.registry import running_registry
from tests.seed.reference import differences

MEASURE = SEED_CASES / "measure"
CASES = sorted(path.parent.name for path in SEED_CASES.glob("*/case.json")) if MEASURE.exists() else []
REFERENCE = json.loads((SEED_CASES / "reference.json").read_text()) if CASES else {}
ALL = bool(os.environ.get("JETTISON_TEST_ALL"))
MIRRORED = CASES if ALL else ["java-distroless", "scratch-c"]
"""What a mirror changes is the same for all cases, so an ordinary run takes a few of them."""
FEW = {"conditional": ["default", "final-development", "final-unknown", "target-builder"]}
"""Of a case with many builds that differ little, those that an ordinary run takes."""
CHOSEN = {} if ALL else FEW
SIZED = ("fullstack", "go-web", "java-distroless", "node-multistage", "scratch-c")
"""Cases whose image `jettison size` is compared with."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CASES, reason=f"the seed cases are not at {SEED_CASES}"),
    pytest.mark.skipif(
        os.geteuid() != 0, reason="the base images are made, and the servers started, as root"
    ),
]


@pytest.fixture(scope="session")
def filled_store(session_folder: Path, base_images: Path) -> Path:
    """A store that holds every base image."""
    store = session_folder / "seed-store"
    for name in needed():
        folder, _ = bases.layout_of(name, base_images)
        Jettison(store).ok("load", folder, name)
    return store


@pytest.fixture(scope="session")
def mirror(session_folder: Path, base_images: Path) -> Iterator[str]:
    """A registry on loopback with every base image."""
    with running_registry(session_folder) as address:
        push(base_images, needed(), address)
        yield address


def measure(
    case: str, tmp_path: Path, environment: dict[str, str], few: Mapping[str, list[str]] = CHOSEN
) -> dict[str, dict[str, object]]:
    """Run `measure` over one case, return its facts by build. It checks config, files and answers itself.

    `few` says which builds are taken of cases that have more.
    """
    record, builds = tmp_path / "facts.json", few.get(case)
    names = [f"{case}/{build}" for build in builds or REFERENCE[case]]
    command = f"{shlex.join([*COMMAND, 'build', '--progress', 'plain'])} {{flags}}"
    done = subprocess.run(
        [sys.executable, MEASURE, *names, "--record", record, "--builder",
         f"{command} --output type=oci,dest={{out}} {{context}}"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found: dict[str, dict[str, object]] = json.loads(record.read_text())[case]
    assert len(found) == len(names)
    return found


def compare(case: str, facts: dict[str, dict[str, object]], base_sizes: set[int]) -> None:
    wrong = [
        f"{case}/{build}: {line}"
        for build in facts
        for line in differences(facts[build], REFERENCE[case][build], base_sizes)
    ]
    assert wrong == []


def compare_size(case: str, archive: Path, filled_store: Path, environment: dict[str, str]) -> None:
    """What `jettison size` says of the last stage, and what the image's layers hold, to the byte."""
    jettison, folder = Jettison(filled_store), SEED_CASES / case / "context"
    jettison.ok("build", "-o", f"type=oci,dest={archive}", folder, env=environment)
    words = ("size", "--format", "json", "--file", folder / "Dockerfile", folder)
    report = json.loads(jettison.ok(*words, env=environment).out)
    keys = ("compressed", "files", "size")
    layers = layer_bytes.of_archive(archive)
    assert [{key: layer[key] for key in keys} for layer in report["layers"]] == layers
    for key in keys:
        assert report[key] == sum(layer[key] for layer in layers)
    assert report["origins_known"]


@pytest.mark.parametrize("case", CASES)
def test_from_the_local_store(case: str, tmp_path: Path, filled_store: Path, base_sizes: set[int]) -> None:
    environment = {
        "JETTISON_ROOT": str(filled_store),
        "JETTISON_REGISTRY_MIRRORS": "docker.io=http://127.0.0.1:1,gcr.io=http://127.0.0.1:1",
    }
    compare(case, measure(case, tmp_path, environment), base_sizes)
    if ALL or case in SIZED:
        compare_size(case, tmp_path / "image.tar", filled_store, environment)


@pytest.mark.parametrize("case", [case for case in MIRRORED if case in CASES])
def test_through_a_mirror(
    case: str, tmp_path: Path, mirror: str, base_sizes: set[int], empty_jettison: Jettison
) -> None:
    environment = {
        "JETTISON_ROOT": str(empty_jettison.root),
        "JETTISON_REGISTRY_MIRRORS": f"docker.io=http://{mirror},gcr.io=http://{mirror}",
    }
    compare(case, measure(case, tmp_path, environment), base_sizes)

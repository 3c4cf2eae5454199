"""Seed cases on the lower rungs, with the same `measure` and the same comparison as on the highest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import bases
from tests.conftest import Jettison
from tests.needed import SEED_CASES, base_names
from tests.seed import test_seed_cases
from tests.seed.test_seed_cases import ALL, CASES, compare, measure

pytestmark = test_seed_cases.pytestmark

RUNGS = ("rootless", "single-id", "builtin", "chroot")
SOME = [("scratch-c", isolation) for isolation in RUNGS]
SOME += [("go-web", "rootless"), ("node-single", "single-id"), ("java-distroless", "chroot")]
"""What an ordinary run takes: the image that each of these projects ships."""

FEW = test_seed_cases.FEW if ALL else {case: ["default"] for case, _ in SOME}
"""Builds that are taken of cases that have more. Of one with ten, most differ in their target only."""

CHOSEN = [(case, isolation) for case in CASES for isolation in RUNGS if ALL or (case, isolation) in SOME]


@pytest.mark.parametrize(("case", "isolation"), CHOSEN)
def test_rung(
    case: str,
    isolation: str,
    tmp_path: Path,
    base_images: Path,
    base_sizes: set[int],
    empty_jettison: Jettison,
) -> None:
    environment = {
        "JETTISON_ROOT": str(empty_jettison.root),
        "JETTISON_ISOLATION": isolation,
        "JETTISON_REGISTRY_MIRRORS": "docker.io=http://127.0.0.1:1,gcr.io=http://127.0.0.1:1",
    }
    for name in base_names(SEED_CASES / case):
        empty_jettison.ok("load", bases.layout_of(name, base_images)[0], name, env=environment)
    compare(case, measure(case, tmp_path, environment, FEW), base_sizes)

"""Every rung of the ladder, on machines where it is the best one left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.situations import (
    CONFINED,
    NO_RUNTIME,
    NOTHING,
    ROOT,
    TOOLS,
    UNCONFINED,
    UNMASKED,
    USER,
    Machine,
    Situation,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not shutil.which("crun"), reason="crun is not installed"),
]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-ladder-") as place:
        yield Machine(Path(place))


def rung(report: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in report["rungs"] if item["isolation"] == name)
    return found


@pytest.mark.parametrize(
    "situation", [ROOT, UNMASKED, UNCONFINED, USER, NO_RUNTIME, CONFINED, NOTHING], ids=str
)
def test_doctor_names_the_rung(machine: Machine, situation: Situation) -> None:
    before = sorted(os.listdir(machine.home(situation)))
    report = machine.doctor(situation)
    assert report["isolation"] == situation.rung, report
    for item in report["rungs"]:
        assert bool(item["changes"]) <= bool(item["problem"])
        if item["isolation"] == situation.rung:
            break
        assert item["problem"] and item["changes"], f"{item['isolation']}: nothing is said to get there"
    assert sorted(os.listdir(machine.home(situation))) == before

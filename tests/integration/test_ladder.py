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
    SUBORDINATE,
    SUBORDINATE_NO_RUNTIME,
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


EVERY = [ROOT, UNMASKED, UNCONFINED, SUBORDINATE, SUBORDINATE_NO_RUNTIME, USER, NO_RUNTIME, CONFINED, NOTHING]


@pytest.mark.parametrize("situation", EVERY, ids=str)
def test_doctor_names_the_rung(machine: Machine, situation: Situation) -> None:
    before = sorted(os.listdir(machine.home(situation)))
    report = machine.doctor(situation)
    assert report["isolation"] == situation.rung, report
    for item in report["rungs"]:
        assert bool(item["changes"]) == bool(item["problem"]), (
            f"{item['isolation']}: nothing is said to get there"
        )
        if item["isolation"] == situation.rung:
            break
        # One id alone is what root could have as well, and does not want.
        assert item["problem"] or item["isolation"] == "single-id"
    assert sorted(os.listdir(machine.home(situation))) == before


def test_the_isolation_that_is_asked_for_is_the_one_that_counts(machine: Machine) -> None:
    assert machine.doctor(ROOT, "--isolation=rootless")["isolation"] == "rootless"
    assert machine.doctor(UNMASKED, "--isolation=root")["isolation"] == "none"
    assert machine.doctor(ROOT, "--isolation=none")["isolation"] == "none"


def test_where_nothing_may_run_files_are_still_copied(machine: Machine) -> None:
    project = machine.home(NOTHING) / "project"
    project.mkdir()
    (project / "Dockerfile").write_text("FROM scratch\nCOPY greeting /\n")
    (project / "greeting").write_text("hello")
    done = machine.jettison(NOTHING, "build", "-o", f"{machine.home(NOTHING)}/out", project)
    assert done.code == 0, done.text
    assert (machine.home(NOTHING) / "out" / "greeting").read_text() == "hello"


def test_where_nothing_may_run_that_is_said_with_the_line(machine: Machine) -> None:
    project = machine.home(NOTHING) / "running"
    project.mkdir()
    (project / "Dockerfile").write_text('FROM scratch\nRUN ["/greeting"]\n')
    done = machine.jettison(NOTHING, "build", project)
    assert done.code == 1
    assert "Dockerfile:2: RUN cannot be carried out here: this process is not root" in done.err
    assert "jettison doctor" in done.err


def test_the_api_builds_beside_a_program_that_may_not_mount(machine: Machine) -> None:
    """Its own process stays as it is; the build is done by a child."""
    code = (
        "import jettison, os, sys\n"
        "before = os.readlink('/proc/self/ns/user')\n"
        "seen = []\n"
        "jettison.build(sys.argv[1], dockerfile=sys.argv[2], on_event=seen.append,\n"
        "    build_contexts={'busybox': 'oci-layout://' + sys.argv[3]})\n"
        "assert os.readlink('/proc/self/ns/user') == before\n"
        "print(*[(e.isolation, e.identity) for e in seen if type(e).__name__ == 'IsolationChosen'])\n"
    )
    layout = machine.busybox()
    words = (code, machine.home(UNMASKED), "FROM busybox\nRUN true\n", layout)
    done = machine.run(UNMASKED, f"{machine.place}/python/bin/python3", "-c", *words)
    assert (done.code, done.out) == (0, "('rootless', 'rootless')\n"), done.text

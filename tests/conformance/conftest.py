"""What the checker is given by tests; and how the corpus stands, said at the end of a run."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import corpus, imagetree, known_failures
from tests.conftest import COMMAND


@pytest.fixture(scope="session")
def base_facts(busybox_layout: Path) -> dict[str, Any]:
    return imagetree.facts(str(busybox_layout))


@pytest.fixture(scope="session")
def options() -> argparse.Namespace:
    """What the checker takes from its command line. The store is that of $JETTISON_ROOT."""
    common = f"{shlex.join([*COMMAND, 'build'])} --build-context busybox=oci-layout://{{base}} {{flags}}"
    return argparse.Namespace(
        builder=f"{common} --output type=oci,dest={{out}} {{context}}",
        lint_builder=f"{common} --check --format=json {{context}}",
        timeout=120.0,
        ignore=[],
        keep=False,
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    ran = {r.nodeid for r in reports if "test_conformance.py::test_case[" in r.nodeid}
    if not ran:
        return
    names = list(corpus.all_cases())
    known = known_failures.read()
    failing = [name for name in names if known_failures.reason(name, known) is not None]
    terminalreporter.write_line(
        f"conformance: {len(names)} cases, {len(names) - len(failing)} expected to pass, "
        f"{len(failing)} known to fail (tests/conformance/known-failures.txt); {len(ran)} ran"
    )

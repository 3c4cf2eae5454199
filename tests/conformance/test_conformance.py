"""Every case of the corpus, built by the installed command and compared with what BuildKit makes of it."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import corpus, imagetree, known_failures
from tests.conformance.compare import check
from tests.conftest import COMMAND

KNOWN = known_failures.read()
CASES = corpus.all_cases()
NAMES = list(CASES)


@pytest.fixture(scope="session")
def base_facts(busybox_layout: Path) -> dict[str, Any]:
    return imagetree.facts(str(busybox_layout))


@pytest.fixture(scope="session")
def options(session_folder: Path) -> Iterator[argparse.Namespace]:
    """What the checker takes from its command line. One store for all cases, as a user has."""
    command = shlex.join([*COMMAND, "build", "--root", str(session_folder / "conformance-store")])
    common = f"{command} --build-context busybox=oci-layout://{{base}} {{flags}}"
    yield argparse.Namespace(
        builder=f"{common} --output type=oci,dest={{out}} {{context}}",
        lint_builder=f"{common} --check --format=json {{context}}",
        timeout=120.0,
        ignore=[],
        keep=False,
    )


@pytest.mark.parametrize("name", NAMES)
def test_case(
    name: str, busybox_layout: Path, base_facts: dict[str, Any], options: argparse.Namespace
) -> None:
    if os.geteuid():
        pytest.skip("the cases set owners and make devices, which takes root")
    result = check(CASES[name], str(busybox_layout), base_facts, options)
    known = known_failures.reason(name, KNOWN)
    if known is None:
        assert result["passed"], "\n".join([result["about"], *result["differences"][:20]])
    else:
        assert not result["passed"], f"passes now: take it out of known-failures.txt ({known})"


def test_every_known_failure_names_a_case() -> None:
    stale = [pattern for pattern in KNOWN if not any(known_failures.reason(n, {pattern: "-"}) for n in NAMES)]
    assert stale == []


def test_a_line_without_a_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("# why\n\ncopy-chmod:\n")
    with pytest.raises(ValueError, match=r"known\.txt:3: copy-chmod has no reason"):
        known_failures.read(path)

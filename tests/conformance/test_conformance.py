"""Every case of the corpus, built by the installed command and compared with what BuildKit makes of it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import corpus, known_failures
from tests.conformance.compare import check

KNOWN = known_failures.read()
CASES = corpus.all_cases()
NAMES = list(CASES)


@pytest.mark.parametrize("name", NAMES)
def test_case(
    name: str,
    session_folder: Path,
    busybox_layout: Path,
    base_facts: dict[str, Any],
    options: argparse.Namespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if os.geteuid():
        pytest.skip("the cases set owners and make devices, which takes root")
    # One store for all cases, as a user has.
    monkeypatch.setenv("JETTISON_ROOT", str(session_folder / "conformance-store"))
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

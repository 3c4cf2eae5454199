"""The corpus on the lower rungs of the ladder: equal results, but for those that are named with a reason.

An ordinary run takes a few cases of each rung; `python -m tests.conformance --isolation NAME` takes them all.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import known_failures
from tests.conformance.compare import check
from tests.conformance.test_conformance import CASES, KNOWN

RUNGS = ("rootless", "single-id", "builtin", "chroot")
NAMED = {isolation: {**KNOWN, **known_failures.of_rung(isolation)} for isolation in RUNGS}
"""Differences by rung."""
ALL = bool(os.environ.get("JETTISON_TEST_ALL"))
EVERY = 16
"""Of so many cases in which something runs one is taken, another one on each rung."""


def chosen(isolation: str) -> list[str]:
    """What a run takes of a rung: those that differ only there, and some of the others."""
    if ALL:
        return [case.name for case in CASES.values() if not case.lint]
    named = known_failures.of_rung(isolation)
    running = [name for name in CASES if name.startswith("run-")]
    some = running[RUNGS.index(isolation) :: EVERY]
    return [name for name in CASES if name in some or known_failures.reason(name, named)]


@pytest.mark.skipif(os.geteuid() != 0, reason="the cases set owners and make devices, which takes root")
@pytest.mark.parametrize(
    ("isolation", "name"), [(isolation, name) for isolation in RUNGS for name in chosen(isolation)]
)
def test_case(
    isolation: str,
    name: str,
    session_folder: Path,
    busybox_layout: Path,
    base_facts: dict[str, Any],
    options: argparse.Namespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JETTISON_ROOT", str(session_folder / f"conformance-store-{isolation}"))
    monkeypatch.setenv("JETTISON_ISOLATION", isolation)
    result = check(CASES[name], str(busybox_layout), base_facts, options)
    known = known_failures.reason(name, NAMED[isolation])
    if known is None:
        assert result["passed"], "\n".join([result["about"], *result["differences"][:20]])
    else:
        assert not result["passed"], f"passes now: take it out of known-{isolation}.txt ({known})"


def test_every_difference_names_a_case() -> None:
    stale = [
        pattern
        for isolation in RUNGS
        for pattern in known_failures.of_rung(isolation)
        if not any(known_failures.reason(name, {pattern: "-"}) for name in CASES)
    ]
    assert stale == []

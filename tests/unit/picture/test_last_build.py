"""The critical path through the steps of a build. What the store knows of builds: tests/e2e/test_graph.py."""

from __future__ import annotations

import pytest

from jettison.picture.last_build import critical_path
from jettison.why.base import Step


def step(name: str, stage: str, *inputs: str) -> Step:
    return Step(name, stage, name, (1, 1), {"type": "run"}, f"key of {name}", inputs, "ran", "")


STEPS = [
    step("base", "web"),
    step("npm", "web", "base"),
    step("build", "web", "npm"),
    step("test", "tester", "build"),
    step("slim", "final"),
    step("prod", "final", "slim"),
    step("copy", "final", "prod", "build"),
]
SECONDS = {"npm": 4.0, "build": 4.5, "test": 60.0, "prod": 3.0, "copy": 0.25}


def found(ends: set[str], **other: float) -> tuple[list[str], float]:
    return critical_path(STEPS, {f"key of {name}": value for name, value in (SECONDS | other).items()}, ends)


def test_steps_side_by_side_do_not_add_up() -> None:
    assert found({"final"}) == (["web", "final"], 8.75)
    assert found({"final"}, prod=9.0) == (["final"], 9.25)


def test_only_the_way_to_the_targets_counts() -> None:
    assert found({"tester"}) == (["web", "tester"], 68.5)
    assert found({"tester", "final"}) == (["web", "tester"], 68.5)
    assert found({"elsewhere"}) == ([], 0.0)


def test_steps_of_unknown_time_take_none() -> None:
    path, seconds = critical_path(STEPS, {"key of copy": 0.5}, {"final"})
    assert (path, seconds) == (["final"], pytest.approx(0.5))
    assert critical_path(STEPS, {}, {"final"}) == ([], 0.0)

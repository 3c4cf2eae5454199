"""The documentation of the rules is current."""

from __future__ import annotations

from pathlib import Path

from jettison.lint.pages import pages

FOLDER = Path(__file__).parents[3] / "docs" / "lint"


def test_the_pages_are_what_the_table_makes_them() -> None:
    there = {path.name: path.read_text() for path in FOLDER.iterdir()}
    assert there == pages(), "run: python -m jettison.cli.rule_pages docs/lint"

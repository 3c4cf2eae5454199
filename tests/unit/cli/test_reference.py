from __future__ import annotations

from pathlib import Path

from jettison.cli.main import COMMANDS
from jettison.cli.reference import markdown

DOCUMENT = Path(__file__).parents[3] / "docs" / "cli.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == markdown(), "run: python -m jettison.cli.reference > docs/cli.md"


def test_every_command_is_in_it() -> None:
    text = markdown()
    assert all(f"\n## jettison {name}\n" in text for name in COMMANDS)

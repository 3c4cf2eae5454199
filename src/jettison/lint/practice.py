"""Rules of our own: good practice with several stages."""

from __future__ import annotations

from jettison.graph.stages import StageGraph
from jettison.lint.base import Subject


def check_practice(subject: Subject, stages: StageGraph) -> None:
    """All of them."""

"""The Dockerfile language, pure: from bytes to typed instructions in stages, and variables."""

from __future__ import annotations

from jettison.dockerfile.instructions import Dockerfile, Instruction, Stage
from jettison.dockerfile.parser import parse, parse_trigger

__all__ = ["Dockerfile", "Instruction", "Stage", "parse", "parse_trigger"]

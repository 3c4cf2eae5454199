"""The rules that only jettison has: good practice with several stages."""

from __future__ import annotations

from jettison.lint.table import Rule

RULES: tuple[Rule, ...] = ()

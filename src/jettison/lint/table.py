"""All rules as data, with examples: documentation and reports are made of it."""

from __future__ import annotations

from typing import Literal

from jettison.dataclass import dataclass

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. In the Dockerfile `bad` it finds something, and it alone; `good` is the same, mended.

    `ignore` is the text of the examples' .dockerignore (of the good one `mended_ignore`, if there is one),
    `arguments` their build arguments. An `own` rule is not one of BuildKit's. What is `fixable` is
    rewritten by `jettison lint --fix`.
    """

    id: str
    summary: str
    why: str
    bad: str
    good: str
    severity: Severity = "warning"
    fixable: bool = False
    own: bool = False
    experimental: bool = False
    ignore: str = ""
    mended_ignore: str = ""
    arguments: tuple[tuple[str, str], ...] = ()


def every_rule() -> tuple[Rule, ...]:
    """All rules, BuildKit's first."""
    from jettison.lint.table_buildkit import RULES as BUILDKIT
    from jettison.lint.table_own import RULES as OWN

    return (*BUILDKIT, *OWN)


def rules_by_id() -> dict[str, Rule]:
    """All rules by their names."""
    return {rule.id: rule for rule in every_rule()}

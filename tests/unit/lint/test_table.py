"""The rules' own examples: what the documentation shows is what happens."""

from __future__ import annotations

import pytest

from jettison.lint.base import BaseFacts, ContextFacts, Facts
from jettison.lint.directive import EXPERIMENTAL
from jettison.lint.table import Rule, every_rule
from tests.unit.lint.checked import HERE, found

RULES = every_rule()
NEEDS_AN_IMAGE = "InvalidBaseImagePlatform"


def rules_found(text: str, rule: Rule, ignore: str) -> set[str]:
    context = ContextFacts(bool(ignore), 30_000, 400_000_000)
    got = found(
        text,
        ignore=ignore,
        arguments=dict(rule.arguments),
        own_rules=rule.own,
        context=lambda: context,
    )
    return {name for _, name in got}


@pytest.mark.parametrize("rule", [r for r in RULES if r.id != NEEDS_AN_IMAGE], ids=lambda rule: rule.id)
def test_the_bad_example_is_found_and_nothing_else(rule: Rule) -> None:
    assert rules_found(rule.bad, rule, rule.ignore) == {rule.id}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_good_example_is_clean(rule: Rule) -> None:
    assert rules_found(rule.good, rule, rule.mended_ignore or rule.ignore) == set()


def test_an_image_for_another_platform_is_found() -> None:
    from jettison.dockerfile.parser import parse
    from jettison.graph.scope import GlobalScope, platform_args
    from jettison.graph.stages import build_stage_graph
    from jettison.lint.check import check

    data = b"FROM example/only-for-arm64:1\n"
    dockerfile = parse(data)
    stages = build_stage_graph(dockerfile, GlobalScope({}, platform_args(HERE, HERE, "")), set(), HERE)
    bases = {("example/only-for-arm64:1", str(HERE)): BaseFacts({}, "linux", "arm64")}
    got = check(dockerfile, data, stages, Facts(HERE, HERE, bases=bases))
    assert [finding.rule for finding in got] == [NEEDS_AN_IMAGE]


def test_names_are_unique_and_experimental_rules_are_off() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert {rule.id for rule in RULES if rule.experimental} == EXPERIMENTAL

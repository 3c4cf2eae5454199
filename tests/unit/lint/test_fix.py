"""What --fix rewrites, and what it leaves alone."""

from __future__ import annotations

import pytest

from jettison.dockerfile.instructions import Dockerfile
from jettison.lint.base import Finding
from jettison.lint.fix import fix_all
from jettison.lint.table import Rule, every_rule
from tests.unit.lint.checked import findings

FIXABLE = [rule for rule in every_rule() if rule.fixable]


def fixed(text: str, *, own: bool = True) -> str:
    def find(dockerfile: Dockerfile, data: bytes) -> list[Finding]:
        return findings(data.decode(), own_rules=own)

    return fix_all(text.encode(), "Dockerfile", find).data.decode()


@pytest.mark.parametrize("rule", FIXABLE, ids=lambda rule: rule.id)
def test_a_bad_example_becomes_the_good_one(rule: Rule) -> None:
    assert fixed(rule.bad, own=rule.own) == rule.good


@pytest.mark.parametrize("rule", [r for r in every_rule() if not r.fixable], ids=lambda rule: rule.id)
def test_other_rules_are_left_to_people(rule: Rule) -> None:
    assert fixed(rule.bad, own=rule.own) == rule.bad


def test_comments_and_layout_stay() -> None:
    text = "# syntax=x\n\n  # about\nfrom a:1   as   B  \n\n\nENV\tA  1 2 \n# end"
    assert fixed(text) == '# syntax=x\n\n  # about\nFROM a:1   AS   b  \n\n\nENV\tA="1 2" \n# end'


@pytest.mark.parametrize(
    "line",
    ['ENV A "1" 2', "ENV A a\\ b", "ENV A 'it is'", "ENV A `x` b"],
)
def test_values_whose_quotes_mean_something_are_left_alone(line: str) -> None:
    text = f"FROM scratch\n{line}\n"
    assert fixed(text) == text


def test_a_variable_keeps_its_meaning() -> None:
    assert fixed("FROM scratch\nENV P /x:$PATH\n") == "FROM scratch\nENV P=/x:$PATH\n"


def test_a_continued_pair_is_left_alone() -> None:
    text = "FROM scratch\nENV A \\\n  1\n"
    assert fixed(text) == text


def test_line_ends_stay_as_they_are() -> None:
    assert fixed("FROM scratch\r\nEXPOSE 1/TCP 2/Udp\r\n") == "FROM scratch\r\nEXPOSE 1/tcp 2/udp\r\n"


def test_several_findings_of_one_file_are_mended_together() -> None:
    text = (
        "FROM a:1 as One\nRUN x && \\\n\n  y\nenv A 1\n"
        "FROM --platform=$TARGETPLATFORM a:1\nCOPY --from=0 /x /\n"
    )
    assert fixed(text) == ("FROM a:1 AS one\nRUN x && \\\n  y\nENV A=1\nFROM a:1\nCOPY --from=one /x /\n")


def test_a_number_is_kept_where_the_name_means_another_stage() -> None:
    text = "FROM a:1 AS x\nFROM a:1 AS x\nFROM a:1\nCOPY --from=0 /x /\n"
    assert fixed(text) == text


def test_a_rule_that_is_left_out_is_not_mended() -> None:
    text = "FROM scratch\n# check=skip=LegacyKeyValueFormat\nENV A 1\n"
    assert fixed(text) == text

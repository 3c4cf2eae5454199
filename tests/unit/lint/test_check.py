"""What is reported, where, and what keeps it from being reported."""

from __future__ import annotations

import pytest

from jettison.errors import DockerfileError
from tests.unit.lint.checked import findings, found


def test_a_comment_above_an_instruction_leaves_a_rule_out_for_it_alone() -> None:
    text = "FROM a:1\n# check=skip=JSONArgsRecommended\nENTRYPOINT x\nCMD y\n"
    assert found(text) == [(4, "JSONArgsRecommended")]


def test_an_empty_line_parts_a_comment_from_the_instruction() -> None:
    text = "FROM a:1\n# check=skip=JSONArgsRecommended\n\nCMD y\n"
    assert found(text) == [(4, "JSONArgsRecommended")]


@pytest.mark.parametrize("text", ["skip", "skip=a;errors=true", "error=maybe"])
def test_a_directive_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError, match="check option"):
        findings(f"# check={text}\nFROM a:1\n")


def test_findings_come_in_the_order_of_lines() -> None:
    text = "FROM a:1 as X\nMAINTAINER me\nWORKDIR w\nFROM a:1\nCMD x\n"
    lines = [line for line, _ in found(text)]
    assert lines == sorted(lines) and len(lines) == 5


def test_with_a_target_only_the_stages_it_needs_are_walked_through() -> None:
    text = "FROM a:1 AS one\nWORKDIR w\nMAINTAINER me\nFROM a:1 AS two\nWORKDIR w\n"
    assert found(text, targets=("two",)) == [(3, "MaintainerDeprecated"), (5, "WorkdirRelativePath")]
    assert found(text, targets=("one",)) == [(2, "WorkdirRelativePath"), (3, "MaintainerDeprecated")]


def test_a_variable_of_an_image_that_nobody_has_read_is_not_undefined() -> None:
    text = "FROM golang:1\nENV OUT=$GOPATH/bin\n"
    assert found(text) == []
    assert found(text, bases={"golang:1": {"Env": ["GOPATH=/go"]}}) == []
    assert found(text, bases={"golang:1": {"Env": []}}) == [(2, "UndefinedVar")]


def test_a_misspelt_variable_is_found_whatever_the_base() -> None:
    (got,) = findings("FROM golang:1\nARG VERSION=1\nLABEL v=$VERSOIN\n")
    assert got.rule == "UndefinedVar" and "did you mean VERSION?" in got.message


def test_a_global_argument_that_a_stage_does_not_name_is_told_of() -> None:
    (got,) = findings("ARG V=1\nFROM a:1\nLABEL v=$V\n")
    assert "add ARG V to this stage" in got.message


def test_an_argument_without_value_is_defined() -> None:
    assert found("FROM scratch\nARG A\nLABEL a=$A\nENV B=${A:-x}\n") == []


def test_a_stage_inherits_what_its_base_has_set() -> None:
    text = 'FROM scratch AS b\nENV A=1\nWORKDIR /w\nSHELL ["/sh"]\nFROM b\nWORKDIR x\nLABEL a=$A\nCMD y\n'
    assert found(text) == []


def test_the_shell_of_a_known_base_makes_shell_form_deliberate() -> None:
    assert found("FROM a:1\nCMD x\n", bases={"a:1": {"Shell": ["/bin/bash", "-c"]}}) == []


def test_a_trigger_speaks_for_the_from_that_runs_it() -> None:
    text = "FROM scratch AS b\nONBUILD LABEL a=$NONE\nFROM b\n"
    assert found(text) == [(3, "UndefinedVar")]


def test_a_file_that_a_later_line_brings_back_is_not_ignored() -> None:
    text = "FROM scratch\nCOPY dist/ /d/\nCOPY dist/a.txt dist/b.txt /e/\nCOPY d*t /f/\n"
    assert found(text, ignore="dist\n!dist/a.txt\n") == [(3, "CopyIgnoredFile")]


def test_copies_from_stages_and_urls_know_no_ignore_file() -> None:
    text = "FROM scratch AS b\nFROM scratch\nCOPY --from=b x /\nADD https://example.com/x /\n"
    assert found(text, ignore="*\n") == []


def test_each_secret_of_a_line_is_named() -> None:
    got = findings("FROM scratch\nENV DB_PASSWORD=x API_TOKEN=y PUBLIC_KEY=z TOKEN_FILE=/run/t\n")
    assert [finding.message.split()[1] for finding in got] == ["DB_PASSWORD", "API_TOKEN"]


def test_an_empty_line_at_the_end_of_the_file_continues_too() -> None:
    assert found("FROM scratch\nLABEL a=1 \\\n\n\n") == [(4, "NoEmptyContinuation")]
    assert found("FROM scratch\nLABEL a=1 \\\n") == []


def test_text_in_a_here_document_is_no_continuation() -> None:
    assert found("FROM scratch\nCOPY <<E /x\na \\\n\nb\nE\n") == []


def test_without_a_stage_graph_the_rules_of_words_still_speak() -> None:
    text = "FROM --platform=$NOPE busybox as x\nCMD y\n"
    assert found(text) == [(1, "FromAsCasing"), (1, "UndefinedArgInFrom")]

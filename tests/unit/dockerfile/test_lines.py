from __future__ import annotations

import pytest

from jettison.dockerfile import parse
from jettison.dockerfile.instructions import Label, Run
from jettison.dockerfile.lines import decode, logical_lines
from jettison.errors import DockerfileError


def texts(source: str, escape: str = "\\") -> list[str]:
    return [line.text for line in logical_lines(decode(source.encode()), escape)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("A x\nB y", ["A x", "B y"]),
        ("\ufeffA x", ["A x"]),
        ("  \tA x  \r\n", ["A x"]),
        ("A one \\\n  two", ["A one   two"]),
        ("A one\\\ntwo", ["A onetwo"]),
        ("A one \\  \t\n two", ["A one  two"]),
        ("A one \\\r\n two\r\n", ["A one  two"]),
        ("A one \\\n# gone\n   # gone too\n two", ["A one  two"]),
        ("A one \\\n\n   \n two", ["A one  two"]),
        ("A one \\\n", ["A one"]),
        ("A one \\\\\nB two", ["A one \\\\", "B two"]),
        ("# note \\\nA x", ["A x"]),
        ("A x # no comment", ["A x # no comment"]),
        ("\\\nA x", ["A x"]),
        ("\n\n# a\n", []),
    ],
)
def test_lines_are_joined_and_comments_dropped(source: str, expected: list[str]) -> None:
    assert texts(source) == expected


def test_the_backtick_can_be_the_escape_character() -> None:
    assert texts("A c:\\ `\n b", "`") == ["A c:\\  b"]


def test_lines_know_where_they_stand() -> None:
    lines = list(logical_lines(["# a", "A x \\", "# b", " y", "", "RUN <<E", "1", "E", "B"], "\\"))
    assert [(line.first, line.last) for line in lines] == [(2, 4), (6, 8), (9, 9)]


@pytest.mark.parametrize(
    ("first", "escape"),
    [
        ("# escape=`", "`"),
        ("#escape=`", "`"),
        ("#\t EsCaPe \t=  `  ", "`"),
        ("# syntax=docker/dockerfile:1\n# escape=`", "`"),
        ("\ufeff# escape=`", "`"),
        ("# escape=`\r", "`"),
        ("\n# escape=`", "\\"),
        ("# note\n# escape=`", "\\"),
        ("# unknown=1\n# escape=`", "\\"),
        ("#!/usr/bin/env x\n# escape=`", "\\"),
    ],
)
def test_directives_count_only_at_the_top(first: str, escape: str) -> None:
    assert parse(f"{first}\nFROM x".encode()).escape == escape


def test_directives_are_kept() -> None:
    dockerfile = parse(b"# syntax=a/b:1\n# check=skip=X;error=true\nFROM x")
    assert dockerfile.directives == {"syntax": "a/b:1", "check": "skip=X;error=true"}


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (b"# escape=x\nFROM a", "escape"),
        (b"# escape=\\\n# escape=`\nFROM a", "only one escape"),
        ("FROM x".encode("utf-16"), "UTF-8"),
        (b"FROM a\nRUN <<EOF\ntrue\n", "EOF"),
        (b"FROM a\nRUN <<EOF\ntrue\nEOF \n", "EOF"),
        (b"FROM a\0b", "NUL"),
    ],
)
def test_what_cannot_be_read_is_said(source: bytes, word: str) -> None:
    with pytest.raises(DockerfileError, match=word):
        parse(source)


def run(source: str) -> Run:
    instruction = parse(b"FROM x\n" + source.encode()).stages[0].instructions[0]
    assert isinstance(instruction, Run)
    return instruction


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("RUN <<A\nx\nA", [("A", "x\n", True, False)]),
        ("RUN <<-A\n\tx\n\tA", [("A", "\tx\n", True, True)]),
        ("RUN <<'A'\nx\nA", [("A", "x\n", False, False)]),
        ('RUN <<"A B"\nx\nA B', [("A B", "x\n", False, False)]),
        ("RUN <<\\A\nx\nA", [("A", "x\n", False, False)]),
        ('RUN <<E"O"F\nx\nEOF', [("EOF", "x\n", False, False)]),
        ("RUN cat 3<<A\nx\nA", [("A", "x\n", True, False)]),
        ("RUN <<A cat && <<B cat\n1\nA\n2\nB", [("A", "1\n", True, False), ("B", "2\n", True, False)]),
        ("RUN <<A\nA", [("A", "", True, False)]),
        ("RUN <<A\r\nx\r\nA\r\n", [("A", "x\r\n", True, False)]),
        ("RUN <<A\n# x\n\nRUN y \\\nA", [("A", "# x\n\nRUN y \\\n", True, False)]),
        ("RUN cat<<A", []),
        ("RUN echo '<<A'", []),
        ('RUN echo "<<A"', []),
        ("RUN a <<< b", []),
        ("RUN echo $((1<<2))", []),
        ('RUN ["a", "<<A"]', []),
        ("RUN it's <<A", []),
    ],
)
def test_heredocs(source: str, expected: list[tuple[str, str, bool, bool]]) -> None:
    found = run(source).heredocs
    assert [(item.name, item.data, item.expand, item.strip_tabs) for item in found] == expected


def test_tabs_are_stripped_from_content() -> None:
    assert run("RUN <<-A\n\t\tx\n y\n\tA").heredocs[0].content == "x\n y\n"


def test_a_lone_heredoc_is_a_script() -> None:
    assert run("RUN --network=none <<A\nx\nA").script
    assert not run("RUN <<A cat\nx\nA").script
    assert not run("RUN true").script


def test_other_instructions_have_no_heredocs() -> None:
    instruction = parse(b"FROM x\nLABEL a=<<A").stages[0].instructions[0]
    assert isinstance(instruction, Label)
    assert instruction.pairs == (("a", "<<A"),)


def test_summary_is_the_first_line() -> None:
    assert run("RUN <<A\n\nfirst\nsecond\nA").heredocs[0].summary == "first..."
    assert run("RUN <<A\nonly\nA").heredocs[0].summary == "only"

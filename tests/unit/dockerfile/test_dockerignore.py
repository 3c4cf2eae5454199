from __future__ import annotations

import pytest

from jettison.dockerfile.dockerignore import Matcher, make_patterns, parse_ignore
from jettison.errors import DockerfileError

PATHS = [
    "keep",
    "drop.tmp",
    "s",
    "s/keep",
    "s/drop.tmp",
    "s/t",
    "s/t/drop.tmp",
    "node",
    "node/x",
    "s/node",
    "s/node/y",
]


def ignored(lines: str, paths: list[str] = PATHS) -> set[str]:
    matcher = Matcher(parse_ignore(lines.encode()))
    return {path for path in paths if matcher.ignored(path)}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", set()),
        ("# keep\n\n   \n", set()),
        ("keep", {"keep"}),
        ("/keep\n", {"keep"}),
        ("./s/../keep/", {"keep"}),
        ("  keep \t", {"keep"}),
        ("\ufeffkeep\r\nnode\r\n", {"keep", "node", "node/x"}),
        ("*.tmp", {"drop.tmp"}),
        ("*/*.tmp", {"s/drop.tmp"}),
        ("**/*.tmp", {"drop.tmp", "s/drop.tmp", "s/t/drop.tmp"}),
        ("**.tmp", {"drop.tmp", "s/drop.tmp", "s/t/drop.tmp"}),
        ("**/node", {"node", "node/x", "s/node", "s/node/y"}),
        ("**/t/drop.tmp", {"s/t/drop.tmp"}),
        ("s/**", {"s/keep", "s/drop.tmp", "s/t", "s/t/drop.tmp", "s/node", "s/node/y"}),
        ("s/**/drop.tmp", {"s/drop.tmp", "s/t/drop.tmp"}),
        ("s\n!s/keep", set(PATHS[2:3] + PATHS[4:7] + PATHS[9:])),
        ("!s/keep\ns", {"s", "s/keep", "s/drop.tmp", "s/t", "s/t/drop.tmp", "s/node", "s/node/y"}),
        ("*\n! keep", set(PATHS) - {"keep"}),
        ("*\n!s/t", set(PATHS) - {"s/t", "s/t/drop.tmp"}),
        ("*\n!s\ns/t", set(PATHS) - {"s", "s/keep", "s/drop.tmp", "s/node", "s/node/y"}),
        ("?eep", {"keep"}),
        ("[j-l]eep", {"keep"}),
        ("[^k]eep", set()),
        ("[!a-c]eep", set()),
        ("s/[!d]rop.tmp", {"s/drop.tmp"}),
        (r"\keep", {"keep"}),
        (".", set()),
        ("/", set()),
        ("../keep", set()),
        ("KEEP", set()),
    ],
)
def test_patterns(lines: str, expected: set[str]) -> None:
    assert ignored(lines) == expected


def test_the_order_of_questions_does_not_matter() -> None:
    matcher = Matcher(parse_ignore(b"a\n!a/b\na/b/c"))
    answers = {path: matcher.ignored(path) for path in ("a/b/c/d", "a", "a/b", "a/x", "a/b/c")}
    assert answers == {"a/b/c/d": True, "a": True, "a/b": False, "a/x": True, "a/b/c": True}


@pytest.mark.parametrize(
    ("lines", "directory", "expected"),
    [
        ("s", "s", False),
        ("s\n!s/keep", "s", True),
        ("s\n!s/t/keep", "s/t", True),
        ("s\n!s/u/keep", "s/t", False),
        ("s\n!other/keep", "s", False),
        ("!s/keep\ns", "s", False),
        ("*\n!**/keep", "s", True),
        ("*\n!*/keep", "s", True),
        ("*\n!*/keep", "s/t", False),
        ("*\n!*.md", "s", False),
    ],
)
def test_ignored_directories_can_be_skipped(lines: str, directory: str, expected: bool) -> None:
    assert Matcher(parse_ignore(lines.encode())).may_reinclude_below(directory) is expected


def test_why_names_the_line() -> None:
    matcher = Matcher(parse_ignore(b"# c\n*.md\n!README.md\nsecret/\n"))
    decided = matcher.why("README.md")
    assert decided and (decided.line, decided.text, decided.negated) == (3, "!README.md", True)
    below = matcher.why("secret/deep/file")
    assert below and below.line == 4
    assert matcher.why("x") is None


def test_all_bad_lines_are_reported() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_ignore(b"!\nok\na[\nb\\\n[]x\n", "x/.dockerignore")
    assert [str(found.location) for found in caught.value.problems] == [
        f"x/.dockerignore:{n}" for n in (1, 3, 4, 5)
    ]


def test_exclude_flags() -> None:
    matcher = Matcher(make_patterns(["*.o", "**/skip"]))
    assert [matcher.ignored(path) for path in ("a.o", "s/a.o", "s/skip/x", "b")] == [True, False, True, False]


def test_names_that_are_no_utf8() -> None:
    matcher = Matcher(parse_ignore(b"caf\xe9"))
    assert matcher.ignored(b"caf\xe9".decode("utf-8", "surrogateescape"))

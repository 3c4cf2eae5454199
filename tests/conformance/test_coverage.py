"""The table of the reference's statements is whole, true and printed."""

from __future__ import annotations

from tests.conformance import corpus, coverage

STATEMENTS = coverage.read()


def test_everything_named_exists() -> None:
    assert coverage.missing(STATEMENTS) == []


def test_a_name_that_is_none_is_found() -> None:
    names = ("no-such-case", "e2e/test_build.py::test_no_such", "no/such.py::test_x")
    assert coverage.missing([coverage.Statement("X-01", "x", "x", names, "")]) == sorted(names)


def test_every_statement_is_shown() -> None:
    assert [statement.id for statement in STATEMENTS if not statement.shown] == []


def test_our_own_cases_are_all_of_use() -> None:
    named = {name for statement in STATEMENTS for name in statement.shown}
    assert [name for name in corpus.names(root=corpus.OWN_CASES) if name not in named] == []


def test_the_page_is_up_to_date() -> None:
    assert coverage.DOCUMENT.read_text() == coverage.document(STATEMENTS), (
        "run python -m tests.conformance.coverage > docs/reference-coverage.md"
    )

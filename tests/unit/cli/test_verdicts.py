"""The table of check stages."""

from __future__ import annotations

from jettison.cli.verdicts import table
from jettison.verdict import STOPPED, Verdict


def test_without_reports_there_are_no_columns_for_tests() -> None:
    verdicts = (Verdict("lint", True, 0.0, True), Verdict("tester", False, 2.5, False, "exit code: 1"))
    assert table(verdicts) == (
        "\nCHECK    RESULT   TIME\nlint     passed   cached\ntester   FAILED   2.5s\n"
    )  # fmt: skip
    assert "stopped" in table((Verdict("slow", False, 1.0, False, STOPPED),))


def test_what_did_not_pass_is_named_and_cannot_write_on_the_terminal() -> None:
    bad = Verdict("a", False, 1.0, False, "no", 2, 40, 2, 1, 4, 61.0, ("x: 1\x1b[2J\n2", "y"))
    assert table((bad, Verdict("b", True, 1.0, False))) == (
        "\nCHECK   RESULT   TIME   TESTS   FAILED   SKIPPED   TEST TIME\n"
        "a       FAILED   1.0s   40      3        4         1m01s\n"
        "b       passed   1.0s\n"
        "\nnot passed in a:\n  x: 1 [2J 2\n  y\n  and 1 more\n"
    )

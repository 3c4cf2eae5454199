"""The table that a build with check stages ends with."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.cli.summary import cut
from jettison.cli.table import rows
from jettison.progress.lines import duration
from jettison.verdict import STOPPED, Verdict


def table(verdicts: Sequence[Verdict]) -> str:
    """What came of each check stage, and the test cases that did not pass."""
    with_tests = any(verdict.reports for verdict in verdicts)
    header = ["CHECK", "RESULT", "TIME", *(["TESTS", "FAILED", "SKIPPED", "TEST TIME"] if with_tests else [])]
    out = "\n" + rows(header, [_row(verdict, with_tests) for verdict in verdicts])
    for verdict in verdicts:
        if verdict.failing:
            bad = verdict.failures + verdict.errors
            out += f"\nnot passed in {verdict.stage}:\n"
            out += "".join(f"  {_line(text)}\n" for text in verdict.failing)
            if bad > len(verdict.failing):
                out += f"  and {bad - len(verdict.failing)} more\n"
    return out


def _row(verdict: Verdict, with_tests: bool) -> list[str]:
    result = "passed" if verdict.ok else "stopped" if verdict.error == STOPPED else "FAILED"
    taken = "cached" if verdict.cached else duration(verdict.seconds)
    if not with_tests:
        return [cut(verdict.stage), result, taken]
    if not verdict.reports:
        return [cut(verdict.stage), result, taken, "", "", "", ""]
    counts = (verdict.tests, verdict.failures + verdict.errors, verdict.skipped)
    return [cut(verdict.stage), result, taken, *map(str, counts), duration(verdict.test_seconds)]


def _line(text: str) -> str:
    """Whatever a test wrote into its report, harmless for a terminal."""
    return "".join(c if c.isprintable() else " " for c in text)

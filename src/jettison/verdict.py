"""What came of a stage that was built as a check."""

from __future__ import annotations

from jettison.dataclass import dataclass

STOPPED = "it was stopped before its end"
"""The `error` of a stage that nothing is wrong with, as far as it came."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one check stage: whether it was built, and what its test reports say.

    `seconds` is what its own steps took, `cached` says that none of them had to run. `error` is "" where
    `ok` is set. `reports` counts the JUnit files; `tests`, `failures`, `errors` and `skipped` the test
    cases in them; `test_seconds` is what those took by their own account. `failing` has a line for each of
    the first that did not pass: its name, and the first line of why.
    """

    stage: str
    ok: bool
    seconds: float
    cached: bool
    error: str = ""
    reports: int = 0
    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    test_seconds: float = 0.0
    failing: tuple[str, ...] = ()

"""Says at the end of a test run how the corpus stands."""

from __future__ import annotations

from typing import Any

from tests.conformance import corpus, known_failures


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, [])]
    ran = {r.nodeid for r in reports if "test_conformance.py::test_case[" in r.nodeid}
    if not ran:
        return
    names = list(corpus.all_cases())
    known = known_failures.read()
    failing = [name for name in names if known_failures.reason(name, known) is not None]
    terminalreporter.write_line(
        f"conformance: {len(names)} cases, {len(names) - len(failing)} expected to pass, "
        f"{len(failing)} known to fail (tests/conformance/known-failures.txt); {len(ran)} ran"
    )

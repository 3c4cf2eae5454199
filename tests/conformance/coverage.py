"""Which statement of the Dockerfile reference is shown by which case or test.

    python -m tests.conformance.coverage > docs/reference-coverage.md

`coverage.toml` holds the statements, in our own words, by section: `says` is the
statement, `shown` names what shows it (a case of cases/ or own/, or `FILE::TEST`
with FILE below tests/), and `note` a written reason where jettison means to differ.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conformance import corpus

HERE = Path(__file__).parent
TESTS = HERE.parent
DATA = HERE / "coverage.toml"
DOCUMENT = TESTS.parent / "docs" / "reference-coverage.md"

HEAD = """\
# The Dockerfile reference, statement by statement

Every statement of the Dockerfile reference that says what a builder does, in our own words, and what
shows that jettison does it: a case of `tests/conformance/cases` (recorded with BuildKit) or of
`tests/conformance/own` (written from the reference), or a test. What says how `docker run` and
other programs behave is not a builder's part and is left out, unless `jettison run` does it.

Made of `tests/conformance/coverage.toml` by `python -m tests.conformance.coverage`.
"""


@dataclass(frozen=True)
class Statement:
    """One statement. `id` is SECTION-NN; `note` says why jettison differs, where it does."""

    id: str
    section: str
    says: str
    shown: tuple[str, ...]
    note: str


def read(path: Path = DATA) -> list[Statement]:
    """All statements in the file's order. Raises ValueError for unknown keys."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    out = []
    for name, section in data.items():
        title = section.pop("title")
        for number, entry in section.items():
            unknown = entry.keys() - {"says", "shown", "note"}
            if unknown:
                raise ValueError(f"{name}-{number}: unknown {sorted(unknown)}")
            shown = tuple(entry.get("shown", ()))
            out.append(Statement(f"{name}-{number}", title, entry["says"], shown, entry.get("note", "")))
    return out


def missing(statements: list[Statement]) -> list[str]:
    """The cases and tests that are named but do not exist."""
    cases = corpus.all_cases()
    tests: dict[str, set[str]] = {}
    out = []
    for name in {name for statement in statements for name in statement.shown}:
        file, colons, test = name.partition("::")
        if colons:
            if file not in tests:
                tests[file] = set(_tests_of(TESTS / file))
            if test not in tests[file]:
                out.append(name)
        elif name not in cases:
            out.append(name)
    return sorted(out)


def _tests_of(path: Path) -> Iterator[str]:
    if path.exists():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                yield node.name


def document(statements: list[Statement]) -> str:
    """The table as a page."""
    lines = [HEAD]
    bare = [statement.id for statement in statements if not statement.shown]
    differing = [statement for statement in statements if statement.note]
    lines.append(
        f"{len(statements)} statements, {len(bare)} without a case or test; {len(differing)} notes.\n"
    )
    if differing:
        lines.append("## Where jettison differs, and why\n")
        lines += [f"- **{s.id}**: {s.says}. {s.note}" for s in differing]
        lines.append("")
    section = ""
    for statement in statements:
        if statement.section != section:
            section = statement.section
            lines += [f"\n## {section}\n", "| | statement | shown by |", "|-|-|-|"]
        shown = ", ".join(f"`{name}`" for name in statement.shown) or "**nothing**"
        lines.append(f"| {statement.id} | {statement.says.replace('|', chr(92) + '|')} | {shown} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document(read()))

"""Writes the results of bench.run into the documents: a table and a chart.

    python -m bench.report FILE [--docs FOLDER]

The table takes the place of what stands between the marks in FOLDER/performance.md; the chart
is FOLDER/performance.svg. Nothing is measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import chart, results
from bench.results import OWN, RIVAL, does_less, is_met, limit, median, ratio, reach, shown

BEGIN = "<!-- written by python -m bench.report: begin -->"
END = "<!-- written by python -m bench.report: end -->"
PAGE, PICTURE = "performance.md", "performance.svg"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what bench.run --json wrote")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="FOLDER", help="default: docs")
    args = parser.parse_args()
    document = results.read(args.file)
    if not document["rows"]:
        raise SystemExit(f"{args.file} holds no row")
    page = args.docs / PAGE
    try:
        before, rest = page.read_text().split(BEGIN)
        _, after = rest.split(END)
    except (OSError, ValueError):
        raise SystemExit(
            f"{page} has no place for the table: it needs one line {BEGIN} and one {END}"
        ) from None
    results.replace(args.docs / PICTURE, chart.draw(document))
    results.replace(page, f"{before}{BEGIN}\n\n{section(document)}\n{END}{after}")
    print(f"wrote {page} and {args.docs / PICTURE}")
    return 0


def section(document: dict[str, Any]) -> str:
    """What stands between the marks."""
    rows = document["rows"]
    builders = [name for name in document["builders"] if name != OWN]
    text = (
        [f"![jettison's figures divided by BuildKit's]({PICTURE})", ""] if chart.has_chart(document) else []
    )
    text += [measured_on(document), "", *table(rows, builders), ""]
    text += ["Bytes of the layers as they are written or sent:", "", *sizes(rows, [OWN, *builders]), ""]
    text += notes(document)
    return "\n".join(text)


def measured_on(document: dict[str, Any]) -> str:
    """The machine and the date."""
    machine = document["machine"]
    days = sorted({row["measured"] for row in document["rows"].values()})
    return (
        f"Measured {' to '.join(dict.fromkeys((days[0], days[-1])))} on {machine['cores']} cores"
        f" ({machine['processor']}), {machine['memory_gb']} GB, Linux {machine['kernel']},"
        f" Python {machine['python']}; a {document['scale']} run."
    )


def table(rows: dict[str, Any], builders: list[str]) -> Iterator[str]:
    """Ratios, then the seconds behind them."""
    rivals = [f"/ {name}" for name in builders]
    heads = ["row", "workload", *rivals, "reach", "met", "jettison", RIVAL, "limit"]
    yield f"| {' | '.join(heads)} |"
    yield "|---|---|" + "---:|" * (len(heads) - 2)
    for name, row in rows.items():
        cells = [f"`{name}`", row["says"]]
        for builder in builders:
            value = ratio(row, builder)
            less = "\\*" if does_less(row, builder) else ""
            cells.append("–" if value is None else f"{value:.2f}{less}")
        met = {True: "yes", False: "**no**", None: "–"}[is_met(row)]
        unit = row["unit"]
        cells += [reach(row), met, shown(median(row, OWN), unit), shown(median(row, RIVAL), unit)]
        cells.append(shown(limit(row), "s"))
        yield f"| {' | '.join(cells)} |"


def sizes(rows: dict[str, Any], builders: list[str]) -> Iterator[str]:
    """How large the results are, so that nobody is fast by compressing badly."""
    yield f"| row | {' | '.join(builders)} | jettison / {RIVAL} |"
    yield "|---|" + "---:|" * (len(builders) + 1)
    for name, row in rows.items():
        packed = [row["images"].get(builder, {}).get("compressed") for builder in (OWN, RIVAL)]
        if (row["archive"] or name == "push") and all(packed):
            cells = []
            for builder in builders:
                size = row["images"].get(builder, {}).get("compressed")
                cells.append(f"{size / 1e6:,.1f} MB" if size else "–")
            yield f"| `{name}` | {' | '.join(cells)} | {packed[0] / packed[1]:.3f} |"


def notes(document: dict[str, Any]) -> Iterator[str]:
    """What a reader must know of the builders, the limits, and what is missing."""
    yield "The builders:"
    yield ""
    for name, builder in document["builders"].items():
        yield f"- {name} {builder['version']}: {builder['note']}"
    yield ""
    yield "The limit of the machine in each row:"
    yield ""
    for name, row in document["rows"].items():
        if row["limit"]["says"]:
            yield f"- `{name}`: {row['limit']['says']}"
    yield ""
    if any(does_less(row, name) for row in document["rows"].values() for name in row["images"]):
        yield "\\* This builder does less than the row asks for: it writes no archive, or compresses nothing."
        yield ""
    for name, row in document["rows"].items():
        if row["details"]:
            points = ", ".join(f"{int(key):,}: {value / 1e6:.0f} MB" for key, value in row["details"].items())
            yield f"`{name}`, peak by number of files: {points}."
            yield ""
        for builder, reason in row["failed"].items():
            yield f"`{name}`: {builder} failed: {reason.splitlines()[-1][:200] if reason else 'no reason'}"
            yield ""
    for name, reason in document["skipped"].items():
        yield f"`{name}` was not measured: {reason}."
        yield ""


if __name__ == "__main__":
    sys.exit(main())

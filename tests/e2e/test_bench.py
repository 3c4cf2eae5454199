"""The bench itself: it runs to its end, looks at the images, leaves nothing behind; its report is whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from bench.chart import draw
from bench.image import Facts, differences, read_archive
from bench.results import is_met, ratio

from tests.conftest import Jettison

ROWS = {
    "noop", "noop-large", "context-cold", "context-changed", "context-zstd", "steps", "stages", "copy-from",
    "seed", "pull", "push", "memory", "memory-growth", "live",
}  # fmt: skip


def run(*words: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.timeout(120)
def test_the_quick_bench_measures_every_row(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("the other builders are measured as root only")
    report = tmp_path / "report.json"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = run("bench.run", "--quick", "--builder", "jettison", "--json", report, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(report.read_text())
    rows, skipped = document["rows"], document["skipped"]
    assert rows.keys() | skipped.keys() == ROWS
    assert {"noop", "context-cold", "steps", "memory-growth"} <= rows.keys()
    assert all(f"without {name}: {reason}" in done.stdout for name, reason in skipped.items())
    assert all(row["figures"]["jettison"] and row["images"]["jettison"]["layers"] for row in rows.values())
    assert list(temporary.iterdir()) == []
    other = run("bench.run", "noop", "--builder", "jettison", "--json", report)
    assert other.returncode == 1
    assert "does not mix" in other.stderr


def document(jettison: list[float], buildkit: list[float], **changes: Any) -> dict[str, Any]:
    row = {
        "says": "copies < & > of files", "unit": "s", "reach": 0.5, "absolute": False, "archive": True,
        "figures": {"jettison": jettison, "buildkit": buildkit, "docker": [9.0]},
        "limit": {"says": "a plain copy", "figures": [0.25]},
        "images": {
            "jettison": {"layers": 1, "files": 2, "content": 3, "compressed": 1_000_000},
            "buildkit": {"layers": 1, "files": 2, "content": 3, "compressed": 2_000_000},
            "docker": {"layers": 1, "files": 2, "content": 3, "compressed": None},
        },
        "failed": {}, "details": {}, "measured": "2026-01-02", **changes,
    }  # fmt: skip
    machine = {"processor": "some", "cores": 2, "memory_gb": 8, "kernel": "6.1", "python": "3.11.2"}
    builders = {name: {"version": "1", "note": "noted"} for name in row["figures"]}
    return {
        "version": 1, "scale": "full", "machine": machine, "builders": builders, "rows": {"copies": row},
        "skipped": {"push": "no registry"},
    }  # fmt: skip


def test_a_ratio_is_of_medians_and_judged_by_the_reach() -> None:
    assert ratio(document([9.0, 1.0, 2.0], [4.0, 5.0, 3.0])["rows"]["copies"], "buildkit") == 0.5
    assert is_met(document([2.0], [4.0])["rows"]["copies"]) is True
    assert is_met(document([2.1], [4.0])["rows"]["copies"]) is False
    assert is_met(document([2.1], [])["rows"]["copies"]) is None
    assert is_met(document([149.0], [100.0], absolute=True, reach=150)["rows"]["copies"]) is True


def test_the_report_replaces_only_what_is_between_its_marks(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "performance.md"
    results.write_text(json.dumps(document([1.0], [4.0])))
    refused = run("bench.report", results, "--docs", tmp_path)
    assert refused.returncode == 1 and "has no place" in refused.stderr
    marks = "<!-- written by python -m bench.report: {} -->"
    page.write_text(f"before\n{marks.format('begin')}\nold\n{marks.format('end')}\nafter\n")
    for _ in range(2):
        assert run("bench.report", results, "--docs", tmp_path).returncode == 0
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert text.count("| `copies` | copies < & > of files | 0.25 | 0.11\\* | ≤ 0.50 | yes | 1.00 s |") == 1
    assert "| `copies` | 1.0 MB | 2.0 MB | – | 0.500 |" in text
    assert "`push` was not measured: no registry." in text
    assert (tmp_path / "performance.svg").exists()


def test_the_chart_shows_ratio_reach_and_equality_and_is_well_formed() -> None:
    picture = ElementTree.fromstring(draw(document([1.0], [4.0])))
    text = " ".join(picture.itertext())
    assert "copies < & > of files" in text and "0.25" in text and "prefers-color-scheme:dark" in text
    classes = [element.get("class", "") for element in picture.iter()]
    assert "one" in classes and classes.count("reach") == 2 and classes.count("met") == 2
    assert ElementTree.fromstring(draw(document([1.0], []))) is not None


def test_what_is_in_an_image_is_counted(jettison: Jettison, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "in").mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY in /app\nCOPY Dockerfile /\n")
    for name in "abc":
        (context / "in" / name).write_text(name * 10)
    archive = tmp_path / "image.tar"
    jettison.ok("build", "-o", f"type=oci,dest={archive}", context)
    facts = read_archive(archive, "app/")
    assert facts.compressed and list(differences(facts, Facts(2, 3, 30))) == []
    wrong = list(differences(facts, Facts(3, 4, 29)))
    assert wrong == ["2 instead of 3 layers", "3 instead of 4 files", "30 instead of 29 bytes of content"]

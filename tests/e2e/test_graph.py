"""`jettison graph`, as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.conftest import Jettison
from tests.needed import EXAMPLES, SEED_CASES

Project = Callable[..., Path]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="what builds needs root")

CASES = sorted(path.parent.parent for path in SEED_CASES.glob("*/context/Dockerfile"))

DOCKERFILE = """\
FROM scratch AS files
COPY a /a
FROM files AS tester
COPY b /b
FROM scratch AS final
COPY --from=files /a /bin/a
"""


def document(jettison: Jettison, *words: object, **options: Any) -> dict[str, Any]:
    value = json.loads(jettison.ok("graph", "--format", "json", *words, **options).out)
    assert isinstance(value, dict)
    return value


def states(value: dict[str, Any]) -> dict[str, str | None]:
    return {node["name"]: node["state"] for node in value["nodes"] if node["kind"] == "stage"}


def test_without_a_store_or_a_registry_everything_is_drawn(tmp_path: Path, project: Project) -> None:
    jettison = Jettison(tmp_path / "none")
    folder = project({}, "FROM nowhere.invalid/a:1 AS x\nRUN true\nFROM scratch\nCOPY --from=x /out /\n")
    out = jettison.ok("graph", cwd=folder).out
    assert out.splitlines()[2:] == [
        "○    nowhere.invalid/a:1",
        "●    x",
        "│ ◉  stage-1  target, from scratch",
        "╰─╯  COPY --from=x /out",
    ]
    assert not jettison.root.exists()


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_seed_cases(case: Path, tmp_path: Path) -> None:
    jettison = Jettison(tmp_path / "none")
    value = document(jettison, case / "context")
    stages = [node for node in value["nodes"] if node["kind"] == "stage"]
    text = (case / "context" / "Dockerfile").read_text()
    assert len(stages) == sum(line.startswith("FROM ") for line in text.splitlines())
    assert sum(len(edge["paths"]) for edge in value["edges"]) == sum(
        len(line.split()) - 3 for line in text.splitlines() if line.startswith("COPY --from")
    )
    root = ElementTree.fromstring(jettison.ok("graph", "--format", "svg", case / "context").out)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}g"))) >= len(value["nodes"])


@pytest.mark.skipif(not CASES, reason=f"the seed cases are not at {SEED_CASES}")
def test_a_base_chosen_by_an_argument() -> None:
    jettison = Jettison(Path("/nonexistent"))
    folder = SEED_CASES / "conditional" / "context"
    left_out = {
        choice: {
            node["name"]
            for node in document(jettison, *words, folder)["nodes"]
            if node["kind"] == "stage" and not node["needed"]
        }
        for choice, words in {"": [], "development": ["--build-arg", "TARGET=development"]}.items()
    }
    assert left_out == {"": {"development"}, "development": {"builder", "production"}}


@needs_root
def test_coloured_by_the_last_build(empty_jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1" * 5000, "b": "2"}, DOCKERFILE)
    empty_jettison.ok("build", "--target", "final", folder)
    value = document(empty_jettison, folder)
    assert states(value) == {"files": "ran", "tester": None, "final": "ran"}
    files, final = value["nodes"][0], value["nodes"][2]
    assert (files["bytes"], final["bytes"]) == (5000, 5000)
    assert value["critical_path"] == ["stage0", "stage2"]
    assert value["critical_seconds"] == pytest.approx(files["seconds"] + final["seconds"], abs=0.002)

    empty_jettison.ok("build", "--target", "tester", folder)
    value = document(empty_jettison, folder, "--target", "tester")
    assert states(value) == {"files": "cached", "tester": "ran", "final": None}
    assert "cached, " in empty_jettison.ok("graph", "--target", "tester", cwd=folder).out

    project({}, DOCKERFILE.replace("COPY b /b", "COPY b /c"))
    assert states(document(empty_jettison, folder)) == {"files": "cached", "tester": "changed", "final": None}
    project({"other": DOCKERFILE})
    assert states(document(empty_jettison, "-f", folder / "other", folder))["files"] is None


@needs_root
def test_a_target_that_is_only_a_name(empty_jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1", "b": "2"}, f"{DOCKERFILE}FROM final AS shipped\nLABEL a=b\n")
    empty_jettison.ok("build", folder)
    value = document(empty_jettison, folder)
    assert states(value) == {"files": "ran", "tester": None, "final": "ran", "shipped": None}
    assert value["critical_path"] == ["stage0", "stage2"]


@needs_root
def test_a_failed_build_shows_where(empty_jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1", "b": "2"}, DOCKERFILE.replace("--from=files /a", "--from=files /missing"))
    assert empty_jettison("build", folder).code == 1
    value = document(empty_jettison, folder)
    assert states(value) == {"files": "ran", "tester": None, "final": "failed"}
    assert "final   target, from scratch, failed" in empty_jettison.ok("graph", folder).out


@needs_root
def test_triggers_of_an_image_in_the_store(empty_jettison: Jettison, project: Project) -> None:
    folder = project({}, "FROM scratch\nONBUILD COPY --from=tools /x /x\nLABEL a=b\n")
    empty_jettison.ok("build", "-t", "parent", folder)
    project({}, "FROM scratch AS tools\nFROM parent AS child\n")
    edges = document(empty_jettison, folder)["edges"]
    assert [(edge["from"], edge["kind"]) for edge in edges] == [("base0", "from"), ("stage0", "copy")]


def test_the_file_decides_the_format(tmp_path: Path, project: Project) -> None:
    jettison = Jettison(tmp_path / "none")
    folder = project({}, DOCKERFILE)
    starts = {"a.svg": "<svg", "a.MMD": "flowchart", "a.gv": "digraph", "a.json": "{", "a": "context"}
    for name, start in starts.items():
        assert jettison.ok("graph", "-o", tmp_path / name, "context", cwd=tmp_path).out == ""
        assert (tmp_path / name).read_text().startswith(start)
    shown = jettison.ok("graph", "--format", "svg", "-o", "-", "context", cwd=tmp_path).out
    assert shown == (tmp_path / "a.svg").read_text()
    assert jettison.ok("graph", "--format", "dot", "-o", tmp_path / "a.svg", folder).out == ""
    assert (tmp_path / "a.svg").read_text().startswith("digraph")


def test_the_same_each_time(project: Project) -> None:
    folder = project({}, DOCKERFILE)
    drawn = {
        Jettison(Path("/nonexistent")).ok("graph", "--format", form, folder, env={"PYTHONHASHSEED": seed}).out
        for form in ("svg", "json")
        for seed in ("1", "2")
    }
    assert len(drawn) == 2


def test_a_terminal_without_utf8_gets_ascii(project: Project) -> None:
    folder = project({}, DOCKERFILE)
    done = subprocess.run(
        [sys.executable, "-m", "jettison", "graph", folder],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "JETTISON_ROOT": "/nonexistent"},
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.isascii() and b"`---'  COPY --from=files /a" in done.stdout


def test_mistakes_are_told_as_a_build_tells_them(tmp_path: Path, project: Project) -> None:
    jettison = Jettison(tmp_path / "none")
    folder = project({}, "FROM a AS x\nCOPY --from=y /a /\nFROM b AS y\n")
    done = jettison("graph", "--target", "x", folder)
    assert done.code == 1 and "circular dependency" in done.err and ">>> COPY --from=y" in done.err
    assert "cannot be built" in jettison.ok("graph", folder).out
    assert "did you mean 'x'" in jettison("graph", "--target", "xx", folder).err
    assert jettison("graph", "--format", "gif", folder).code == 2
    before = (folder / "Dockerfile").read_text()
    done = jettison("graph", "-o", folder / "Dockerfile", folder)
    assert done.code == 2 and "overwrite the Dockerfile" in done.err
    assert (folder / "Dockerfile").read_text() == before
    done = jettison("graph", "-o", tmp_path / "no" / "a.svg", folder)
    assert done.code == 1 and "cannot write" in done.err


def test_a_store_that_cannot_be_read_costs_only_the_colours(tmp_path: Path, project: Project) -> None:
    (tmp_path / "jettison.db").write_bytes(b"no database" * 100)
    done = Jettison(tmp_path).ok("graph", project({}, DOCKERFILE))
    assert "◉" in done.out and "the last build is not known" in done.err


def test_the_picture_of_the_readme_is_current(tmp_path: Path) -> None:
    home = EXAMPLES.parent
    drawn = Jettison(tmp_path / "none").ok("graph", "--format", "svg", "examples/react-node", cwd=home).out
    command = "jettison --root /nonexistent graph examples/react-node -o docs/graph.svg"
    assert (home / "docs" / "graph.svg").read_text() == drawn, f"run: {command}"

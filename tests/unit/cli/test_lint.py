"""`jettison lint`, `build --check` and `build --call`: what they print, and how they end."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.cli.main import main

Call = Callable[..., tuple[int, str, str]]

STAGES = """\
# VERSION is what is built
ARG VERSION=1.2
# builder compiles
FROM alpine:3.20 AS builder
ARG VERSION
ARG MODE=fast
RUN --mount=type=secret,id=token,required=true --mount=type=cache,target=/cache make
FROM builder AS unused
RUN --mount=type=ssh true
FROM scratch AS final
COPY --from=builder /app /
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(tmp_path)
    environment = {
        "HOME": str(tmp_path),
        "JETTISON_ROOT": str(tmp_path / "store"),
        "JETTISON_CONFIG": os.devnull,
    }

    def run(dockerfile: str, *argv: str) -> tuple[int, str, str]:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        out, err = io.StringIO(), io.StringIO()
        status = main(list(argv), environment, io.StringIO(dockerfile), out, err)
        return status, out.getvalue(), err.getvalue()

    return run


def test_a_clean_file(call: Call) -> None:
    text = "FROM scratch\nCOPY Dockerfile /\n"
    for words in (["build", "--check", "."], ["lint"], ["lint", "Dockerfile"], ["lint", "-"]):
        assert call(text, *words) == (0, "Check complete, no warnings found.\n", "")


def test_a_finding_is_shown_with_its_lines(call: Call) -> None:
    status, out, _ = call("FROM scratch\nWORKDIR x\n", "build", "--check", ".")
    assert status == 1
    assert out.startswith("WARNING: WorkdirRelativePath\n") and "   2 | >>> WORKDIR x" in out
    assert out.endswith("Check complete, 1 finding.\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--check", "--format=json"],
        ["--call=check,format=json"],
        ["--call", "lint", "--format", "json"],
    ],
)
def test_json_has_the_shape_of_buildx(call: Call, words: list[str]) -> None:
    status, out, _ = call("FROM scratch\nLABEL \\\n a b\n", "build", *words, ".")
    document = json.loads(out)
    (warning,) = document["warnings"]
    assert status == 1
    assert warning["ruleName"] == "LegacyKeyValueFormat" and warning["detail"] and warning["description"]
    lines = [spot["start"]["line"] for spot in warning["location"]["ranges"]]
    assert lines == [2, 3]
    assert document["sources"][0]["filename"] == "Dockerfile"


def test_a_build_that_would_not_begin_is_told_of(call: Call) -> None:
    text = "FROM a:1 AS x\nCOPY --from=y / /\nFROM a:1 AS y\nFROM x\n"
    status, out, _ = call(text, "build", "--check", "--format=json", ".")
    error = json.loads(out)["buildError"]
    assert status == 1 and "defined later" in error["message"]
    assert error["location"]["ranges"][0]["start"]["line"] == 2
    status, _, err = call(text, "lint")
    assert status == 1 and "defined later" in err


def test_further_rules_are_for_lint_and_all_rules(call: Call) -> None:
    text = "FROM alpine\nRUN true\n"
    assert call(text, "build", "--check", ".")[0] == 0
    assert "BaseUnpinned" in call(text, "build", "--check", "--all-rules", ".")[1]
    assert "BaseUnpinned" in call(text, "lint")[1]


def test_notes_are_shown_and_do_not_count(call: Call) -> None:
    status, out, _ = call("FROM scratch AS a\nFROM scratch AS b\n", "lint")
    assert status == 0 and out.startswith("NOTE: StageUnused\n")


def test_nothing_is_stored(call: Call, tmp_path: Path) -> None:
    call("FROM alpine:3\n", "lint")
    call("FROM alpine:3\n", "build", "--check", ".")
    assert not (tmp_path / "store").exists()


def test_sarif(call: Call) -> None:
    _, out, _ = call("FROM alpine\nWORKDIR x\n", "lint", "--format", "sarif")
    (run,) = json.loads(out)["runs"]
    rules = run["tool"]["driver"]["rules"]
    found = {(rules[r["ruleIndex"]]["id"], r["ruleId"], r["level"]) for r in run["results"]}
    assert found == {
        ("BaseUnpinned", "BaseUnpinned", "warning"),
        ("WorkdirRelativePath", "WorkdirRelativePath", "warning"),
    }
    region = run["results"][1]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "endLine": 2}


def test_fix_rewrites_the_file_and_shows_what_is_left(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.touch(0o600)
    status, out, err = call("from alpine:3 as Base\n# kept\nENV a b\nWORKDIR x\n", "lint", "--fix")
    assert file.read_text() == "FROM alpine:3 AS base\n# kept\nENV a=b\nWORKDIR x\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert status == 1 and out.count("WARNING: ") == 1 and "WorkdirRelativePath" in out
    assert err.startswith("note: mended ")
    assert sorted(os.listdir(tmp_path)) == ["Dockerfile"]


def test_fix_needs_a_file(call: Call) -> None:
    assert call("FROM scratch\n", "lint", "--fix", "-")[0] == 2


def test_targets(call: Call) -> None:
    _, out, _ = call(STAGES, "build", "--call", "targets", ".")
    assert out.splitlines() == [
        "TARGET            DESCRIPTION",
        "builder           compiles",
        "unused",
        "final (default)",
    ]
    document = json.loads(call(STAGES, "build", "--call=targets,format=json", ".")[1])
    builder, _, final = document["targets"]
    assert builder["description"] == "compiles" and builder["base"] == "alpine:3.20"
    assert final["default"] is True and final["location"]["ranges"][0]["start"]["line"] == 10


def test_outline(call: Call) -> None:
    _, out, _ = call(STAGES, "build", "--call", "outline", "--build-arg", "MODE=slow", ".")
    assert out.split("\n\n")[1].splitlines() == [
        "BUILD ARG   VALUE   DESCRIPTION",
        "VERSION     1.2     is what is built",
        "MODE        slow",
    ]
    assert "token    true" in out and "/cache" in out and "SSH" not in out
    document = json.loads(
        call(STAGES, "build", "--call", "outline", "--format=json", "--target", "unused", ".")[1]
    )
    assert document["name"] == "unused" and [item["name"] for item in document["ssh"]] == ["default"]
    assert document["secrets"][0]["required"] is True


@pytest.mark.parametrize(
    "words", [["--call", "nothing"], ["--check", "--format", "xml"], ["--call", "check,colour=red"]]
)
def test_what_is_not_known_is_refused(call: Call, words: list[str]) -> None:
    assert call("FROM scratch\n", "build", *words, ".")[0] == 2

"""Stages that are built as checks: what they do to a build, what is told of them, and their reports."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

import jettison as api
from jettison.events import BuildStarted, CheckFinished, Event, StepFinished
from jettison.progress.schema import schema
from tests.conftest import Jettison

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Project = Callable[..., Path]
EXAMPLE = Path(__file__).parent.parent.parent / "examples/shell-tool"

DOCKERFILE = """\
FROM busybox AS base
RUN echo base > /base
FROM base AS tester
RUN echo tested; exit TESTER
FROM base AS lint
RUN echo linted; exit LINT
FROM tester AS late
RUN echo late
FROM base AS unused
RUN echo unused
FROM base AS final
RUN echo payload > /payload
"""


def stages(project: Project, tester: int = 0, lint: int = 0) -> Path:
    return project(dockerfile=DOCKERFILE.replace("TESTER", str(tester)).replace("LINT", str(lint)))


def rows(text: str) -> dict[str, list[str]]:
    """The table's lines, by stage."""
    table = text.partition("\nCHECK ")[2].partition("\n\n")[0]
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:]}


def test_checks_that_pass_add_nothing_to_the_image(jettison: Jettison, project: Project) -> None:
    folder = stages(project)
    words = ("build", "--progress", "plain", "--check-stage", "tester,LINT", folder)
    alone = jettison.ok("build", "-t", "alone", folder)
    done = jettison.ok(*words, "-t", "checked")
    first = done.err
    assert "checks: tester, lint\n" in first and "not needed by final: late, unused\n" in first
    assert {name: row[0] for name, row in rows(first).items()} == {"tester": "passed", "lint": "passed"}
    # Each step at most once, and the target's not again.
    assert first.count("RUN echo tested") == 1 and "2 run, 3 cached" in first
    images = [json.loads(line) for line in jettison.ok("images", "--format", "json").out.splitlines()]
    assert len({image["ID"] for image in images if image["Repository"] in ("alone", "checked")}) == 1
    assert "CHECK" not in alone.text
    again = jettison.ok(*words).err
    assert rows(again) == {"tester": ["passed", "cached"], "lint": ["passed", "cached"]}
    anew = jettison.ok(*words, "--no-cache=tester").err
    assert "tested" in anew and rows(anew)["tester"][1] != "cached" and rows(anew)["lint"][1] == "cached"
    assert jettison.ok(*words, "-q").err == ""


def test_every_failing_check_is_told_and_nothing_is_written(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    folder = stages(project, tester=3, lint=4)
    out, iid = tmp_path / "out", tmp_path / "iid"
    asked = ("--check-stage", "tester", "--check-stage=lint", "--check-stage", "late")
    written = ("-t", "no", "-o", out, "--iidfile", iid)
    done = jettison("build", "--progress", "plain", *asked, *written, folder)
    assert done.code == 1
    assert "exit code: 3\n" in done.err and "exit code: 4\n" in done.err
    assert {name: row[0] for name, row in rows(done.err).items()} == dict.fromkeys(
        ("tester", "lint", "late"), "FAILED"
    )
    assert not out.exists() and not iid.exists() and "no " not in jettison.ok("images").out
    # Each has its own place to look at.
    for line, said in (("tester:4", "tested\n"), ("lint:6", "linted\n")):
        assert jettison.ok("logs", line).out == said
    opened = [line.split() for line in done.err.splitlines() if " shell " in line and "--failed" in line]
    assert len(opened) == 2 and opened[0] != opened[1]
    for words in opened:
        assert jettison(*words[1:], "--", "cat", "/base").out == "base\n"
    # What did end well is known the next time; a failure is not.
    jettison.ok("build", "--progress", "plain", "-t", "yes", folder)
    once_more = jettison("build", "--progress", "quiet", "--check-stage", "tester", folder)
    assert once_more.code == 1 and rows(once_more.err)["tester"][0] == "FAILED"


def test_all_stages_and_mistakes(jettison: Jettison, project: Project) -> None:
    folder = stages(project)
    done = jettison.ok("build", "--progress", "plain", "--all-stages", folder)
    assert list(rows(done.err)) == ["base", "tester", "lint", "late", "unused", "final"]
    assert "not needed" not in done.err
    for name, said in (("testr", "did you mean 'tester'?"), (",", "has no name"), ("", "has no name")):
        done = jettison("build", "--check-stage", name, folder)
        assert done.code in (1, 2) and said in done.err and "[base" not in done.err


def test_a_target_that_fails_does_not_hide_the_checks(jettison: Jettison, project: Project) -> None:
    text = DOCKERFILE.replace("TESTER", "0").replace("LINT", "0").replace("> /payload", "> /payload; exit 9")
    done = jettison(
        "build", "--progress", "plain", "-j1", "--check-stage", "tester", project(dockerfile=text)
    )
    assert done.code == 1 and "exit code: 9" in done.err and rows(done.err)["tester"][0] == "passed"


def test_the_example_and_its_report(jettison: Jettison, busybox_layout: Path, tmp_path: Path) -> None:
    jettison.ok("load", busybox_layout, "alpine:3.15")
    folder, out = tmp_path / "example", tmp_path / "reports"
    shutil.copytree(EXAMPLE, folder)
    asked = ("--check-stage", "lint,tester", "--artifact", f"tester:/reports={out}")
    done = jettison.ok("build", "--progress", "plain", *asked, "-t", "slug", folder)
    assert rows(done.err)["tester"][2:5] == ["4", "0", "0"] and (out / "junit.xml").exists()
    assert jettison.ok("run", "slug", "Moby-Dick; or, The Whale").out == "moby-dick-or-the-whale\n"
    # A change that breaks it: the report of the failure is on the disk, the image is as it was.
    shutil.rmtree(out)
    tool = folder / "slug"
    tool.write_text(tool.read_text().replace("s/^-//", ""))
    done = jettison("build", "--progress", "plain", *asked, "-t", "slug", folder)
    assert done.code == 1 and rows(done.err)["tester"][2:5] == ["4", "1", "0"]
    assert "not passed in tester:\n  slug.ends: gave -the-whale, not the-whale\n" in done.err
    assert "gave -the-whale" in (out / "junit.xml").read_text()
    assert jettison.ok("run", "slug", "(Ishmael)").out == "ishmael\n"


REPORTS = """\
FROM busybox AS tester
WORKDIR /r/sub
COPY reports /r
RUN --mount=type=secret,id=word word=$(cat /run/secrets/word) && mkdir -p /big && \\
    echo "<testsuite><testcase name='$word'><failure message='not $word'/></testcase></testsuite>" \\
    > /r/sub/secret.XML && ln -s sub/secret.XML /r/link.xml && exit 1
FROM busybox
RUN echo payload > /payload
"""
GOOD = "<testsuites><testsuite><testcase name='a' time='1.5'/></testsuite></testsuites>"


def test_reports_of_all_kinds_by_the_api_and_as_events(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    reports = {
        "reports/a.xml": GOOD, "reports/b.xml": "<html/>", "reports/broken.xml": "<testsuite",
        "reports/bomb.xml": '<!DOCTYPE a [<!ENTITY b "c">]><testsuite>&b;</testsuite>',
        "reports/escape.xml": "<testsuite><testcase name='\x1b[2J'/></testsuite>", "reports/a.txt": GOOD,
    }  # fmt: skip
    folder = project(reports, REPORTS)
    (tmp_path / "word").write_text("very-secret-word")
    heard: list[Event] = []
    artifacts = [
        # A file that two of them pick is read once.
        api.Artifact("tester", "/r", str(tmp_path / "out")),
        api.Artifact("tester", "/r/*.xml", str(tmp_path / "out")),
    ]
    with pytest.raises(api.StepFailed) as caught:
        api.build(
            folder, root=jettison.root, checks="tester", artifacts=artifacts, on_event=heard.append,
            secrets=[api.Secret("word", src=str(tmp_path / "word"))],
        )  # fmt: skip
    (verdict,) = caught.value.checks
    assert not verdict.ok and "exit code: 1" in verdict.error and not verdict.cached and verdict.seconds > 0
    assert (verdict.reports, verdict.tests, verdict.failures, verdict.test_seconds) == (2, 2, 1, 1.5)
    assert verdict.failing == ("****: not ****",)
    (told,) = [event for event in heard if isinstance(event, CheckFinished)]
    assert (told.stage, told.tests, told.failing) == ("tester", 2, verdict.failing)
    assert [event.checks for event in heard if isinstance(event, BuildStarted)] == [("tester",)]
    warned = " ".join(str(getattr(event, "message", "")) for event in heard)
    assert "broken.xml" in warned and "bomb.xml" in warned and "document type" in warned
    assert "/b.xml is no" not in warned
    assert "very-secret-word" not in repr(heard) + repr(caught.value.checks)


def test_events_of_checks_fit_the_schema_and_results_hold_them(jettison: Jettison, project: Project) -> None:
    folder = stages(project)
    done = jettison.ok("build", "--progress", "jsonl", "--check-stage", "tester", folder)
    lines = [json.loads(line) for line in done.out.splitlines()]
    for line in lines:
        jsonschema.validate(line, schema())
    (check,) = [line for line in lines if line["type"] == "CheckFinished"]
    assert check["ok"] and check["stage"] == "tester" and check["error"] == "" and done.err == ""
    heard: list[Event] = []
    result = api.build(folder, root=jettison.root, checks=["tester", "lint"], on_event=heard.append)
    assert [(one.stage, one.ok, one.cached) for one in result.checks] == [
        ("tester", True, True), ("lint", True, False)
    ]  # fmt: skip
    ran = {event.stage for event in heard if isinstance(event, StepFinished) and not event.cached}
    assert ran == {"lint"}

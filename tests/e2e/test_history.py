"""Logs, the history of builds, traces and the schema of events, as a user calls them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from jettison.progress.schema import schema
from tests.conftest import Jettison
from tests.unit.journal.test_recorder import check_trace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Project = Callable[..., Path]

DOCKERFILE = """\
FROM busybox AS builder
COPY a /
RUN cat /a; seq 1 3000; printf '\\377end' >&2
RUN echo second
FROM busybox
COPY --from=builder /a /b
"""
WRITTEN = b"1" + b"".join(b"%d\n" % n for n in range(1, 3001)) + b"\xffend"


def raw(jettison: Jettison, *words: object) -> bytes:
    """What a command writes, byte for byte."""
    process = jettison.start(*words, stdout=-1)
    out: bytes = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    return out


def builds(jettison: Jettison) -> list[dict[str, object]]:
    lines = jettison.ok("builds", "--format", "json").out.splitlines()
    return [json.loads(line) for line in lines]


def test_every_byte_of_a_step_is_kept_and_shown(jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1"}, DOCKERFILE)
    done = jettison.ok("build", "--progress", "plain", folder)
    assert done.err.rstrip().endswith("(build b1)")
    number = next(line.split()[0][1:] for line in done.err.splitlines() if "RUN cat" in line)
    for words in (("b1", number), ("builder:3",), ("b1", "cat /a")):
        assert raw(jettison, "logs", *words) == WRITTEN, words
    assert raw(jettison, "logs", "--tail", "2", "builder:3") == b"3000\n\xffend"
    both = jettison.ok("logs").out
    assert both.count("==> b1 #") == 2 and both.endswith("<==\nsecond\n")
    path = Path(jettison.ok("logs", "--path", "builder:3").out.strip())
    assert path.parent == jettison.root / "logs/b1" and path.read_bytes() == WRITTEN
    modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700]
    # A build that finds everything writes nothing, not even a row; what came from the cache has its log.
    before = (jettison.root / "jettison.db").read_bytes()
    done = jettison.ok("build", "--progress", "plain", folder)
    assert "(build" not in done.err and (jettison.root / "jettison.db").read_bytes() == before
    project(dockerfile=DOCKERFILE.replace("echo second", "echo third"))
    jettison.ok("build", folder)
    done = jettison.ok("logs", "builder:3")
    assert "RUN cat /a; seq 1 3000; printf '\\377end' >&2 was in the cache; b1 ran it" in done.err
    assert raw(jettison, "logs", "b2", "builder:3") == WRITTEN
    assert raw(jettison, "logs") == b"third\n"
    assert "wrote nothing" in jettison.ok("logs", "COPY a").err
    path.unlink()
    done = jettison("logs", "builder:3")
    assert done.code == 1 and "is not kept any more" in done.err
    jettison.ok("prune", "--filter", "type=log")
    assert list((jettison.root / "logs").iterdir()) == []
    done = jettison("logs", "b2", "4")
    assert done.code == 1 and "is not kept any more" in done.err and "Traceback" not in done.err


def test_a_failure_leads_to_its_log(jettison: Jettison, project: Project) -> None:
    failing = DOCKERFILE.replace("echo second", "seq 1 100; echo $((1 +)); exit 3")
    folder = project({"a": "1"}, failing)
    done = jettison("build", "--root", jettison.root, folder)
    assert done.code == 1 and "Dockerfile:4" in done.err and ">>> RUN seq 1 100" in done.err
    told = done.err[done.err.index("\nlog: ") :].partition("\nto look around")[0].split()
    assert told[2:5] == ["jettison", "logs", "--root"] and told[6] == "b1"
    log = Path(told[1]).read_bytes()
    assert raw(jettison, *told[3:]) == log == raw(jettison, "logs", "--failed")
    assert log.startswith(b"1\n2\n") and log.count(b"\n") >= 101
    [build] = builds(jettison)
    assert (build["Result"], build["Ran"]) == ("failed", 3) and "RUN seq 1 100" in str(build["Error"])
    shown = json.loads(jettison.ok("builds", "show", "--format", "json").out)
    states = {step["Name"].partition("] ")[2].split(";")[0]: step["State"] for step in shown["Steps"]}
    assert states["RUN seq 1 100"] == "failed" and states["COPY a /"] == "ran"
    for words, told_ in (
        (("logs", "b9"), "the history has no build b9"),
        (("logs", "b1", "99"), "b1 has no step 99"),
        (("logs", "--failed", "x"), "--failed is a step already"),
        (("logs", "--tail", "x"), "is not a number of lines"),
        (("logs", "nonsense?"), "no step of the build fits"),
        (("logs", "x", "y"), "'x' is no name of a build"),
        (("builds", "show", "../../etc"), "is no name of a build"),
        (("builds", "compare"), "before b1 is remembered"),
        (("builds", "nothing"), "jettison builds has no command"),
        (("build", "--summary", "long", folder), "--summary 'long' is not known"),
        (("build", "--trace", "/nowhere/t", folder), "cannot write /nowhere/t"),
    ):
        done = jettison(*words)
        assert done.code != 0 and told_ in done.err and "Traceback" not in done.err, (words, done.err)


def test_builds_are_compared_and_traced_and_their_events_keep_to_the_schema(
    jettison: Jettison, project: Project, tmp_path: Path
) -> None:
    folder = project({"a": "1"}, DOCKERFILE)
    validator = jsonschema.Draft202012Validator(json.loads(jettison.ok("schema").out))
    assert validator.schema == schema()
    kinds = set()
    for text in ("1", "2", "2"):
        project({"a": text})
        words = ("--progress", "jsonl", "--explain", "--summary", "full", "--trace", tmp_path / "t.json")
        done = jettison.ok("build", *words, folder)
        for line in done.out.splitlines():
            validator.validate(json.loads(line))
            kinds.add(json.loads(line)["type"])
        assert "run, " in done.err and "STAGE" in done.err
        document = json.loads((tmp_path / "t.json").read_text())
        if text == "1":
            [end] = done.events("BuildFinished")
            check_trace(document, end["seconds"])
            [copy] = [e for e in done.events("StepFinished") if "COPY a" in e["name"]]
            assert copy["size"] == 1 and len(copy["inputs"]) == 1
    assert {"BuildStarted", "BuildNamed", "StepStarted", "StepOutput", "StepExplained", "Exported"} <= kinds
    assert [build["Build"] for build in builds(jettison)] == ["b2", "b1"]
    lines = jettison.ok("builds", "-n", "1").out.splitlines()
    assert len(lines) == 2 and lines[1].startswith("b2 ")
    text = jettison.ok("builds", "compare", "--all").out
    assert text.startswith("b1 → b2: ") and "a content changed" in text
    compared = json.loads(jettison.ok("builds", "compare", "b1", "b2", "--all", "--format", "json").out)
    assert [step["Old"] is not None and step["New"] is not None for step in compared["Steps"]] == [True] * 5
    check_trace(json.loads(jettison.ok("builds", "trace", "b2").out), 60.0)
    jettison.ok("builds", "trace", "b1", "-o", tmp_path / "b1.json")
    assert json.loads((tmp_path / "b1.json").read_text())["otherData"]["build"] == "b1"
    assert "critical path" in jettison.ok("builds", "show", "b1").out


def test_times_go_with_a_result_that_is_found_by_its_content(jettison: Jettison, project: Project) -> None:
    slow = (
        "FROM busybox AS one\nCOPY a /\nRUN rm /a\nFROM busybox\nCOPY --from=one /etc /e\n{}RUN sleep 0.4\n"
    )
    folder = project({"a": "1"}, slow.format(""))
    jettison.ok("build", folder)
    # Another step above, with the same result for those who copy from it: known by content, under a new key.
    project({"a": "2"})
    done = jettison.ok("build", "--progress", "jsonl", folder)
    assert {e["name"]: e["cached"] for e in done.events("StepFinished")}["[stage-1 3/3] RUN sleep 0.4"]
    with sqlite3.connect(jettison.root / "jettison.db") as db:
        sql = "SELECT seconds FROM records WHERE seconds >= 0.4 OR (seconds = 0 AND parts LIKE '%sleep 0.4%')"
        seconds = [row[0] for row in db.execute(sql)]
    assert len(seconds) >= 2 and min(seconds) >= 0.4


def test_a_build_that_is_stopped_or_killed_leaves_what_was_written(
    jettison: Jettison, project: Project
) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo begun; sleep 100\n")
    for number, (by, result) in enumerate(((signal.SIGTERM, "cancelled"), (signal.SIGKILL, "killed")), 1):
        process = jettison.start("build", "--progress", "quiet", folder, stdout=-3, stderr=-3)
        try:
            wait_for(lambda at=number: [*(jettison.root / "logs").glob(f"b{at}/*.log")])
            assert builds(jettison)[0]["Result"] == "running"
            assert jettison.ok("logs", "sleep").out == "begun\n"
            # What runs is not pruned.
            jettison.ok("prune", "--all")
        finally:
            process.send_signal(by)
            process.wait(timeout=60)
        assert builds(jettison)[0]["Result"] == result
        assert jettison.ok("logs", f"b{number}", "sleep").out == "begun\n"
        step = json.loads(jettison.ok("builds", "show", "--format", "json").out)["Steps"][-1]
        assert step["State"] == ("cancelled" if by == signal.SIGTERM else "running")


def wait_for(look: Callable[[], object]) -> None:
    """Wait until there is something to see, a minute at most."""
    end = time.monotonic() + 60
    while not look():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def test_no_secret_is_in_logs_or_the_history(jettison: Jettison, project: Project) -> None:
    value = "rosebud-4711-rosebud"
    folder = project(
        dockerfile="FROM busybox\nRUN --mount=type=secret,id=s cat /run/secrets/s | tee /dev/stderr; exit 1\n"
    )
    done = jettison("build", "--secret", "id=s,env=S", folder, env={"S": value})
    assert done.code == 1 and value not in done.text
    assert raw(jettison, "logs", "--failed") not in (b"", value.encode())
    for path in jettison.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert value.encode() not in path.read_bytes(), path
    assert value not in jettison.ok("builds", "show").text

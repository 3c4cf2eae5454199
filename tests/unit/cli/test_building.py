"""`jettison build` as it is called: what it writes where, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

TWO = "FROM busybox AS one\nRUN echo 1 > /n\nFROM busybox AS two\nRUN echo 2 > /n\nFROM one\nRUN false\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(TWO)
    return folder


def test_quiet_prints_image_ids_and_nothing_else(jettison: Any, context: Path, tmp_path: Path) -> None:
    files = ("--iidfile", tmp_path / "id", "--metadata-file", tmp_path / "metadata")
    done = jettison.ok("build", "-q", "-t", "one=x:1", *files, context)
    assert done.err == "" and done.out.startswith("sha256:") and done.out.count("\n") == 1
    assert (tmp_path / "id").read_text() == done.out.strip()
    metadata = json.loads((tmp_path / "metadata").read_text())
    assert metadata["containerimage.config.digest"] == done.out.strip()
    assert metadata["image.name"] == "docker.io/library/x:1"


def test_progress_goes_to_standard_error_and_says_what_is_left_out(jettison: Any, context: Path) -> None:
    done = jettison.ok("build", "--target", "one", context)
    assert done.out == ""
    assert "not needed by one: two" in done.err and "[two " not in done.err
    again = jettison.ok("build", "--target", "one", context)
    assert "CACHED" in again.err and "0 run" in again.err


def test_jsonl_goes_to_standard_output(jettison: Any, context: Path) -> None:
    done = jettison.ok("build", "--progress", "jsonl", "--target", "two", context)
    types = [json.loads(line)["type"] for line in done.out.splitlines()]
    assert types[-1] == "BuildFinished" and "StepStarted" in types


def test_an_image_on_standard_output_is_alone_there(jettison: Any, context: Path) -> None:
    words = ("build", "--target", "one", "-o", "type=oci", "--progress", "jsonl", context)
    process = jettison.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert "oci-layout" in archive.getnames()
    assert json.loads(err.splitlines()[-1])["type"] == "BuildFinished"


@pytest.mark.parametrize("kind", ["Dockerfile", "tar", "tar.gz"])
def test_a_context_from_standard_input(jettison: Any, kind: str) -> None:
    data = b"FROM busybox\nRUN echo from input\n"
    if kind != "Dockerfile":
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz" if kind == "tar.gz" else "w") as archive:
            entry = tarfile.TarInfo("Dockerfile")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        data = buffer.getvalue()
    process = jettison.start(
        "build", "-", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, err = process.communicate(data, timeout=120)
    assert process.returncode == 0, err
    assert b"from input" in err


def test_a_failure_shows_the_step_the_lines_and_the_exit_code(jettison: Any, context: Path) -> None:
    done = jettison("build", context)
    assert done.code == 1
    assert "   6 | >>> RUN false" in done.err and "exit code: 1" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_build(jettison: Any, tmp_path: Path, number: int, status: int) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo started; sleep 1000\n")
    process = jettison.start("build", "--progress", "plain", tmp_path, stderr=subprocess.PIPE, text=True)
    while "started" not in (line := process.stderr.readline()) or "RUN" in line:
        assert line, "the step never started"
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(60) == status
    assert rest.rstrip().endswith("stopped") and "Traceback" not in rest


def test_no_cache_for_one_stage(jettison: Any, context: Path) -> None:
    jettison.ok("build", "--target", "one,two", context)
    done = jettison.ok("build", "--target", "one,two", "--no-cache=two", "--progress", "jsonl", context)
    cached = {event["name"].partition("] ")[2]: event["cached"] for event in done.events("StepFinished")}
    assert (cached["RUN echo 1 > /n"], cached["RUN echo 2 > /n"]) == (True, False)

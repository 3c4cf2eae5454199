"""`jettison why` and --no-cache=STAGE:LINE, as a user calls them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Jettison

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")

Project = Callable[..., Path]

DOCKERFILE = """\
FROM busybox AS builder
ARG VERSION=1.2
COPY a /
RUN \\
  cat /a
RUN echo $VERSION
FROM busybox
COPY --from=builder /a /b
"""


def test_why_tells_about_the_last_build_in_which_something_ran(jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1"}, DOCKERFILE)
    done = jettison("why", cwd=folder)
    assert done.code == 1 and "no build is remembered in this store" in done.err
    jettison.ok("build", folder)
    project({"a": "2"})
    done = jettison.ok("build", "--explain", "--progress", "jsonl", folder)
    told = {event["name"]: event["reasons"] for event in done.events("StepExplained")}
    jettison.ok("build", folder)
    text = jettison.ok("why", cwd=folder).out
    first, *lines = text.splitlines()
    assert first == f"build of {folder}, just now: 4 steps ran"
    assert lines == [
        "[builder 2/4] COPY a /  (line 3)",
        "    a content changed",
        "[builder 3/4] RUN   cat /a  (line 4)",
        "    its base changed: [builder 2/4] COPY a / ran again with another result",
        "[builder 4/4] RUN echo $VERSION  (line 6)",
        "    its base changed: [builder 2/4] COPY a / ran again with another result",
        "[stage-1 2/2] COPY --from=builder /a /b  (line 8)",
        "    a content changed (from the stage builder)",
    ]
    assert [reasons[0] for reasons in told.values()] == [line.strip() for line in lines[1::2]]
    for words, names in (
        (("builder",), 3),
        (("builder:5",), 1),
        (("cat  /A",), 1),
        (("stage-1",), 1),
    ):
        found = jettison.ok("why", *words, "--context", folder, "--format", "json").out.splitlines()
        assert len(found) == names, words
    jettison.ok("build", "--no-cache=stage-1", folder)
    assert "forced by --no-cache=stage-1" in jettison.ok("why", cwd=folder).out
    assert "did not run: its result was in the cache" in jettison.ok("why", "builder:6", cwd=folder).out
    jettison.ok("build", "--no-cache=builder:3", folder)
    document = json.loads(jettison.ok("why", "COPY a", "--format", "json", cwd=folder).out)
    assert document["Reasons"] == [{"Kind": "forced", "Text": "forced by --no-cache=builder:3"}]
    assert document["Lines"] == [3, 3] and document["State"] == "ran"
    done = jettison("why", "cat /b", cwd=folder)
    assert done.code == 1 and "did you mean 'RUN cat /a'?" in done.err
    elsewhere = jettison.ok("why", cwd=folder.parent)
    assert f"note: no build of {folder.parent} is remembered" in elsewhere.err
    assert jettison("why", "-C", folder.parent).code == 1


def test_one_line_is_forced(jettison: Jettison, project: Project) -> None:
    folder = project({"a": "1"}, DOCKERFILE)
    jettison.ok("build", folder)

    def forced(option: str) -> list[str]:
        done = jettison.ok("build", option, "--explain", "--progress", "jsonl", folder)
        return [event["name"].partition("] ")[2] for event in done.events("StepExplained")]

    # The second line of an instruction counts; what is above stays cached, and what is below sees a new base.
    assert forced("--no-cache=builder:5") == ["RUN   cat /a", "RUN echo $VERSION"]
    assert forced("--no-cache=:6") == ["RUN echo $VERSION"]
    assert forced("--no-cache=0:6") == ["RUN echo $VERSION"]
    assert forced("--no-cache=stage-1:8") == ["COPY --from=builder /a /b"]
    for option, told in (
        ("--no-cache=builder:2", "the nearest is 'COPY a /' in line 3: --no-cache=builder:3"),
        ("--no-cache=builder:900", "the nearest is 'RUN echo $VERSION' in line 6"),
        ("--no-cache=:1", "no step is in line 1"),
        ("--no-cache=builder:x", "'x' is no line"),
        ("--no-cache=bilder:3", "did you mean 'builder'?"),
    ):
        done = jettison("build", option, folder)
        assert done.code != 0 and told in done.err and "Traceback" not in done.err, done.text


def test_a_step_of_two_stages_is_forced_by_either(jettison: Jettison, project: Project) -> None:
    twice = (
        "FROM busybox AS one\nRUN echo same\nFROM busybox AS two\nRUN echo same\nCOPY --from=one /etc /x\n"
    )
    folder = project(dockerfile=twice)
    jettison.ok("build", folder)
    done = jettison.ok("build", "--no-cache=two:4", "--progress", "jsonl", folder)
    assert [e["cached"] for e in done.events("StepFinished") if "echo same" in e["name"]] == [False]


def test_no_secret_is_told(jettison: Jettison, project: Project) -> None:
    def build(secret: str, token: str, url: str) -> str:
        folder = project(
            dockerfile=f"""\
FROM busybox
ARG API_TOKEN
RUN --mount=type=secret,id=s,env=S echo {url}; test -n "$S$API_TOKEN"
"""
        )
        words = ("build", "--explain", "--progress", "plain", "--secret", "id=s,env=SECRET")
        done = jettison.ok(
            *words, "--build-arg", f"API_TOKEN={token}", folder, env={"SECRET": secret}
        ).text.splitlines()
        told = [line for line in done if line.startswith("why ")]
        return "\n".join(told) + jettison.ok("why", "-C", folder).out

    build("hunter-one", "token-one", "http://me:pass-one@x/a")
    text = build("hunter-two", "token-two", "http://me:pass-two@x/b")
    assert "the command changed: " in text and "ARG API_TOKEN changed (its value is not shown)" in text
    for word in ("hunter", "token-one", "token-two", "hunter-two"):
        assert word not in text
    assert "pass-one" not in text

"""Memory, processes, processors and time that a RUN may use; and further tries after it has failed."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Done, Jettison
from tests.storecheck import users_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root")

HOG = "head -c 200000000 /dev/zero | tail -n 1 >/dev/null; sleep 0"
"""tail keeps its only line, of 200 MB, in memory."""

BOMB = "i=0; while [ $i -lt 300 ]; do sleep 15 & i=$((i+1)); done; wait"

Project = Callable[..., Path]
Build = Callable[..., Done]

NO_CGROUPS = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh")
"""A command that goes on where no cgroup can be made."""


def groups() -> list[Path]:
    """The cgroups of steps, of all that build here."""
    return list(Path("/sys/fs/cgroup").glob("**/jettison-step-*"))


@pytest.fixture(params=["cgroups", "watched"])
def build(request: pytest.FixtureRequest, jettison: Jettison) -> Build:
    def call(*words: object) -> Done:
        before = NO_CGROUPS if request.param == "watched" else ()
        environment = {**os.environ, "JETTISON_ROOT": str(jettison.root)}
        command = [*before, *COMMAND, "build", *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        watched = "no cgroup can be made here" in done.stderr
        assert watched == (request.param == "watched"), done.stderr
        assert users_of(jettison.root) == []
        return Done(done.returncode, done.stdout, done.stderr)

    return call


def test_memory(build: Build, project: Project) -> None:
    folder = project(dockerfile=f"FROM busybox\nRUN {HOG}; exit 7\n")
    done = build("--memory", "64MB", folder)
    assert done.code == 1
    assert "it used more than the 64 MB that --memory allows" in done.err
    assert "Dockerfile:2" in done.err
    assert "exit code: 7" in done.err or "exit code: 137" in done.err
    assert "it had up to" in done.err


def test_processes(build: Build, project: Project) -> None:
    folder = project(dockerfile=f"FROM busybox\nRUN {BOMB}\n")
    began = time.monotonic()
    done = build("--pids-limit", "40", folder)
    assert done.code == 1
    assert "--pids-limit allows 40 at once" in done.err
    assert time.monotonic() - began < 14, "the step was not ended"


def test_processors(build: Build, project: Project, tmp_path: Path) -> None:
    """Two loops on half a processor, or on one: the time that they are given, beside the clock."""
    loop = "while :; do :; done"
    script = f"cat /proc/uptime; ({loop})& ({loop})& sleep 1; kill %1 %2; wait; times; cat /proc/uptime"
    folder = project(dockerfile=f"FROM busybox\nRUN {{ {script}; }} >/times\n")
    done = build("--cpus", "0.5", "-o", tmp_path / "out", folder)
    assert done.code == 0, done.err
    first, _, children, last = (tmp_path / "out/times").read_text().splitlines()
    took = float(last.split()[0]) - float(first.split()[0])
    used = sum(float(m) * 60 + float(s) for m, s in (word[:-1].split("m") for word in children.split()))
    assert used < took * (1.15 if "keeping to 1 core" in done.err else 0.65)


def test_limits_leave_what_is_within_them(build: Build, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo made >/made\n")
    done = build("--memory", "200MB", "--pids-limit", "20", "--cpus", "1", folder)
    assert done.code == 0, done.err
    assert "2 run" in done.err


def test_limits_are_not_part_of_keys(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo made >/made\n")
    jettison.ok("build", folder)
    words = ["--memory", "64MB", "--pids-limit", "20", "--cpus", "1", "--step-timeout", "9s", "--retry", "3"]
    assert "0 run" in jettison.ok("build", *words, folder).err


def test_the_groups_of_a_killed_build_go_with_the_next(jettison: Jettison, project: Project) -> None:
    before = groups()
    folder = project(dockerfile="FROM busybox\nRUN sleep 600\n")
    process = jettison.start("build", "--pids-limit", "20", "-q", folder)
    deadline = time.monotonic() + 20
    while not set(groups()) - set(before):
        assert process.poll() is None and time.monotonic() < deadline
    process.send_signal(signal.SIGKILL)
    process.wait()
    while users_of(jettison.root):
        assert time.monotonic() < deadline
    project(dockerfile="FROM busybox\nRUN echo\n")
    while set(groups()) - set(before):
        assert time.monotonic() < deadline
        jettison.ok("build", "--no-cache", "--pids-limit", "20", folder)


def test_time(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN trap '' TERM; (sleep 77 &); echo waits; sleep 77\n")
    began = time.monotonic()
    done = jettison("build", "--step-timeout", "0.5s", folder)
    assert done.code == 1
    assert "it took longer than the 0.5 s that --step-timeout allows" in done.err
    assert "waits" in done.err
    assert "Dockerfile:2" in done.err
    assert time.monotonic() - began < 20
    assert users_of(jettison.root) == []


FLAKY = """FROM busybox
RUN --mount=type=cache,target=/c test ! -e /left && touch /left && echo try >>/c/tries && \\
    test $(wc -l </c/tries) = 3
"""


def test_tries(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    """A cache mount stays, the layer of a failed try does not; the image holds the last one only."""
    folder = project(dockerfile=FLAKY)
    done = jettison("build", "--retry", "1", folder)
    assert done.code == 1
    assert "1 try left" in done.err and "try 2 of 2, after exit code 1\n" in done.err
    done = jettison.ok("build", "--retry", "2", "--progress", "jsonl", "-o", tmp_path / "out", folder)
    assert (tmp_path / "out/left").exists()
    assert len(done.events("StepRetried")) == 0, "the third try of all went well"
    assert len(done.events("StepFinished")) == len({event["step"] for event in done.events("StepFinished")})
    assert "0 run" in jettison.ok("build", folder).err


def test_tries_are_told(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN printf hello; sleep 9\n")
    done = jettison("build", "--retry", "2", "--step-timeout", "0.2s", "--progress", "jsonl", folder)
    retried = done.events("StepRetried")
    assert [event["left"] for event in retried] == [2, 1]
    assert all("--step-timeout" in event["error"] for event in retried)
    heard = "".join(event["data"] for event in done.events("StepOutput"))
    assert heard.count("hello") == 3 and "try" not in heard
    assert [(event["tries"], event["exit_code"]) for event in retried] == [(3, 137), (3, 137)]
    log = "hello\ntry 2 of 3, after exit code 137\nhello\ntry 3 of 3, after exit code 137\nhello"
    assert jettison.ok("logs").out == log


def test_cancelled_is_not_tried_again(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo up; sleep 99\n")
    process = jettison.start("build", "--retry", "9", "--progress", "plain", folder, stderr=subprocess.PIPE)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(b" up\n"):
            break
    process.send_signal(signal.SIGTERM)
    rest = process.stderr.read()
    assert process.wait(20) == 143
    assert b"left" not in rest


def test_containers_have_limits_too(jettison: Jettison) -> None:
    done = jettison("run", "--memory", "64MB", "busybox", "sh", "-c", HOG + "; exit 9")
    assert done.code in (9, 137)
    assert "it used more than the 64 MB that --memory allows" in done.err


@pytest.mark.parametrize(
    "words",
    ["--memory 5", "--memory 20%", "--memory lots", "--pids-limit 0", "--pids-limit -1", "--cpus nan",
     "--cpus 0", "--step-timeout 5y", "--step-timeout .", "--retry 1.5", "--retry 101"],
)  # fmt: skip
def test_nonsense_is_refused(jettison: Jettison, project: Project, words: str) -> None:
    done = jettison("build", *shlex.split(words), project(dockerfile="FROM busybox\n"))
    assert done.code == 2
    assert words.split()[0] in done.err
    assert "Traceback" not in done.err

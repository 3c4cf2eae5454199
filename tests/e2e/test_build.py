"""Whole builds: what runs, in what order, what is left out, and what is not done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conformance import imagetree
from tests.conftest import Done, Jettison

Project = Callable[..., Path]

STAGES = """\
FROM busybox AS common
RUN echo common >/common

FROM common AS left
RUN sleep 1 && echo left >/left

FROM common AS right
RUN sleep 1 && echo right >/right

FROM common AS tester
RUN echo tests fail here && exit 3

FROM busybox AS final
COPY --from=left /left /
COPY --from=right /right /
CMD ["cat", "/left", "/right"]
"""


def finished(done: Done) -> dict[str, dict[str, Any]]:
    """The steps that came to an end, by name."""
    return {event["name"]: event for event in done.events("StepFinished")}


def ran(done: Done) -> list[str]:
    return [name for name, event in finished(done).items() if not event["cached"] and "RUN" in name]


def test_independent_stages_overlap_in_time(jettison: Jettison, project: Project) -> None:
    done = jettison.ok("build", "--progress", "jsonl", "--jobs", "2", project(dockerfile=STAGES))
    spans = {}
    for event in done.events("StepFinished"):
        if "sleep 1" in event["name"]:
            started = next(e for e in done.events("StepStarted") if e["step"] == event["step"])
            spans[event["stage"]] = (started["at"], event["at"])
    assert spans.keys() == {"left", "right"}
    overlap = min(end for _, end in spans.values()) - max(start for start, _ in spans.values())
    assert overlap > 0.5, spans


def test_one_job_runs_one_step_at_a_time(jettison: Jettison, project: Project) -> None:
    done = jettison.ok("build", "--progress", "jsonl", "--jobs", "1", project(dockerfile=STAGES))
    running: set[str] = set()
    for event in map(json.loads, (line for line in done.text.splitlines() if line.startswith("{"))):
        if event["type"] == "StepStarted":
            assert not running, event
            running.add(event["step"])
        elif event["type"] == "StepFinished":
            running.discard(event["step"])


def test_the_second_build_runs_no_step(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile=STAGES)
    first = jettison.ok("build", "--progress", "jsonl", "-t", "app", folder)
    second = jettison.ok("build", "--progress", "jsonl", "-t", "app", folder)
    assert len(ran(first)) == 3
    assert ran(second) == []
    [end] = second.events("BuildFinished")
    assert end["ran"] == 0
    assert first.events("Exported")[0]["digest"] == second.events("Exported")[0]["digest"]


def test_a_stage_that_nothing_needs_is_left_out_and_named(jettison: Jettison, project: Project) -> None:
    done = jettison.ok("build", "--progress", "jsonl", project(dockerfile=STAGES))
    [start] = done.events("BuildStarted")
    assert list(start["skipped"]) == ["tester"]
    assert "tests fail here" not in done.text
    plain = jettison.ok("build", "--progress", "plain", project(dockerfile=STAGES))
    assert "not needed by final: tester" in plain.text


def test_a_failing_test_stage_fails_the_build_with_its_output(jettison: Jettison, project: Project) -> None:
    done = jettison("build", "--target", "tester", project(dockerfile=STAGES))
    assert done.code == 1
    assert "tests fail here" in done.err
    assert "Dockerfile:11" in done.err


def test_several_targets_in_one_build(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile=STAGES)
    done = jettison.ok(
        "build", "--progress", "jsonl", "-t", "left=app-left", "-t", "right=app-right:2", folder
    )
    assert sorted(name.partition("RUN ")[2][:9] for name in ran(done)) == [
        "echo comm",
        "sleep 1 &",
        "sleep 1 &",
    ]
    assert jettison.ok("run", "app-left", "cat", "/left").out == "left\n"
    assert jettison.ok("run", "app-right:2", "cat", "/right").out == "right\n"


def test_a_changed_file_runs_what_depends_on_it_only(jettison: Jettison, project: Project) -> None:
    dockerfile = "FROM busybox\nCOPY a /a\nRUN cat /a >/out\nFROM busybox\nCOPY b /b\nRUN cat /b >/out\n"
    dockerfile += "COPY --from=0 /out /first\n"
    folder = project({"a": "one", "b": "two"}, dockerfile)
    jettison.ok("build", folder)
    project({"b": "TWO"})
    done = jettison.ok("build", "--progress", "jsonl", folder)
    assert [name.partition("RUN ")[2] for name in ran(done)] == ["cat /b >/out"]


def test_same_size_and_time_but_other_content_is_seen(jettison: Jettison, project: Project) -> None:
    import os

    folder = project({"a": "one"}, "FROM busybox\nCOPY a /a\nCMD cat /a\n")
    os.utime(folder / "a", (1_600_000_000, 1_600_000_000))
    jettison.ok("build", "-t", "app", folder)
    (folder / "a").write_text("two")
    os.utime(folder / "a", (1_600_000_000, 1_600_000_000))
    jettison.ok("build", "-t", "app", folder)
    assert jettison.ok("run", "app").out == "two"


def test_a_mode_change_is_seen(jettison: Jettison, project: Project) -> None:
    folder = project({"a": "#!/bin/sh\n"}, "FROM busybox\nCOPY a /a\nCMD stat -c %a /a\n")
    (folder / "a").chmod(0o644)
    jettison.ok("build", "-t", "app", folder)
    (folder / "a").chmod(0o755)
    jettison.ok("build", "-t", "app", folder)
    assert jettison.ok("run", "app").out == "755\n"


def test_two_stores_give_equal_digests(
    jettison: Jettison, busybox_layout: Path, project: Project, tmp_path: Path
) -> None:
    folder = project({"a/b": "text"}, "FROM busybox\nCOPY . /app\nENV A=1\n")
    other = Jettison(tmp_path / "other-store")
    other.ok("load", busybox_layout, "busybox")
    for name, command in (("one", jettison), ("two", other)):
        command.ok(
            "build", "-o", f"type=oci,dest={tmp_path / name}", folder, env={"SOURCE_DATE_EPOCH": "1700000000"}
        )
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_two_builds_at_once_build_a_step_once(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN sleep 1 && date +%s%N >/when\nCMD cat /when\n")
    started = [
        jettison.start("build", "--progress", "jsonl", "-t", name, folder, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    done = [Done(process.wait(60), process.stdout.read(), "") for process in started]
    assert [d.code for d in done] == [0, 0]
    assert sum(len(ran(d)) for d in done) == 1
    assert jettison.ok("run", "one").out == jettison.ok("run", "two").out


def test_ctrl_c_ends_all_children_and_leaves_the_store_sound(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM busybox\nRUN echo kept >/kept\nRUN echo begun && sleep 987654\n")
    process = jettison.start(
        "build", "--progress", "jsonl", folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        if '"StepOutput"' in line and "begun" in line:
            break
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    assert process.wait(20) == 130
    assert time.monotonic() - begin < 15
    assert "sleep 987654" not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(jettison.root) not in Path("/proc/mounts").read_text()
    done = jettison.ok(
        "build", "--progress", "jsonl", project(dockerfile="FROM busybox\nRUN echo kept >/kept\n")
    )
    assert ran(done) == []


def test_a_final_stage_that_only_copies_starts_no_container(jettison: Jettison, project: Project) -> None:
    folder = project({"app": "x"}, "FROM busybox\nCOPY app /app\nWORKDIR /srv\nCMD cat /app\n")
    environment = {"JETTISON_RUNTIME": "/no/such/runtime"}
    jettison.ok("build", "-t", "app", folder, env=environment)


def test_several_outputs_at_once(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project({"a": "text"}, "FROM scratch\nCOPY a /a\n")
    outputs = (f"type=oci,dest={tmp_path}/oci.tar", f"type=docker,dest={tmp_path}/docker.tar",
               f"type=tar,dest={tmp_path}/files.tar", f"type=local,dest={tmp_path}/files")  # fmt: skip
    jettison.ok("build", *(word for output in outputs for word in ("-o", output)), folder)
    assert list(imagetree.facts(f"{tmp_path}/oci.tar")["tree"]) == ["/a"]
    assert (tmp_path / "files" / "a").read_text() == "text"
    listing = subprocess.run(
        ["tar", "-tf", tmp_path / "files.tar"], capture_output=True, text=True, check=True
    )
    assert listing.stdout.split() == ["a"]
    other = Jettison(tmp_path / "other")
    other.ok("load", tmp_path / "docker.tar", "again")
    other.ok("load", tmp_path / "oci.tar", "again-oci")
    assert "again-oci" in other.ok("images").out


def test_the_context_comes_from_standard_input(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    folder = project({"a": "text"}, "FROM busybox\nCOPY a /a\nCMD cat /a\n")
    archive = tmp_path / "context.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", folder, "."], check=True)
    with archive.open("rb") as stream:
        process = jettison.start("build", "-q", "-t", "app", "-", stdin=stream, stdout=subprocess.DEVNULL)
        assert process.wait(60) == 0
    assert jettison.ok("run", "app").out == "text"


def test_a_secret_is_in_no_layer(jettison: Jettison, project: Project, tmp_path: Path) -> None:
    dockerfile = (
        "FROM busybox\nRUN --mount=type=secret,id=token wc -c </run/secrets/token >/length\nCMD cat /length\n"
    )
    out = tmp_path / "out"
    env = {"TOKEN": "geheim12"}
    words = ("--secret", "id=token,env=TOKEN", project(dockerfile=dockerfile))
    jettison.ok("build", "-t", "app", *words, env=env)
    jettison.ok("build", "-o", f"type=local,dest={out}", *words, env=env)
    assert jettison.ok("run", "app").out == "8\n"
    assert not any(b"geheim12" in path.read_bytes() for path in out.rglob("*") if path.is_file())

"""Events in; steps, waits, the critical path and a trace out. Pure, but for the logs on the disk."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from jettison.events import (
    BuildFinished,
    BuildNamed,
    BuildStarted,
    Event,
    Exported,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
)
from jettison.journal.base import (
    PastBuild,
    build_name,
    number_of,
    steps_from_plain,
    steps_to_plain,
)
from jettison.journal.logs import LogFolder, is_alive, path_of, pieces
from jettison.journal.recorder import Recorder
from jettison.journal.timing import timing
from jettison.journal.trace import trace
from jettison.location import Location

PLACE = Location("Dockerfile", 3, 4)


def finished(at: float, step: str, stage: str, seconds: float, *inputs: str, **more: object) -> StepFinished:
    name = f"[{stage} 1/1] RUN {step}"
    return StepFinished(at, step, name, stage, False, seconds, inputs=inputs, **more)  # type: ignore[arg-type]


EVENTS: tuple[Event, ...] = (
    BuildStarted(100.5, ("final",), 5, ("docs",)),
    StepFinished(101.0, "src", "[web 1/4] COPY . /", "web", True, 0.0, size=7),
    BuildNamed(101.0, "b7", "/logs/b7"),
    StepStarted(101.0, "npm", "[web 2/4] RUN npm", "web", PLACE),
    StepStarted(101.0, "go", "[api 1/1] RUN go", "api", None),
    StepProgress(101.0, "go", "layer", 0, 10),
    StepOutput(101.5, "npm", 1, b"12345"),
    StepProgress(102.0, "go", "layer", 10, 10),
    finished(103.0, "go", "api", 2.0, size=20),
    finished(105.0, "npm", "web", 4.0, "src", size=100),
    # It had to wait for a slot: it was ready at 105.
    finished(107.0, "copy", "final", 1.0, "go", "npm"),
    finished(107.5, "test", "tester", 1.5, "npm", error="the build was cancelled", cancelled=True),
    Exported(108.0, "final", "oci", "out.tar", "sha256:b", 50),
    BuildFinished(108.0, 8.0, 3, 1, build="b7"),
)


def recorded() -> PastBuild:
    recorder = Recorder(100.0)
    for event in EVENTS:
        recorder.emit(event)
    return recorder.build()


def test_steps_have_the_numbers_of_plain_progress_their_times_and_states() -> None:
    build = recorded()
    assert (build.number, build.state, build.ran, build.cached, build.targets) == (
        7,
        "done",
        3,
        1,
        ("final",),
    )
    found = {step.id: step for step in build.steps}
    assert [(step.id, step.number, step.state) for step in build.steps] == [
        ("src", 1, "cached"),
        ("npm", 2, "ran"),
        ("go", 3, "ran"),
        ("copy", 4, "ran"),
        ("test", 5, "cancelled"),
    ]
    npm = found["npm"]
    assert (npm.started, npm.ended, npm.log, npm.size, npm.lines) == (1.0, 5.0, 5, 100, (3, 4))
    assert [(span.kind, span.started, span.ended) for span in build.spans] == [
        ("plan", 0.0, 0.5),
        ("look up", 0.5, 1.0),
        ("download", 1.0, 2.0),
        ("export", 7.5, 8.0),
    ]


def test_what_waited_for_what_and_the_critical_path() -> None:
    times = timing(recorded())
    assert times.path == ("npm", "test") and times.total == pytest.approx(5.5)
    copy = times.waits["copy"]
    assert (copy.last, copy.inputs, copy.slot) == ("npm", 4.0, 1.0)
    assert times.waits["npm"].slot == 0.0 and "src" not in times.waits


def test_a_build_survives_being_kept() -> None:
    build = recorded()
    plain = json.loads(json.dumps(steps_to_plain(build.steps, build.spans)))
    assert steps_from_plain(plain) == (build.steps, build.spans)


def test_a_trace_has_rows_without_overlaps_and_arrows_that_go_forward() -> None:
    document = json.loads(json.dumps(trace(recorded())))
    check_trace(document, 8.0)
    rows = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "thread_name"]
    assert rows == ["build", "downloads", "exports", "web", "api", "final", "tester"]
    arrows = [e for e in document["traceEvents"] if e["ph"] == "s"]
    assert len(arrows) == 3  # go → copy, npm → copy, npm → test; what was in the cache has none


def check_trace(document: dict[str, object], seconds: float) -> None:
    """Whether the intervals of a row follow each other, all within the build, and arrows lie on them."""
    events = document["traceEvents"]
    assert isinstance(events, list)
    slices = [e for e in events if e["ph"] == "X"]
    assert slices and all(e["dur"] > 0 <= e["ts"] <= e["ts"] + e["dur"] <= seconds * 1e6 + 1 for e in slices)
    for row in {e["tid"] for e in slices}:
        own = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == row)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(own))
    begins = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert begins.keys() == ends.keys()
    for number, begin in begins.items():
        assert begin["ts"] <= ends[number]["ts"]
        for arrow in (begin, ends[number]):
            assert any(
                e["tid"] == arrow["tid"] and e["ts"] <= arrow["ts"] <= e["ts"] + e["dur"] for e in slices
            )


@pytest.mark.parametrize("text", ["b", "42", "b4x", "builder", "b-1", "b" + "9" * 16, ""])
def test_what_is_no_name_of_a_build(text: str) -> None:
    assert number_of(text) is None


def test_the_name_of_a_build() -> None:
    assert number_of(build_name(42)) == number_of("B42") == 42


def test_logs_are_whole_private_and_compressed_when_they_are_large(tmp_path: Path) -> None:
    path = f"{tmp_path}/logs/b1"
    logs = LogFolder(path)
    noise = os.urandom(300_000) * 5
    for start in range(0, len(noise), 65_536):
        logs.write(1, noise[start : start + 65_536])
        logs.write(2, noise[start : start + 65_536])
    logs.write(3, b"\xff\x00 no line")
    logs.note("{}")
    assert is_alive(path)
    logs.ended(3)
    logs.close(keep=2)
    assert not is_alive(path)
    assert sorted(os.listdir(path)) == ["1.log.gz", "2.log", "3.log"]
    assert {os.stat(f"{path}/{name}").st_mode & 0o777 for name in os.listdir(path)} == {0o600}
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert b"".join(pieces(path_of(path, 1))) == b"".join(pieces(path_of(path, 2))) == noise
    assert b"".join(pieces(path_of(path, 3))) == b"\xff\x00 no line" and path_of(path, 4) == ""


def test_a_build_that_wrote_nothing_leaves_no_folder(tmp_path: Path) -> None:
    logs = LogFolder(f"{tmp_path}/b1")
    logs.note("{}")
    logs.close()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    logs = LogFolder(f"{tmp_path}/b1")
    (tmp_path / "b1" / "1.log").mkdir()
    with pytest.raises(OSError):
        logs.write(1, b"x")
    logs.write(1, b"y")
    logs.write(2, b"z")
    logs.close()
    assert path_of(f"{tmp_path}/b1", 2) == ""


def test_copies_and_exports_are_no_downloads_and_what_is_no_step_has_no_number() -> None:
    recorder = Recorder(100.0)
    asides = [
        StepProgress(100.0, step, "some", 1, 2) for step in ("context", "read", "pack", "export", "push")
    ]
    started = StepStarted(101.0, "npm", "[web 2/4] COPY . /", "web", PLACE)
    for event in (*asides, started, StepProgress(102.0, "npm", "copying", 1, 2)):
        recorder.emit(event)
    assert recorder.number("npm") == 1
    assert [span.step for span in recorder.spans() if span.kind == "download"] == ["context"]

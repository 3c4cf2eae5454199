from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jettison import events
from jettison.errors import UsageError
from jettison.events import Event
from jettison.location import Location
from jettison.progress.jsonl import Jsonl, encode, from_json, to_json

PLACE = Location("Dockerfile", 1, 2)
EVERY: tuple[Event, ...] = (
    events.BuildStarted(1.0, ("a", "b"), 3, ("c",), ("d",)),
    events.BuildNamed(1.0, "b7", "/store/logs/b7"),
    events.ContextFetched(1.0, "lib", "https://host/lib.git#main", "c0ffee", 0),
    events.BaseResolved(1.0, "alpine", "sha256:a", "local store"),
    events.StepStarted(1.0, "id", "[a 1/1] RUN x", "a", PLACE),
    events.StepStarted(1.0, "id", "[a 1/1] RUN x", "a", None),
    events.StepOutput(1.0, "id", 2, b"plain\n"),
    events.StepOutput(1.0, "id", 1, b"\xff\x00"),
    events.StepProgress(1.0, "id", "layer", 1, 2),
    events.StepFinished(1.0, "id", "[a 1/1] RUN x", "a", False, 0.5, "exit code: 1", 12, ("b", "c"), True),
    events.StepRetried(1.0, "id", "[a 1/1] RUN x", "a", "[a 1/1] RUN x: it failed", 2),
    events.StepExplained(1.0, "id", "[a 1/1] RUN x", "a", PLACE, ("ARG V 1 → 2",), ("argument",)),
    events.IsolationChosen(1.0, "builtin", "builtin", "root", "no OCI runtime", False),
    events.Warned(1.0, "careful", PLACE, "Rule"),
    events.CheckFinished(1.0, "a", False, 0.5, False, "exit code: 1", 1, 4, 1, 1, 1, 2.5, ("x: bad", "y")),
    events.Exported(1.0, "a", "oci", "out.tar", "sha256:b", 7),
    events.BuildFinished(1.0, 2.0, 1, 2, "", "b7"),
)


def test_every_event_comes_back() -> None:
    assert {type(event).__name__ for event in EVERY} == {kind.__name__ for kind in Event.__subclasses__()}
    for event in EVERY:
        assert from_json(json.loads(encode(event))) == event


@given(st.binary(max_size=50))
def test_output_comes_back_byte_for_byte(data: bytes) -> None:
    event = events.StepOutput(1.0, "id", 1, data)
    assert from_json(json.loads(encode(event))) == event


def test_one_line_each() -> None:
    out = io.StringIO()
    display = Jsonl(out)
    for event in EVERY:
        display.emit(event)
    lines = out.getvalue().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [type(event).__name__ for event in EVERY]
    assert all(line.startswith('{"v":1,"type":"') for line in lines)


def test_text_is_readable_in_the_log() -> None:
    assert to_json(events.StepOutput(1.0, "id", 1, b"hello\n"))["data"] == "hello\n"


@pytest.mark.parametrize("data", [{}, {"v": 1, "type": "Nothing"}, {"v": 2, "type": "BuildFinished"}])
def test_what_is_no_event_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        from_json(data)

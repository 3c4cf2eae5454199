from __future__ import annotations

import dataclasses

import pytest

from jettison import events


def test_events_are_frozen() -> None:
    event = events.StepOutput(1.0, "a", 1, b"x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = "b"  # type: ignore[misc]


def test_every_event_has_its_time_first() -> None:
    kinds = [
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)
    ]
    assert len(kinds) == 13
    assert all(dataclasses.fields(kind)[0].name == "at" for kind in kinds)


def test_ignoring_an_event_does_nothing() -> None:
    events.ignore(events.BuildFinished(1.0, 1.0, 0, 0))

from __future__ import annotations

import dataclasses

import pytest

from jettison import events
from jettison.dataclass import fields
from jettison.verdict import Verdict


def test_events_are_frozen() -> None:
    event = events.StepOutput(1.0, "a", 1, b"x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = "b"  # type: ignore[misc]


def test_every_event_has_its_time_first() -> None:
    kinds = [
        kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, events.Event)
    ]
    assert len(kinds) == 16
    assert all(dataclasses.fields(kind)[0].name == "at" for kind in kinds)


def test_ignoring_an_event_does_nothing() -> None:
    events.ignore(events.BuildFinished(1.0, 1.0, 0, 0))


class Heard:
    """A listener that writes down what it hears."""

    name = "b1"
    counts = (1, 2)

    def __init__(self) -> None:
        self.events: list[events.Event] = []
        self.ended: list[BaseException | None] = []

    def emit(self, event: events.Event) -> None:
        self.events.append(event)

    def end(self, error: BaseException | None) -> None:
        self.ended.append(error)


FIRST = events.BuildStarted(1.0, ("a",), 2, ())
STEP = events.StepStarted(2.0, "s", "[a 1/1] RUN x", "a", None)
LAST = events.BuildFinished(3.0, 2.0, 1, 0)


def test_a_listener_comes_with_the_first_step_and_hears_what_was_before() -> None:
    heard, direct = Heard(), []
    relay = events.Relay(direct.append)
    relay.join = lambda: heard
    relay.emit(FIRST)
    assert heard.events == [] and relay.name == "" and relay.counts == (0, 0)
    for event in (STEP, LAST):
        relay.emit(event)
    relay.end(None)
    assert heard.events == direct == [FIRST, STEP, LAST]
    assert (relay.name, relay.counts, heard.ended) == ("b1", (1, 2), [None])


def test_without_a_step_no_listener_is_made() -> None:
    def never() -> Heard:
        raise AssertionError("nothing was to be done")

    direct: list[events.Event] = []
    relay = events.Relay(direct.append)
    relay.join = never
    relay.emit(FIRST)
    relay.emit(LAST)
    relay.end(None)
    assert direct == [FIRST, LAST]


def test_a_check_is_told_with_all_that_is_known_of_it() -> None:
    told = [(field.name, field.type) for field in fields(events.CheckFinished)]
    assert told == [("at", "float"), *((field.name, field.type) for field in fields(Verdict))]

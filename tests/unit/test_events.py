from __future__ import annotations

import dataclasses
from typing import Any

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


class Clock:
    """Stands in for the module `time`: it goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 50.0

    def monotonic(self) -> float:
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(events, "time", made)
    return made


def test_what_is_over_in_a_moment_is_not_told(clock: Clock) -> None:
    told: list[Any] = []
    pace = events.Pace(told.append, "a", "copying", 4 << 20)
    for _ in range(4):
        clock.now += 0.04
        pace.add(1 << 20)
    pace.end()
    assert told == []


def test_what_takes_longer_is_told_ten_times_a_second_and_at_its_end(clock: Clock) -> None:
    told: list[Any] = []
    asked: list[int] = []
    pace = events.Pace(told.append, "a", "copying", lambda: asked.append(1) or 300_000_000)
    for _ in range(300):
        clock.now += 0.01
        pace.add(1_000_000)
    pace.end()
    done = [event.done for event in told]
    assert done == sorted(done) and done[-1] == told[-1].total == 300_000_000
    assert told[0].at == pytest.approx(50.2, abs=0.02) and 25 <= len(told) <= 30
    assert {(event.step, event.label, event.total) for event in told} == {("a", "copying", 300_000_000)}
    assert asked == [1]


def test_small_files_are_counted_without_a_look_at_the_clock(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    looks: list[float] = []
    pace = events.Pace(told.append, "a", "copying")
    monkeypatch.setattr(Clock, "monotonic", lambda self: looks.append(self.now) or self.now)
    clock.now += 1.0
    for _ in range(10_000):
        pace.add(1000)
    pace.end()
    assert len(looks) < 50
    # How much there is nobody knew, until it was all there.
    assert [(event.done, event.total) for event in told] == [(1000, 0), (10_000_000, 10_000_000)]


def test_a_download_is_told_at_once_and_may_begin_anew(clock: Clock) -> None:
    told: list[Any] = []
    pace = events.Pace(told.append, "a", "sha256:a", at_once=True)
    for done in (10, 20, 5):
        pace.reach(done, 20)
        clock.now += 0.1
    assert [event.done for event in told] == [10, 20, 5]

from __future__ import annotations

from jettison.events import (
    BuildStarted,
    Exported,
    StepFinished,
    StepOutput,
    StepProgress,
    StepRetried,
    StepStarted,
)
from jettison.progress.live import Live, Running


def test_a_build_is_counted_stage_by_stage() -> None:
    live = Live()
    for event in (
        BuildStarted(10.0, ("final",), 6, ()),
        StepFinished(10.0, "x", "[a 1/3] FROM x", "a", True, 0.0, size=5),
        StepStarted(11.0, "y", "[a 2/3] RUN y", "a", None),
        StepStarted(12.0, "z", "[b 1/1] RUN z", "b", None),
        StepFinished(13.0, "y", "[a 2/3] RUN y", "a", False, 2.0, size=7),
        StepStarted(13.0, "w", "[a 3/3] RUN w", "a", None),
    ):
        live.take(event)
    assert (live.began, live.steps, live.done, live.cached, live.running, live.waiting) == (
        10.0,
        6,
        2,
        1,
        2,
        2,
    )
    # A stage keeps its place while its steps follow each other.
    assert [[step.name for step in stage.running.values()] for stage in live.working] == [
        ["[a 3/3] RUN w"],
        ["[b 1/1] RUN z"],
    ]
    assert live.working[0].size == 12


def test_the_last_lines_of_a_failed_step_are_kept_and_not_those_of_a_cancelled_one() -> None:
    live = Live()
    for step in "ab":
        live.take(StepStarted(1.0, step, "RUN", "s", None))
        live.take(StepOutput(1.0, step, 1, b"1\n2\n\n3\n4\n"))
    live.take(StepFinished(2.0, "a", "RUN", "s", False, 1.0, "exit code: 1"))
    live.take(StepFinished(2.0, "b", "RUN", "s", False, 1.0, "cancelled", cancelled=True))
    assert live.failed == {"a": ["2", "3", "4"]} and live.running == 0 and live.done == 0
    assert live.failures == 1


def lines(*pieces: bytes, stream: int = 1) -> list[str]:
    step = Running("RUN", 0.0)
    for piece in pieces:
        step.wrote(stream, piece)
    return step.lines(3)


def test_of_a_progress_bar_its_last_state_is_shown() -> None:
    assert lines(b"10%\r20%\r", b"30%\r") == ["30%"]
    assert lines(b"\r10%", b"\r99%\x1b[K\nnext") == ["99%", "next"]


def test_letters_may_come_in_pieces() -> None:
    assert lines("日".encode()[:2], "日".encode()[2:] + b"\xff!") == ["日\ufffd!"]


def test_of_long_output_only_the_end_is_kept() -> None:
    step = Running("RUN", 0.0)
    for n in range(10_000):
        step.wrote(1, b"line %d\n" % n)
    assert step.lines(2) == ["line 9998", "line 9999"]
    step.wrote(1, b"x" * 1_000_000)
    assert step.lines(3) == ["x" * 4096]
    # What is left of a line that was cut is none.
    step.wrote(1, b"x" * 3000 + b"\nwhole\n")
    assert step.lines(3) == ["whole"]


def test_a_line_of_one_stream_does_not_go_on_in_the_other() -> None:
    step = Running("RUN", 0.0)
    step.wrote(1, b"out")
    step.wrote(2, b"err\n")
    step.wrote(1, b"more")
    assert step.lines(3) == ["out", "err", "more"]


def test_a_line_stands_between_two_tries() -> None:
    live = Live()
    live.take(StepStarted(0.0, "f", "RUN x", "s", None))
    live.take(StepOutput(1.0, "f", 1, b"one"))
    live.take(StepRetried(2.0, "f", "RUN x", "s", "it failed", 1, 2, 3))
    live.take(StepOutput(3.0, "f", 1, b"two"))
    assert live.working[0].running["f"].lines(3) == ["one", "try 2 of 2, after exit code 3", "two"]


def test_what_a_step_fetches_is_one_transfer_with_a_rate() -> None:
    live = Live()
    live.take(StepStarted(0.0, "f", "FROM x", "s", None))
    for second in range(1, 11):
        live.take(StepProgress(float(second), "f", "sha256:a", second * 100, 1000))
        live.take(StepProgress(float(second), "f", "sha256:b", second * 10, 100))
    transfer = live.working[0].running["f"].transfer
    assert transfer is not None and transfer.over
    assert (transfer.done, transfer.total, transfer.parts) == (1100, 1100, 2)
    assert 100 <= transfer.rate(10.0) <= 120
    # Somebody does not know how much it is: nobody does.
    live.take(StepProgress(11.0, "f", "sha256:c", 5, 0))
    assert (transfer.done, transfer.total, transfer.over) == (1105, 0, False)


def test_a_push_is_no_step_and_is_over_with_its_export() -> None:
    live = Live()
    live.take(StepProgress(1.0, "push", "pushing a", 1, 10))
    assert list(live.transfers) == ["pushing a"] and live.running == 0
    live.take(Exported(2.0, "final", "registry", "a", "sha256:0", 10))
    assert live.transfers == {}


def test_what_is_written_goes_when_all_of_it_is_there() -> None:
    live = Live()
    live.take(StepProgress(1.0, "read", "[a 1/1] reading for COPY . /", 5, 0))
    live.take(StepProgress(1.0, "export", "writing a.tar", 5, 10))
    assert list(live.transfers) == ["[a 1/1] reading for COPY . /", "writing a.tar"]
    live.take(StepProgress(2.0, "read", "[a 1/1] reading for COPY . /", 7, 7))
    live.take(StepProgress(2.0, "export", "writing a.tar", 10, 10))
    assert live.transfers == {}

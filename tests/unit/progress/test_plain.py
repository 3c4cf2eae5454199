from __future__ import annotations

import io
import sys

import pytest

from jettison.errors import UsageError
from jettison.events import (
    BaseResolved,
    BuildFinished,
    BuildStarted,
    ContextFetched,
    Event,
    Exported,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from jettison.location import Location
from jettison.progress import MODES, choose
from jettison.progress.lines import LineBuffer, duration, size_text
from jettison.progress.plain import Plain


def shown(*events: Event) -> list[str]:
    out = io.StringIO()
    display = Plain(out)
    for event in events:
        display.emit(event)
    display.close()
    return out.getvalue().splitlines()


def test_a_build_from_start_to_end() -> None:
    make = "[builder 2/2] RUN make"
    assert shown(
        BuildStarted(100.0, ("final",), 3, ("tester", "docs")),
        BaseResolved(100.0, "docker.io/library/alpine:3", "sha256:aa", "local store"),
        StepFinished(100.1, "c", "[builder 1/2] WORKDIR /src", "builder", True, 0.0),
        StepStarted(100.2, "a", make, "builder", Location("Dockerfile", 3, 3)),
        StepOutput(100.5, "a", 1, b"one\ntw"),
        StepOutput(100.6, "a", 1, b"o\n"),
        StepFinished(101.4, "a", make, "builder", False, 1.2),
        Exported(101.5, "final", "oci", "out.tar", "sha256:bb", 12_300_000),
        BuildFinished(101.6, 1.6, 1, 1),
    ) == [
        "building final: 3 steps",
        "not needed by final: tester, docs",
        "base docker.io/library/alpine:3 from local store sha256:aa",
        "#1 [builder 1/2] WORKDIR /src",
        "#1 CACHED",
        "",
        "#2 [builder 2/2] RUN make",
        "#2 0.300 one",
        "#2 0.400 two",
        "#2 DONE 1.2s",
        "",
        "exported final as oci to out.tar sha256:bb (12.3 MB)",
        "FINISHED in 1.6s: 1 run, 1 cached",
    ]


def test_a_stage_that_is_skipped_never_looks_like_a_step() -> None:
    assert not any("[tester " in line for line in shown(BuildStarted(1.0, ("a",), 1, ("tester",))))


def test_output_of_steps_side_by_side_is_kept_apart() -> None:
    lines = shown(
        StepStarted(1.0, "a", "[a 1/1] RUN a", "a", None),
        StepStarted(1.0, "b", "[b 1/1] RUN b", "b", None),
        StepOutput(2.0, "a", 1, b"from "),
        StepOutput(2.0, "b", 1, b"second\n"),
        StepOutput(2.0, "a", 2, b"error\n"),
        StepOutput(3.0, "a", 1, b"first"),
        StepFinished(3.0, "a", "[a 1/1] RUN a", "a", False, 2.0),
    )
    assert lines == [
        "#1 [a 1/1] RUN a",
        "#2 [b 1/1] RUN b",
        "#2 1.000 second",
        "#1 1.000 error",
        "#1 2.000 from first",
        "#1 DONE 2.0s",
        "",
    ]


def test_an_error_and_the_last_line_without_an_end() -> None:
    lines = shown(
        StepStarted(1.0, "a", "[a 1/1] RUN a", "a", None),
        StepOutput(1.5, "a", 2, b"\xff broken"),
        StepFinished(2.0, "a", "[a 1/1] RUN a", "a", False, 1.0, "[a 1/1] RUN a: exit code: 3"),
    )
    assert lines == ["#1 [a 1/1] RUN a", "#1 1.000 � broken", "#1 ERROR: exit code: 3", ""]


def test_warnings_have_their_place() -> None:
    warned = Warned(1.0, "no such argument", Location("Dockerfile", 4, 4), "UndefinedVar")
    assert shown(warned) == ["WARNING: Dockerfile:4: no such argument (UndefinedVar)"]


def test_a_download_does_not_fill_the_log() -> None:
    events: list[Event] = [StepStarted(0.0, "a", "FROM x", "", None)]
    events += [StepProgress(n / 100, "a", "layer", n * 1000, 1_000_000) for n in range(1001)]
    lines = shown(*events)
    assert lines[-1] == "#1 layer 1.0 MB / 1.0 MB"
    assert len(lines) < 10


def test_lines_are_cut_wherever_the_pieces_end() -> None:
    data = "grüße\nzwei\r\n10%\r100%\nrest".encode()
    for size in range(1, len(data)):
        buffer = LineBuffer()
        lines = [line for at in range(0, len(data), size) for line in buffer.feed(data[at : at + size])]
        assert [*lines, *buffer.flush()] == ["grüße", "zwei", "100%", "rest"]


def test_a_line_without_end_does_not_eat_memory() -> None:
    buffer = LineBuffer()
    lines = [line for _ in range(100) for line in buffer.feed(b"x" * 10_000)]
    assert sum(map(len, [*lines, *buffer.flush()])) == 1_000_000
    for _ in range(100):
        assert buffer.feed(b"\r" + b"y" * 10_000) == []
    assert buffer.flush() == ["y" * 10_000]


def test_numbers_for_people() -> None:
    assert [size_text(n) for n in (0, 999, 1000, 999_949, 999_950, 1_500_000_000)] == [
        "0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "1.5 GB",
    ]  # fmt: skip
    assert [duration(n) for n in (0.04, 59.94, 61.5, 3600)] == ["0.0s", "59.9s", "1m01s", "60m00s"]


def test_every_mode_gives_a_display_and_a_wrong_one_the_nearest() -> None:
    for mode in MODES:
        choose(mode, io.StringIO(), io.StringIO(), {}).close()
    with pytest.raises(UsageError) as caught:
        choose("jsno", sys.stderr, sys.stdout, {})
    assert "jsonl" in (caught.value.hint or "")


def test_where_a_context_came_from() -> None:
    assert shown(
        ContextFetched(100.0, "", "https://host/x.git#main:web", "c0ffee"),
        ContextFetched(100.0, "lib", "http://host/lib.tar", "sha256:aa", 12_300_000),
        ContextFetched(100.0, "", "context.tar", ""),
    ) == [
        "context from https://host/x.git#main:web at commit c0ffee",
        "context lib from http://host/lib.tar sha256:aa (12.3 MB)",
        "context from context.tar",
    ]


@pytest.mark.parametrize(
    ("step", "label"), [("a", "copying"), ("read", "reading for x"), ("export", "writing x")]
)
def test_a_copy_and_an_export_have_a_line_every_two_seconds_and_none_at_their_end(
    step: str, label: str
) -> None:
    def told(ends: int) -> list[str]:
        events: list[Event] = [StepStarted(100.0, "a", "COPY", "", None)]
        events += [StepProgress(100 + n / 10, step, label, n * 1_000_000, 70_000_000) for n in range(1, ends)]
        return shown(*events, StepProgress(100 + ends / 10, step, label, 70_000_000, 70_000_000))[1:]

    number = "#1 " if step == "a" else ""
    assert told(15) == []
    assert [line.removeprefix(number) for line in told(70)] == [
        f"{label} {done}.0 MB / 70.0 MB" for done in ((20, 40, 60) if step == "a" else (21, 41, 61))
    ]


def test_what_is_no_step_takes_no_number() -> None:
    lines = shown(
        StepProgress(101.0, "context", "context https://a.test/x", 10, 20),
        StepStarted(102.0, "a", "COPY", "", None),
        StepProgress(103.0, "push", "pushing b", 10, 20),
        StepProgress(105.0, "push", "pushing b", 11, 20),
    )
    assert lines == ["context https://a.test/x 10 B / 20 B", "#1 COPY", "pushing b 11 B / 20 B"]

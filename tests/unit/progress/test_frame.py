from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from jettison.events import BuildStarted, Event, StepFinished, StepOutput, StepProgress, StepStarted
from jettison.progress.cells import width
from jettison.progress.frame import clock, frame
from jettison.progress.lines import Look
from jettison.progress.live import Live

PLAIN, ASCII = Look(colour=False), Look(colour=False, signs=False)


def live(*events: Event) -> Live:
    made = Live()
    for event in events:
        made.take(event)
    return made


def busy(stages: int, output: bytes = b"1\n2\n3\n4\n") -> Live:
    """A build with a step at work in each of so many stages."""
    made = live(BuildStarted(0.0, ("final",), 300, ()))
    for n in range(stages):
        made.take(StepStarted(0.0, str(n), f"[stage{n} 2/7] RUN make", f"stage{n}", None))
        made.take(StepOutput(0.0, str(n), 1, output))
    return made


def test_a_block_for_each_stage_at_work_and_the_build_below_them() -> None:
    build = live(
        BuildStarted(0.0, ("final",), 12, ()),
        StepFinished(1.0, "f", "[go 1/3] FROM go", "go", True, 0.0, size=2_000_000),
        StepStarted(1.0, "m", "[go 2/3] RUN make", "go", None),
        StepOutput(1.5, "m", 1, b"cc a.c\ncc \x1b[31mb.c\x1b[0m\n"),
        StepStarted(2.0, "n", "[web 1/9] FROM node", "web", None),
        StepProgress(2.0, "n", "sha256:a", 0, 40_000_000),
        StepProgress(4.0, "n", "sha256:a", 10_000_000, 40_000_000),
    )
    assert frame(build, 72, 24, 4.0, PLAIN) == [
        "▸ go 2/3   RUN make                                          2.0 MB  3s",
        "  │ cc a.c",
        "  │ cc b.c",
        "▸ web 1/9  FROM node                                                 2s",
        "  ━━━━━───────────────  25%  10.0 MB / 40.0 MB  5.0 MB/s  6s left",
        "━─────────────────── 4s · 1/12 steps · 2 running · 9 waiting · 1 cached",
    ]


def test_nothing_but_ascii_where_the_terminal_has_nothing_else() -> None:
    lines = frame(busy(30, "日本語\n".encode()), 80, 12, 1.0, ASCII)
    assert "".join(lines).isascii()
    assert lines[0].startswith("> stage0 2/7  RUN make") and "~  +24 more steps running" not in lines


def test_what_does_not_fit_is_counted() -> None:
    lines = frame(busy(40), 80, 24, 1.0, PLAIN)
    assert len(lines) == 16 and lines[-2] == "  +26 more steps running"
    assert sum(line.startswith("▸") for line in lines) == 14


def test_the_rows_that_are_left_are_shared() -> None:
    lines = frame(busy(5), 80, 24, 1.0, PLAIN)
    folded = [line for line in lines if line.startswith("  │")]
    assert len(lines) == 16 and len(folded) == 10
    # Each step has its newest lines, in their order.
    assert folded == ["  │ 3", "  │ 4"] * 5


def test_when_all_steps_are_done_the_result_is_written() -> None:
    build = live(BuildStarted(0.0, ("f",), 1, ()), StepFinished(0.0, "a", "RUN", "f", False, 1.0))
    assert frame(build, 80, 24, 65.0, PLAIN) == ["━" * 20 + " 1m05s · 1/1 steps · writing the result"]


def test_the_build_says_that_something_failed_while_the_rest_goes_on() -> None:
    build = busy(2)
    build.take(StepFinished(1.0, "0", "RUN make", "stage0", False, 1.0, "exit code: 1"))
    assert frame(build, 80, 24, 1.0, PLAIN)[-1].endswith(
        " 1s · 0/300 steps · 1 failed · 1 running · 298 waiting"
    )


def test_an_image_that_is_pushed_has_a_block_of_its_own() -> None:
    build = live(
        StepProgress(0.0, "push", "pushing r/a", 0, 100), StepProgress(1.0, "push", "pushing r/a", 50, 100)
    )
    assert frame(build, 80, 24, 1.0, PLAIN) == [
        "▸ pushing r/a",
        "  ━━━━━━━━━━──────────  50%  50 B / 100 B  50 B/s  1s left",
        "1s",
    ]


def test_what_is_done_for_a_step_stands_in_line_with_others_and_what_is_no_step_does_not() -> None:
    build = live(
        StepStarted(0.0, "a", "[a 3/3] RUN a", "a", None),
        StepProgress(0.0, "pack", "[final 2/3] packing RUN make", 50, 100),
        StepProgress(0.0, "export", "writing [a] b.tar", 50, 0),
    )
    assert frame(build, 80, 24, 0.0, PLAIN)[:-1] == [
        "▸ final 2/3  packing RUN make",
        "  ━━━━━━━━━━──────────  50%  50 B / 100 B",
        "▸ writing [a] b.tar",
        "  50 B",
        "▸ a 3/3      RUN a" + " " * 59 + "0s",
    ]


def test_the_smallest_terminals_get_what_fits() -> None:
    build = busy(3)
    build.take(StepProgress(0.0, "0", "sha256:a", 1, 10))
    for columns in range(1, 14):
        for height in range(1, 12):
            lines = frame(build, columns, height, 1.0, PLAIN)
            assert len(lines) < height or (height == 1 and not lines)
            assert all(width(line) < columns for line in lines), (columns, lines)
    assert frame(build, 12, 2, 1.0, PLAIN) == ["1s · 0/300…"]


def test_times_are_whole_seconds() -> None:
    assert [clock(n) for n in (-1, 0.9, 59.9, 60, 3599, 3600, 90_000)] == [
        *("0s", "0s", "59s", "1m00s", "59m59s", "1h00m", "25h00m"),
    ]


at = st.floats(0, 1e5)
steps = st.sampled_from("abcdefghijklmnop")
short, names = st.text(max_size=5), st.text(max_size=300).map(lambda text: f"[{text[:20]} 1/2] {text}")
sizes = st.integers(0, 10**15)
events = st.one_of(
    st.builds(StepStarted, at, steps, names, short, st.none()),
    st.builds(StepOutput, at, steps, st.integers(1, 2), st.binary()),
    st.builds(StepProgress, at, st.one_of(steps, st.just("push")), st.text(), sizes, sizes),
    st.builds(StepFinished, at, steps, names, short, st.booleans(), st.floats(0, 9)),
    st.builds(BuildStarted, at, st.just(("t",)), st.integers(0, 500), st.just(())),
)


@given(
    st.lists(events, max_size=40),
    st.tuples(st.integers(1, 130), st.integers(1, 60)),
    st.floats(0, 2e5),
    st.builds(Look, st.booleans(), st.booleans()),
)
def test_a_frame_is_never_wider_nor_higher_than_the_terminal(
    happened: list[Event], size: tuple[int, int], now: float, look: Look
) -> None:
    columns, height = size
    lines = frame(live(*happened), columns, height, now, look)
    assert len(lines) < height or (not lines and height == 1)
    for line in lines:
        text = re.sub(r"\x1b\[[\d;]*m", "", line)
        assert text.isprintable() and width(text) < columns, (text, columns)
        assert look.colour or text == line
        assert look.signs or text.isascii()

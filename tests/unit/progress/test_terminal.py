from __future__ import annotations

import io
import re

import pytest

from jettison.errors import UsageError
from jettison.events import (
    BaseResolved,
    BuildFinished,
    BuildStarted,
    Event,
    Exported,
    StepFinished,
    StepOutput,
    StepRetried,
    StepStarted,
    Warned,
)
from jettison.progress import choose
from jettison.progress.lines import Look
from jettison.progress.terminal import Terminal
from tests.screens import Memory


def written(*events: Event, look: Look = Look(colour=False)) -> str:  # noqa: B008
    out = io.StringIO()
    display = Terminal(out, look)
    for event in events:
        display.emit(event)
    display.close()
    return out.getvalue()


def shown(*events: Event) -> list[str]:
    """What stays on the terminal when the build is over."""
    terminal = Memory(80)
    terminal.write(written(*events))
    assert not any(terminal.rows[terminal.row :])
    return terminal.rows[: terminal.row]


def cached(count: int, stage: str) -> list[Event]:
    return [
        StepFinished(1.0, f"{stage}{n}", f"[{stage} {n}/{count}] RUN {n}", stage, True, 0.0)
        for n in range(1, count + 1)
    ]


STARTED = BuildStarted(1.0, ("final",), 3, ("tester",))
CACHED = (STARTED, *cached(2, "go"), *cached(1, "final"), BuildFinished(1.1, 0.1, 0, 3))


def test_a_build_from_the_cache_is_a_few_lines_and_nothing_is_drawn() -> None:
    assert written(*CACHED).splitlines() == [
        "building final: 3 steps",
        "not needed by final: tester",
        "✓ 3 steps cached  go 2, final 1",
        "FINISHED in 0.1s: 0 run, 3 cached",
    ]


def test_colours_only_when_wanted() -> None:
    assert "\x1b" not in written(*CACHED)
    assert "\x1b[36m" in written(*CACHED, look=Look())
    assert written(*CACHED, look=Look(colour=False, signs=False)).isascii()


def test_a_single_cached_step_has_its_name() -> None:
    assert shown(*cached(1, "go")) == ["✓ [go 1/1] RUN 1  cached"]


def test_cached_steps_are_told_of_before_what_comes_next_and_at_the_end() -> None:
    warned = Warned(1.0, "mind this")
    assert shown(*cached(2, "a"), warned, *cached(3, "b")) == [
        "✓ 2 steps cached  a 2",
        "WARNING: mind this",
        "✓ 3 steps cached  b 3",
    ]


def test_a_step_that_ran_is_one_line_however_long_it_is() -> None:
    name = f"[go 2/2] RUN {'make ' * 40}"
    lines = shown(
        STARTED,
        StepStarted(1.0, "a", name, "go", None),
        StepFinished(2.0, "a", name, "go", False, 1.0, size=34_000_000),
    )
    assert lines[2:] == [f"✓ {name[:61]}…  1.0s  34.0 MB"] and len(lines[2]) == 79


def test_a_failed_step_stays_with_its_last_lines() -> None:
    lines = shown(
        StepStarted(0.0, "a", "[b 1/2] RUN make", "b", None),
        StepStarted(0.0, "c", "[c 1/1] RUN cc", "c", None),
        StepOutput(0.1, "a", 1, b"first\nse\x1b[31mcond\x1b[2J\nthird\nfourth"),
        StepFinished(
            1.0, "a", "[b 1/2] RUN make", "b", False, 1.0,
            '[b 1/2] RUN make: process "/bin/sh -c make" did not complete: exit code: 2',
        ),
        StepFinished(1.0, "c", "[c 1/1] RUN cc", "c", False, 1.0, "cancelled", cancelled=True),
    )  # fmt: skip
    assert lines == [
        "✗ [b 1/2] RUN make  1.0s  exit code: 2",
        "  │ second",
        "  │ third",
        "  │ fourth",
        "– [c 1/1] RUN cc  stopped",
    ]


def test_a_retry_is_a_line_and_the_step_goes_on() -> None:
    lines = shown(
        StepStarted(0.0, "a", "[b 1/2] RUN make", "b", None),
        StepRetried(1.0, "a", "[b 1/2] RUN make", "b", "exit code: 2", 1),
        StepFinished(2.0, "a", "[b 1/2] RUN make", "b", False, 2.0),
    )
    assert lines == ["↻ [b 1/2] RUN make  FAILED: exit code: 2; 1 try left", "✓ [b 1/2] RUN make  2.0s"]


def test_no_text_of_a_dockerfile_or_a_server_moves_the_cursor() -> None:
    evil = "\x1b[2J\x1b[H\x1b]0;title\x07\r\n\x9b1A"
    text = written(
        BuildStarted(1.0, (f"a{evil}",), 3, (evil,)),
        BaseResolved(1.0, evil, "", evil),
        StepStarted(1.0, "a", f"[a 1/1] RUN {evil}", evil, None),
        StepRetried(1.0, "a", f"RUN {evil}", evil, evil, 1),
        StepFinished(2.0, "a", f"RUN {evil}", evil, False, 1.0, f"bad {evil}"),
        *cached(2, evil),
        Warned(2.0, evil),
        Exported(2.0, evil, "image", evil, "", 0),
        BuildFinished(3.0, 1.0, 0, 0, evil),
    )
    assert not re.search(r"\x1b\[2J|\x1b\[H|\x1b\]|\x9b|\x07", text)
    Memory(80).write(text)


class Stream(io.StringIO):
    """A stream that says what it is."""

    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "environment", "kind"),
    [
        (True, {"TERM": "xterm"}, "Terminal"),
        (True, {"TERM": "xterm", "CI": "false"}, "Terminal"),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, "Terminal"),
        (True, {"TERM": "xterm", "CI": "true"}, "Plain"),
        (True, {"TERM": "dumb"}, "Plain"),
        (True, {}, "Plain"),
        (False, {"TERM": "xterm"}, "Plain"),
    ],
)
def test_lines_that_stay_where_nothing_can_be_redrawn(
    terminal: bool, environment: dict[str, str], kind: str
) -> None:
    stream = Stream(terminal)
    display = choose("auto", stream, stream, environment)
    assert type(display).__name__ == kind
    if kind == "Terminal":
        display.emit(STARTED)
        assert ("\x1b" in stream.getvalue()) != ("NO_COLOR" in environment)


def test_an_unknown_mode_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="fancy"):
        choose("fancy", io.StringIO(), io.StringIO(), {})

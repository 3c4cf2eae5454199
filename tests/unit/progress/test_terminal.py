from __future__ import annotations

import io
import re

from jettison.events import (
    BuildFinished,
    BuildStarted,
    Event,
    StepFinished,
    StepOutput,
    StepStarted,
)
from jettison.progress.terminal import Terminal


def shown(*events: Event, colour: bool = False) -> str:
    out = io.StringIO()
    display = Terminal(out, colour)
    for event in events:
        display.emit(event)
    display.close()
    return out.getvalue()


CACHED = (
    BuildStarted(1.0, ("final",), 1, ("tester",)),
    StepFinished(1.0, "a", "[final 1/1] RUN make", "final", True, 0.0),
    BuildFinished(1.1, 0.1, 0, 1),
)


def test_a_build_from_the_cache_draws_nothing_and_starts_no_thread() -> None:
    out = io.StringIO()
    display = Terminal(out, colour=False)
    for event in CACHED:
        display.emit(event)
    assert display._thread is None
    assert out.getvalue().splitlines() == [
        "building final: 1 step",
        "not needed by final: tester",
        "✓ [final 1/1] RUN make  CACHED",
        "FINISHED in 0.1s: 0 run, 1 cached",
    ]


def test_colours_only_when_wanted() -> None:
    assert "\x1b" not in shown(*CACHED)
    assert "\x1b[36m" in shown(*CACHED, colour=True)


def test_running_steps_are_drawn_with_their_last_line_and_erased_again() -> None:
    out = io.StringIO()
    display = Terminal(out, colour=False)
    display.emit(StepStarted(0.0, "a", "[b 1/1] RUN make", "b", None))
    display.emit(StepOutput(0.1, "a", 1, b"first\nse\x1b[31mcond\x1b[2J"))
    picture = display._picture()
    assert picture.splitlines()[0].startswith("▸ [b 1/1] RUN make")
    assert picture.splitlines()[1] == "  second"
    erased = display._erase()
    assert erased == "\x1b[2A\r\x1b[J"
    display.emit(StepFinished(1.0, "a", "[b 1/1] RUN make", "b", False, 1.0))
    display.close()
    assert display._picture() == ""
    assert "✓ [b 1/1] RUN make  1.0s\n" in re.sub(r"\x1b\[[0-9]*[A-Z]", "", out.getvalue())


def test_many_steps_fit_the_screen() -> None:
    display = Terminal(io.StringIO(), colour=False)
    for n in range(50):
        display.emit(StepStarted(0.0, str(n), "[s] RUN " + "x" * 300, "s", None))
    lines = display._picture().splitlines()
    display.close()
    assert len(lines) <= 12 and lines[-1] == "  … 50 steps at work"
    assert max(map(len, lines)) <= 80


def screen(text: str) -> list[str]:
    """What a terminal shows after this output: lines, cursor up, and erasing below it."""
    lines = [""]
    row = 0
    for part in re.findall(r"\x1b\[\d+A|\x1b\[J|\r|\n|[^\x1b\r\n]+", text):
        if part.endswith("A") and part.startswith("\x1b"):
            row -= int(part[2:-1])
        elif part == "\x1b[J":
            lines[row:] = [""]
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part != "\r":
            lines[row] = part
    return [line for line in lines if line]


def test_a_step_that_ends_beside_others_leaves_none_of_their_lines_behind() -> None:
    out = io.StringIO()
    display = Terminal(out, colour=False)
    for n in range(3):
        display.emit(StepStarted(0.0, str(n), f"[s{n} 1/1] RUN", f"s{n}", None))
    drawn = display._erase() + display._picture()
    out.write(drawn)
    for n in range(3):
        display.emit(StepFinished(1.0, str(n), f"[s{n} 1/1] RUN", f"s{n}", False, 1.0))
    display.close()
    assert screen(out.getvalue()) == [f"✓ [s{n} 1/1] RUN  1.0s" for n in range(3)]

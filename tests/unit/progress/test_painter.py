from __future__ import annotations

import io
import os
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from jettison.events import BuildStarted, StepFinished, StepOutput, StepStarted
from jettison.progress.lines import Look
from jettison.progress.painter import Painter, Screen
from tests.screens import Memory

SIZE = (20, 10)
lines = st.lists(st.text("ab日", max_size=9), max_size=6)
kept = st.lists(st.text("xy語", max_size=50), max_size=3)


def broken(line: str, columns: int) -> list[str]:
    """The rows of a line in a terminal."""
    terminal = Memory(columns)
    terminal.write(line)
    return terminal.rows


@given(st.lists(st.tuples(lines, kept), max_size=8))
def test_a_terminal_shows_what_stays_and_the_last_frame_whatever_was_before(
    frames: list[tuple[list[str], list[str]]],
) -> None:
    screen, terminal = Screen(), Memory(SIZE[0])
    stayed: list[str] = []
    for frame, above in frames:
        terminal.write(screen.paint(frame, above, SIZE))
        stayed += [row for line in above for row in broken(line, SIZE[0])]
        assert terminal.rows[: terminal.row + 1] == [*stayed, *frame, ""]
        assert not any(terminal.rows[terminal.row :])
        assert terminal.modes == {"7": "h", "2026": "l"}


def test_only_rows_that_changed_are_written() -> None:
    screen = Screen()
    screen.paint(["one", "two", "three"], [], SIZE)
    assert screen.paint(["one", "two", "three"], [], SIZE) == ""
    written = screen.paint(["one", "2", "three"], [], SIZE)
    assert "2" in written and "one" not in written and "three" not in written
    assert written.startswith("\x1b[?2026h") and written.endswith("\x1b[?2026l")


def test_after_a_resize_all_rows_are_erased_that_the_old_frame_takes_now() -> None:
    old = ["x" * 19, "y"]
    for reflows, narrow, up in ((True, 10, 3), (True, 40, 2), (False, 10, 2)):
        screen = Screen(reflows)
        screen.paint(old, [], (20, 24))
        assert f"\x1b[{up}A\r\x1b[2K" in screen.paint(["z"], [], (narrow, 24))
    screen = Screen()
    screen.paint(["x"] * 9, [], (20, 24))
    assert "\x1b[3A" in screen.paint(["x"] * 3, [], (20, 4))


class Slow(io.StringIO):
    """A terminal that was stopped (Ctrl-S): whoever writes waits."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.reached = threading.Event()

    def take(self, text: str) -> None:
        self.reached.set()
        assert self.go.wait(60)
        self.write(text)


def test_a_terminal_that_takes_nothing_holds_no_build_up() -> None:
    slow = Slow()
    painter = Painter(slow.take, lambda: (80, 24), Look(colour=False), reflows=True)
    painter.take(StepStarted(0.0, "a", "[a 1/1] RUN make", "a", None), lambda live: [])
    assert slow.reached.wait(60)
    for _ in range(1000):
        painter.take(StepOutput(0.0, "a", 1, b"x\n"), lambda live: ["stays"])
    slow.go.set()
    painter.close(["last"])
    terminal = Memory(80)
    terminal.write(slow.getvalue())
    assert terminal.rows[:1002] == [*["stays"] * 1000, "last", ""]


def cpu_of(thread: threading.Thread) -> float:
    """Seconds of a core that a thread has used."""
    with open(f"/proc/self/task/{thread.native_id}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def test_many_stages_with_lots_of_output_take_less_than_two_percent_of_a_core() -> None:
    """Sixteen stages side by side, five steps a second in each, and 50 MB of output a second: two seconds."""
    written = 0

    def write(text: str) -> None:
        nonlocal written
        written += len(text)
        os.write(null, text.encode())

    null = os.open(os.devnull, os.O_WRONLY)
    painter = Painter(write, lambda: (200, 50), Look(), reflows=True)
    painter.take(BuildStarted(time.time(), ("final",), 300, ()), lambda live: [])
    data = b"".join(b"\x1b[32mcompiling\x1b[0m part %d of a long list\n" % n for n in range(1500))
    began = time.monotonic()
    taking = time.thread_time()
    for n in range(100):
        at = time.time()
        for stage in range(16):
            step = f"{stage} {n // 10}"
            if n % 10 == 0:
                name = f"[stage{stage} {n // 10}/10] RUN make {'x' * 100}"
                painter.take(StepStarted(at, step, name, f"stage{stage}", None), lambda live: [])
            painter.take(StepOutput(at, step, 1, data), lambda live: [])
            if n % 10 == 9:
                done = StepFinished(at, step, name, f"stage{stage}", False, 0.2)
                painter.take(done, lambda live: ["a line that stays " * 5])
        threading.Event().wait(max(began + (n + 1) * 0.02 - time.monotonic(), 0))
    seconds = time.monotonic() - began
    used = cpu_of(painter._thread)
    taking = time.thread_time() - taking
    painter.close([])
    os.close(null)
    print(
        f"drawing {used / seconds:.2%}, noting {taking / seconds:.2%} of a core; {written / seconds:.0f} B/s"
    )
    assert written > 10_000
    assert used / seconds < 0.02
    assert taking < 0.2 * seconds

"""A row about the live view: what it takes of a core while a build goes on."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time

from bench.builder import TIMEOUT, Builder, Job
from bench.image import Facts
from bench.jettison import Jettison
from bench.row import Row, Shop, folder

_ROWS, _COLUMNS = 50, 200
_EVERY = 0.02
"""Seconds between two lines of a step."""


def live(shop: Shop) -> Row:
    """Stages side by side that all write line after line, in a terminal and without one."""
    count, each = shop.scale.stages, shop.scale.seconds
    lines = int(each / _EVERY)
    step = f"for i in $(seq {lines}); do echo step $i of {lines}, at $(($i * 7)); sleep {_EVERY}; done"
    text = []
    for number in range(count):
        text += [f"FROM busybox AS s{number}", f"RUN {step}", f"RUN {step}; echo {number} >/result"]
    text += ["FROM scratch"] + [f"COPY --from=s{number} /result /{number}" for number in range(count)]
    context = folder(shop.work / "live", "\n".join(text) + "\n")
    job = Job(context, bases=(shop.base,), no_cache=True, jobs=count)

    def measure(builder: Builder) -> float:
        assert isinstance(builder, Jettison)
        words = builder.words(job)
        quiet, _ = cpu_in_a_terminal([*words, "--progress", "quiet"])
        shown, wall = cpu_in_a_terminal([*words, "--progress", "tty"])
        return (shown - quiet) / wall * 100

    return Row(
        "live", f"share of a core that the live view takes: {count} stages with some 50 lines a second each",
        2, shop.scale.rounds + 2, measure, lambda b: b.load(shop.base),
        facts=lambda b: b.facts(job, ""),
        expect=Facts(layers=count, files=count, content=2 * count),
        unit="%", absolute=True, only=("jettison",),
    )  # fmt: skip


def cpu_in_a_terminal(words: list[object]) -> tuple[float, float]:
    """Seconds of a core that a command took by itself, without the processes that it started, and its time.

    Raises RuntimeError when it fails.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in words],
        stdin=slave, stdout=slave, stderr=slave,
        env={**clean, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    os.close(slave)
    shown = Shown(master)
    ended = threading.Timer(TIMEOUT, process.kill)
    ended.start()
    # While nobody has asked for its status, the kernel still knows what it took.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.perf_counter() - began
    cpu = time.clock_gettime(clock_of(process.pid))
    ended.cancel()
    status, said = process.wait(), shown.end()
    if status:
        raise RuntimeError(f"{words[0]} ended with {status}: {said.decode(errors='replace')}")
    return cpu, wall


def clock_of(pid: int) -> int:
    """The kernel's number for what a process took of all cores (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


class Shown:
    """Takes what is written to a terminal, and keeps the last of it."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._last = b""
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        try:
            while data := os.read(self._master, 1 << 16):
                self._last = (self._last + data)[-800:]
        except OSError:
            pass  # so a terminal ends whose last user is gone

    def end(self) -> bytes:
        """Wait until nobody has the terminal any more."""
        self._thread.join()
        os.close(self._master)
        return self._last

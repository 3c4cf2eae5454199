"""What a person sees of a build in a real terminal: while it runs, after resizes, failures and Ctrl-C."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Jettison
from tests.screens import Tmux, tmux

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

Project = Callable[..., Path]

WAITING = """\
FROM busybox AS one
RUN --mount=type=cache,id=gate,target=/gate {step}; until [ -e /gate/one ]; do sleep 0.05; done; {end}
FROM busybox AS two
RUN --mount=type=cache,id=gate,target=/gate seq 1 9; until [ -e /gate/two ]; do sleep 0.05; done
FROM busybox AS final
COPY --from=one / /one
COPY --from=two / /two
"""
"""Two stages that wait for files in a folder of the test's."""


class Build:
    """A build in a terminal, whose steps end when they are told to."""

    def __init__(self, terminal: Tmux, jettison: Jettison, gate: Path) -> None:
        self.terminal = terminal
        self.gate = gate
        self.words = (*COMMAND, "build", "--jobs", "4", "--cache-mount", f"id=gate,dir={gate}", "-t", "a:1")

    def start(self, folder: Path, *words: str) -> None:
        self.terminal.type([*self.words, *words, folder])

    def let_go(self, name: str) -> None:
        (self.gate / name).touch()

    def running(self, count: int) -> list[str]:
        """The screen as soon as so many steps are at work, with output below each."""
        return self.terminal.until(
            lambda screen: len(blocks(screen)) == count and "  │ " in "\n".join(screen)
        )


def blocks(screen: list[str]) -> list[str]:
    return [line for line in screen if line.startswith("▸")]


def drawn_for(columns: int, screen: list[str]) -> bool:
    """Whether a frame of two steps is drawn as it should be for a width."""
    found = blocks(screen)
    wide = columns < 30 or max(map(len, found), default=0) == columns - 1
    return len(found) == 2 and wide and "s · 1/5" in screen[-1]


@pytest.fixture
def build(jettison: Jettison, tmp_path: Path) -> Iterator[Build]:
    gate = tmp_path / "gate"
    gate.mkdir()
    with tmux(tmp_path, environment={"JETTISON_ROOT": str(jettison.root)}) as terminal:
        # As is usual, the terminal has been used before: the cursor is in its last row.
        terminal.type(["seq", "100"])
        terminal.over()
        yield Build(terminal, jettison, gate)


def test_stages_are_seen_side_by_side_through_resizes_and_nothing_of_them_stays(
    build: Build, project: Project
) -> None:
    evil = r"printf '\033[2J\033[H\033[31mred\033[0m\t\xe6\x97\xa5%080d 10%%\r20%%\n' 7 8"
    build.start(project(dockerfile=WAITING.format(step=evil, end="true")))
    screen = build.terminal.until(lambda screen: "  │ 9" in screen and "  │ 20%" in screen)
    text = "\n".join(screen)
    assert re.search(r"^▸ one 2/2  RUN --mount=type=cache\S+ printf .*…  \ds$", text, re.M)
    assert re.search(r"^▸ two 2/2  RUN .*\n  │ 7\n  │ 8\n  │ 9$", text, re.M)
    assert re.search(r"^━+─+ \ds · 1/5 steps · 2 running · 2 waiting$", text, re.M)
    assert all(len(line) < 80 for line in blocks(screen))
    for columns, rows in ((37, 20), (120, 50), (20, 30), (200, 24), (80, 24)):
        build.terminal.resize(columns, rows)
        build.terminal.until(partial(drawn_for, columns))
    build.let_go("two")
    build.running(1)
    build.let_go("one")
    status, lines = build.terminal.over()
    assert status == 0
    assert blocks(lines) == [] and "steps ·" not in "\n".join(lines) and "│" not in "".join(lines)
    assert [line.split("]")[0] for line in lines if line.startswith("✓ [")] == [
        *("✓ [one 1/2", "✓ [two 2/2", "✓ [one 2/2", "✓ [final 2/3", "✓ [final 3/3"),
    ]
    assert build.terminal.flags() == "1 1"


def test_a_failed_step_stays_with_its_last_lines_and_the_error_below(build: Build, project: Project) -> None:
    folder = project(dockerfile=WAITING.format(step="echo some; echo words", end="exit 3"))
    build.start(folder, "--target=one")
    build.running(1)
    build.let_go("one")
    status, lines = build.terminal.over()
    assert status == 1
    at = next(i for i, line in enumerate(lines) if line.startswith("✗ [one 2/2] RUN --mount"))
    assert lines[at].endswith("  exit code: 3")
    assert lines[at + 1 : at + 3] == ["  │ some", "  │ words"]
    assert lines[at + 3].startswith("FAILED in") and lines[at + 4] == "------"
    assert "words" in lines[at + 5 :] and blocks(lines) == []


def test_ctrl_c_leaves_the_terminal_as_it_was(build: Build, project: Project) -> None:
    build.start(project(dockerfile=WAITING.format(step="echo on", end="true")))
    build.running(2)
    build.terminal.type("C-c")
    status, lines = build.terminal.over()
    assert status == 130
    assert lines[-1] == "stopped" and lines[-2].startswith("FAILED in")
    assert sorted(line.split("]")[0] for line in lines if "stopped" in line)[-2:] == [
        "– [one 2/2",
        "– [two 2/2",
    ]
    assert blocks(lines) == [] and "^C" not in "".join(lines)
    assert build.terminal.flags() == "1 1"


def test_a_cached_build_shows_a_few_lines_and_draws_nothing(
    build: Build, project: Project, tmp_path: Path
) -> None:
    folder = project(dockerfile=WAITING.format(step="true", end="true"))
    build.let_go("one")
    build.let_go("two")
    build.start(folder)
    build.terminal.over()
    # What the command writes, byte for byte: `script` gives it a terminal too.
    build.terminal.type(["script", "-qc", " ".join(map(str, [*build.words, folder])), tmp_path / "typed"])
    status, lines = build.terminal.over()
    assert status == 0
    at = lines.index("building final: 5 steps")
    assert lines[at + 1] == "✓ 5 steps cached  one 2, two 1, final 2"
    assert re.match(r"✓ exported final as image to a:1 .*", lines[at + 2])
    typed = (tmp_path / "typed").read_text()
    assert "5 steps cached" in typed and "\x1b[?2026h" not in typed and "\x1b[2K" not in typed


def test_a_build_of_three_hundred_steps_in_forty_stages_stays_readable(
    build: Build, project: Project
) -> None:
    stages = [f"FROM busybox AS s{n}\n" + "".join(f"WORKDIR /{n}/{i}\n" for i in range(7)) for n in range(39)]
    held = "RUN --mount=type=cache,id=gate,target=/gate until [ -e /gate/one ]; do sleep 0.05; done\n"
    text = "".join(stages).replace("WORKDIR /20/6\n", held)
    text += "FROM busybox AS final\n" + "".join(f"COPY --from=s{n} /{n} /{n}\n" for n in range(39))
    build.start(project(dockerfile=text))
    screen = build.terminal.until(lambda screen: "293/313 steps · 1 running · 19 waiting" in screen[-1])
    assert len(screen) <= 24 and max(map(len, screen)) < 80
    assert len(blocks(screen)) == 1 and blocks(screen)[0].startswith("▸ s20 8/8  RUN --mount")
    assert all(line.startswith("✓ [") for line in screen[:-2]) and len(screen) > 20
    build.let_go("one")
    status, lines = build.terminal.over()
    assert status == 0 and any(re.match(r"FINISHED in .*: 313 run, 0 cached", line) for line in lines)

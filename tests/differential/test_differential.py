"""The fuzzer's finds of the past, and a short run of it with fixed seeds."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.builds import prepare_store
from tests.differential.case import Case, State, changed, from_json, rewrite, to_json, write
from tests.differential.generate import generate
from tests.differential.oracles import Bench, check, repaired
from tests.differential.shrink import shrink

CASES = sorted((Path(__file__).parent / "cases").glob("*.json"))
SECONDS = 8.0
"""What the random part of a test run may take."""
SEEDS = range(1, 31)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="builds in this process take root")


@pytest.fixture(scope="module")
def template(session_folder: Path, busybox_layout: Path) -> Path:
    folder = session_folder / "differential"
    folder.mkdir()
    return prepare_store(folder, busybox_layout)


@pytest.fixture
def bench(template: Path, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "work", template)
    yield bench
    bench.clear()


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_earlier_finds_are_mended(path: Path, bench: Bench) -> None:
    assert check(from_json(path.read_text()), bench) is None
    assert not bench.failed or path.stem.startswith("error-")


def test_random_builds_agree(bench: Bench) -> None:
    end = time.monotonic() + SECONDS
    for seed in SEEDS:
        if time.monotonic() > end:
            break
        case = repaired(generate(seed), bench)
        find = check(case, bench)
        assert find is None, f"seed {seed}: {find}\n{to_json(case)}"
    assert bench.builds > bench.failed


def test_a_seed_gives_one_case() -> None:
    for seed in range(50):
        case = generate(seed)
        assert case == generate(seed)
        assert from_json(to_json(case)) == from_json(to_json(from_json(to_json(case))))


def test_a_context_that_is_changed_equals_one_that_is_made(tmp_path: Path) -> None:
    for seed in range(40):
        folder = tmp_path / str(seed)
        before = None
        for number, (state, _) in enumerate(generate(seed).states()):
            if before is None:
                write(state, folder)
            else:
                rewrite(folder, before, state)
            before = state
            fresh = tmp_path / f"{seed}-{number}"
            write(state, fresh, backwards=True)
            assert listing(folder) == listing(fresh), seed


def listing(folder: Path) -> list[object]:
    """What is in a folder, down to modes; names of one file share a number."""
    numbers: dict[int, int] = {}
    found: list[object] = []
    for path in sorted(folder.rglob("*")):
        seen = path.lstat()
        same = numbers.setdefault(seen.st_ino, len(numbers)) if not path.is_dir() else -1
        plain = path.is_file() and not path.is_symlink()
        content = path.read_bytes() if plain else os.readlink(path) if path.is_symlink() else ""
        found.append((str(path.relative_to(folder)), oct(seen.st_mode), same, content))
    return found


def test_what_differs_is_found(bench: Bench) -> None:
    """A step that gives something else each time, which no oracle may let pass."""
    case = Case(State(("FROM busybox", "RUN cat /proc/sys/kernel/random/uuid >/u")))
    find = check(case, bench)
    assert find is not None and find.kind == "cached" and "/u" in find.detail


def test_shrinking_keeps_what_shows_the_find() -> None:
    case = generate(3)
    lines = ("FROM busybox", "RUN a && b && rm x; c", "COPY --link --chown=1 a b /o/", "ENV A=1")
    files = {"a": {"text": "x"}, "b": {"text": "y"}}
    case = Case(State(lines, files), ({"do": "remove", "path": "b"}, *case.changes))

    def shows(smaller: Case) -> bool:
        text = smaller.state.text()
        return "rm x" in text and "a" in smaller.state.files and "FROM" in text

    small = shrink(case, shows, 10)
    assert small.state.dockerfile == ("FROM busybox", "RUN rm x")
    assert set(small.state.files) == {"a"}
    assert small.changes == ()


def test_changes_of_what_is_not_there_do_nothing() -> None:
    state = State(("FROM busybox",), {"a": {"text": "x"}})
    for change in (
        {"do": "line", "old": "RUN x", "new": []},
        {"do": "remove", "path": "b"},
        {"do": "rename", "old": "b", "new": "c"},
        {"do": "edit", "path": "b", "entry": {"mode": 0}},
    ):
        assert changed(state, change) == state

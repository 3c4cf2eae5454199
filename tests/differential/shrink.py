"""Delta debugging: the smallest case that still shows a find."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from tests.differential.case import Case

T = TypeVar("T")


def shrink(case: Case, shows: Callable[[Case], bool], seconds: float) -> Case:
    """Leave out and simplify while `shows` holds, for at most some time."""
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for smaller in _smaller(case):
            if time.monotonic() > end:
                break
            if shows(smaller):
                case, progress = smaller, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, those that leave out much first."""
    state = case.state
    for part in _without(case.changes):
        yield replace(case, changes=part)
    for lines in _without(state.dockerfile):
        if any(line.startswith("FROM") for line in lines):
            yield replace(case, state=replace(state, dockerfile=lines))
    for names in _without(tuple(sorted(state.files))):
        yield replace(case, state=replace(state, files={name: state.files[name] for name in names}))
    for names in _without(tuple(sorted(state.args))):
        yield replace(case, state=replace(state, args={name: state.args[name] for name in names}))
    for at, line in enumerate(state.dockerfile):
        for words in _shorter(line):
            lines = (*state.dockerfile[:at], words, *state.dockerfile[at + 1 :])
            changes = tuple(
                {**change, "old": words} if change.get("old") == line and change["do"] == "line" else change
                for change in case.changes
            )
            yield replace(case, state=replace(state, dockerfile=lines), changes=changes)
    for name, entry in state.files.items():
        if len(entry.get("members", ())) > 1:
            for members in _without(tuple(entry["members"])):
                files = {**state.files, name: {**entry, "members": list(members)}}
                yield replace(case, state=replace(state, files=files))
    if case.variant:
        yield replace(case, variant=0)


def _without(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    size = len(items)
    step = size
    while step >= 1:
        for start in range(0, size, step):
            yield items[:start] + items[start + step :]
        step //= 2


def _shorter(line: str) -> Iterator[str]:
    """An instruction without one of its flags, words or commands."""
    head, _, rest = line.partition(" ")
    if head == "FROM" or "<<" in line:
        return
    for mark in ("; ", " && "):
        parts = rest.split(mark)
        if head == "RUN" and len(parts) > 1:
            for at in range(len(parts)):
                yield f"{head} {mark.join(parts[:at] + parts[at + 1 :])}"
    words = rest.split(" ")
    for at, word in enumerate(words):
        if word.startswith("--") or (head in ("COPY", "ADD") and len(words) > 2 and "[" not in rest):
            yield " ".join([head, *words[:at], *words[at + 1 :]])

"""Measures rows: the builders take turns, and each result is looked at."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench.builder import Builder, Unavailable
from bench.image import Facts, differences
from bench.row import Row

BUDGET = 30
"""Seconds that one builder may use up with one row before it has no further round."""


@dataclass
class Measured:
    """What a row came to: figures of all rounds and facts of the image, by builder."""

    row: Row
    figures: dict[str, list[float]] = field(default_factory=dict)
    limits: list[float] = field(default_factory=list)
    facts: dict[str, Facts] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """All of it, for the JSON file."""
        row = self.row
        return {
            "says": row.says,
            "unit": row.unit,
            "reach": row.reach,
            "absolute": row.absolute,
            "archive": row.archive,
            "figures": self.figures,
            "limit": {"says": row.limit_says, "figures": self.limits},
            "images": {name: vars(facts) for name, facts in self.facts.items()},
            "failed": self.failed,
            "details": row.details,
            "measured": time.strftime("%Y-%m-%d"),
        }


def measure(row: Row, builders: list[Builder], budget: float = BUDGET) -> Measured:
    """All rounds of a row. A builder that fails is said, and has no more rounds and no figures.

    Raises Unavailable when no builder is left.
    """
    taking_part = [builder for builder in builders if not row.only or builder.name in row.only]
    if not taking_part:
        raise Unavailable(f"it is of {' and '.join(row.only)} only")
    measured = Measured(row, {builder.name: [] for builder in taking_part})
    spent = dict.fromkeys(measured.figures, 0.0)
    for builder in taking_part:
        attempt(measured, builder, row.prepare)
    for number in range(row.rounds):
        if row.limit and sum(measured.limits) < BUDGET / 4:
            one_limit(measured, row.limit)
        turn = number % len(taking_part)
        for builder in taking_part[turn:] + taking_part[:turn]:
            more = not number or spent[builder.name] < budget
            if more and builder.name not in measured.failed:
                start = time.perf_counter()
                attempt(measured, builder, partial(one_round, measured))
                spent[builder.name] += time.perf_counter() - start
    return measured


def attempt(measured: Measured, builder: Builder, work: Callable[[Builder], object]) -> None:
    """Do something with a builder; when it fails, note that and drop its figures."""
    try:
        work(builder)
    except (RuntimeError, OSError) as error:
        measured.failed[builder.name] = str(error)
        measured.figures[builder.name].clear()
        print(f"{measured.row.name}: {builder.name} failed: {error}", file=sys.stderr, flush=True)


def one_limit(measured: Measured, limit: Callable[[], object]) -> None:
    """One figure of the machine. One that cannot be had is said, and is no reason to stop."""
    start = time.perf_counter()
    try:
        limit()
        measured.limits.append(time.perf_counter() - start)
    except (RuntimeError, OSError) as error:
        print(f"{measured.row.name}: no limit: {error}", file=sys.stderr, flush=True)


def one_round(measured: Measured, builder: Builder) -> None:
    """One figure of one builder. After the first round the image must be what it should be."""
    row = measured.row
    row.before(builder)
    os.sync()
    measured.figures[builder.name].append(row.measure(builder))
    if row.facts and builder.name not in measured.facts:
        measured.facts[builder.name] = facts = row.facts(builder)
        wrong = list(differences(facts, row.expect))
        if wrong:
            raise RuntimeError(f"the image is not right: {'; '.join(wrong)}")

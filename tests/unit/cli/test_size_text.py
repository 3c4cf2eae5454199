"""The report as text: 80 columns, biggest first, and names that cannot write on the terminal."""

from __future__ import annotations

import json

from jettison.cli.size_text import as_json, as_text
from jettison.insight.leftovers import Leftover
from jettison.insight.origins import Step
from jettison.insight.report import Builder, Part, Report, Share
from jettison.insight.rules import RULES
from jettison.insight.waste import Waste
from jettison.location import Location

LINE = Location("/somewhere/deep/in/folders/Dockerfile", 7, 7)


def report(parts: tuple[Part, ...] = (), builder: Builder | None = None, **more: object) -> Report:
    facts: dict[str, object] = {
        "name": "app", "base": "", "origins_known": True, "shares": (), "waste": (), "base_waste": 0,
        "leftovers": (),
    }  # fmt: skip
    return Report(parts=parts, builder=builder, **{**facts, **more})  # type: ignore[arg-type]


def part(text: str, size: int, base: bool = False) -> Part:
    return Part(Step(text, "final", "final", LINE), base, 1, size, size // 2, 0)


def test_an_image_without_layers() -> None:
    assert as_text(report(), 10) == "app: 0 B compressed, 0 B of files (0 files in 0 layers)\n"
    assert json.loads(as_json(report()))["layers"] == []


def test_biggest_first_and_the_base_image_in_one_row() -> None:
    parts = (part("a", 5, True), part("b", 5, True), part("c", 2), part("d", 99))
    text = as_text(report(parts, base="b:1"), 2)
    rows = [line.partition("INSTRUCTION")[2] or line for line in text.splitlines()]
    at = rows.index("")
    assert rows[at + 2].endswith("99 B         0 B  Dockerfile:7 d")
    assert rows[at + 3].endswith("10 B         0 B  base image b:1")
    assert rows[at + 4] == "            and 1 more: --top 3"


def test_the_builder_is_compared() -> None:
    def told(builder: int) -> str:
        return as_text(report((part("a", 1000),), Builder("build", builder)), 10).splitlines()[1]

    assert told(21_500) == "22 times smaller than its builder (build: 21.5 kB of files)"
    assert told(1500) == "1.5 times smaller than its builder (build: 1.5 kB of files)"
    assert told(1000) == "as large as its builder (build: 1.0 kB of files)"
    assert told(500) == "2.0 times as large as its builder (build: 500 B of files)"


def test_nothing_is_wider_than_80_columns_and_nothing_writes_on_the_terminal() -> None:
    evil = "x\x1b[2J\r\n\u202e" + "long/" * 60
    parts = (part(f"RUN {evil}", 10), part("COPY . .", 20))
    made = report(
        parts,
        name=evil,
        shares=(Share(evil, 1, 1, 1),),
        waste=(Waste("duplicate", 0, 1, 5, 10, (evil, "b"), ("c", "d")),),
        leftovers=(Leftover(RULES[0], 0, evil, 1, 9000),),
    )
    text = as_text(made, 10)
    assert max(map(len, text.split("\n"))) <= 80
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(as_json(made))["waste"]["items"][0]["same_as"] == ["/c", "/d"]

"""Pictures as text."""

from __future__ import annotations

import re

from jettison.picture.text import text
from jettison.picture.words import cells, shorten
from tests.unit.picture.drawn import SHOP, drawn, shop

FINISHED = """\
Dockerfile: final

○        node:18
●        deps    cached, 12.0s, 90.0 MB
├─◌      tester  left out
●        web     ran, 8.5s, 2.0 MB
│ ○      golang:1.22
│ ●      api     ran, 30.2s, 9.5 MB
├─┤      mount from=web /dist
│ │ ○    nginx:1.25
│ │ │ ◉  final   target, from scratch, failed
│ ╰─│─┤  COPY --from=api /api
╰───│─┤  COPY --from=web /dist, /licences
    ╰─╯  COPY --from=nginx:1.25 /etc/nginx/mime.types

left out: tester
last build: 2026-11-18 11:06 UTC
critical path: deps → web → api → final, 50.8s
"""

PLAIN = """\
Dockerfile: final

o        node:18
*        deps    cached, 12.0s, 90.0 MB
+-.      tester  left out
*        web     ran, 8.5s, 2.0 MB
| o      golang:1.22
| *      api     ran, 30.2s, 9.5 MB
+-+      mount from=web /dist
"""


def test_a_build_as_it_was_left() -> None:
    assert text(shop()) == FINISHED


def test_ascii() -> None:
    drawing = text(shop(), ascii_only=True)
    assert drawing.isascii()
    assert drawing.startswith(PLAIN)
    assert text(drawn("FROM bücher:1\n"), ascii_only=True).splitlines()[2] == "o  b?cher:1"


def test_colours_are_added_to_the_same_drawing() -> None:
    coloured = text(shop(), colour=True)
    assert "\x1b[34m●\x1b[0m      \x1b[1mapi" in coloured
    assert "\x1b[31m◉\x1b[0m  \x1b[1mfinal   target, from scratch, failed\x1b[0m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == FINISHED


def test_many_lanes_are_named_instead_of_drawn() -> None:
    count = 40
    stages = "".join(f"FROM base AS s{n}\nRUN x\n" for n in range(count))
    copies = "".join(f"COPY --from=s{n} /out /{n}\n" for n in range(count))
    drawing = text(drawn(f"FROM a AS base\n{stages}FROM b\n{copies}"))
    lines = drawing.splitlines()
    assert max(map(cells, lines)) <= 80
    assert sum("COPY --from=s" in line for line in lines) == count
    assert any("●  s38" in line and "from base" in line for line in lines)


def test_long_names_lose_their_middle() -> None:
    name = "registry.example/" + "deep/" * 30 + "image:1.2.3"
    line = next(line for line in text(drawn(f"FROM {name}\n")).splitlines() if "…" in line)
    assert line.startswith("○  registry.example/") and line.endswith("image:1.2.3")
    assert cells(line) == 80


def test_shortening_counts_wide_characters() -> None:
    assert shorten("日本語のイメージ", 9) == "日本…ージ"
    assert cells(shorten("日本語のイメージ", 9)) <= 9
    assert [shorten("abcdef", width) for width in range(4)] == ["", "…", "…f", "a…f"]


def test_nothing_is_said_of_a_build_that_is_not_remembered() -> None:
    assert "last build" not in text(drawn(SHOP))

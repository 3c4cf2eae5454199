"""Pictures as SVG: valid, nothing on top of anything else, safe, and the same each time."""

from __future__ import annotations

import re
import time
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jettison.errors import UsageError
from jettison.picture.model import LastBuild, Outcome, Picture, coloured
from jettison.picture.svg import svg
from jettison.picture.text import text
from jettison.picture.words import cells
from tests.unit.picture.drawn import BUILT, DOCUMENT, SHOP, drawn, example, shop

SVG = "{http://www.w3.org/2000/svg}"
Rect = tuple[float, float, float, float]


def test_what_is_in_it() -> None:
    root = ElementTree.fromstring(svg(shop()))
    words = [item.text for item in root.iter(f"{SVG}text")]
    assert {"deps", "cached · 12.0s · 90.0 MB", "left out", "/dist", "mount /dist", "node:18"} <= set(words)
    assert "critical path: deps → web → api → final, 50.8s" in words
    titles = [item.text or "" for item in root.iter(f"{SVG}title")]
    assert "stage tester, line 3, 1 step, left out" in titles
    assert "copy\n/dist → /public\n/licences → /public/licences" in titles
    style = root.find(f"{SVG}style")
    assert style is not None and "prefers-color-scheme:dark" in str(style.text)


def test_texts_are_only_texts() -> None:
    name = 'a\\"><script>alert(1)</script>'
    picture = drawn(f'FROM {name} AS x\nFROM scratch\nCOPY --from=x ["/<&\'\\u0007", "/"]\n')
    root = ElementTree.fromstring(svg(picture))
    assert root.find(f".//{SVG}script") is None
    assert {name.replace("\\", ""), "/<&'\\x07"} <= {item.text for item in root.iter(f"{SVG}text")}


def rects(root: ElementTree.Element, kind: str) -> list[Rect]:
    out = []
    for item in root.iter(f"{SVG}rect"):
        if kind in item.get("class", "").split() and item.get("x"):
            x, y, width, height = (float(item.get(name, "")) for name in ("x", "y", "width", "height"))
            out.append((x, y, x + width, y + height))
    return out


def overlap(one: Rect, other: Rect) -> bool:
    """Whether two share more than the file's rounding."""
    within_x = min(one[2], other[2]) - max(one[0], other[0])
    within_y = min(one[3], other[3]) - max(one[1], other[1])
    return min(within_x, within_y) > -0.2 and max(within_x, within_y) > 0.2


def straight(root: ElementTree.Element) -> list[Rect]:
    """The straight parts of lines, where they pass beside boxes."""
    out = []
    for item in root.iter(f"{SVG}path"):
        found = re.match(r"M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)C", item.get("d", ""))
        if found:
            x, y, to_x, to_y = map(float, found.groups())
            out.append((min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)))
    return out


def check(picture: Picture) -> None:
    """Everything that holds for every picture."""
    written = svg(picture)
    root = ElementTree.fromstring(written)
    boxes, labels = rects(root, "node"), rects(root, "page")
    assert len(boxes) == len(picture.nodes)
    assert [pair for pair in combinations([*boxes, *labels], 2) if overlap(*pair)] == []
    assert [line for line in straight(root) for box in boxes if overlap(line, box)] == []
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert all(x >= 0 and y >= 0 and to_x <= width and to_y <= height for x, y, to_x, to_y in boxes + labels)
    heads = [item for item in root.iter(f"{SVG}path") if "head" in item.get("class", "").split()]
    assert len(heads) == len(picture.edges)
    for group in root.iter(f"{SVG}g"):
        frame = group.find(f"{SVG}rect")
        assert frame is not None
        for item in group.iter(f"{SVG}text"):
            size = 13 if "name" in item.get("class", "").split() else 11
            assert cells(item.text or "") * size * 0.6 <= float(frame.get("width", ""))
    for drawing in (text(picture), text(picture, ascii_only=True)):
        lines = drawing.splitlines()
        assert max(map(cells, lines)) <= 80
        said = [line for line in lines if "COPY --from=" in line or "mount from=" in line]
        assert len(said) == sum(edge.kind != "from" for edge in picture.edges)


WORD = st.text(st.characters(exclude_characters=' \n\r\t"\\$#', codec="utf-8"), min_size=1, max_size=60)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    lines: list[str] = []
    count = draw(st.integers(1, 12))
    images = draw(st.lists(st.sampled_from(["a", "b:1", "scratch", "日本語/" + "long" * 20]), min_size=1))
    for number in range(count):
        earlier = [f"s{other}" for other in range(number)]
        lines.append(f"FROM {draw(st.sampled_from([*images, *earlier]))} AS s{number}")
        for _ in range(draw(st.integers(0, 4))):
            source = draw(st.sampled_from([*earlier, "c", "d:2"]))
            lines.append(
                f"COPY --from={source} {draw(st.sampled_from(['/out', '/' + 'x/' * 40, '/é']))} /"
                if draw(st.booleans())
                else f"RUN --mount=from={source},target=/m true"
            )
    picture = drawn("\n".join(lines), f"s{draw(st.integers(0, count - 1))}")
    if draw(st.booleans()):
        return picture
    states = st.sampled_from(["", "cached", "ran", "failed", "changed"])
    numbers = st.none() | st.integers(0, 10**12)
    outcome = st.builds(Outcome, states, numbers.map(lambda n: n and n / 1e6), numbers)
    names = [node.id for node in picture.nodes if node.kind == "stage"]
    outcomes = {name: draw(outcome) for name in names}
    path = draw(st.lists(st.sampled_from(names), unique=True))
    return coloured(picture, LastBuild(BUILT, outcomes, tuple(path), 1.5))


@settings(max_examples=60, deadline=None)
@given(pictures())
def test_nothing_overlaps_and_everything_is_drawn(picture: Picture) -> None:
    check(picture)


@pytest.mark.parametrize("picture", [drawn(SHOP), shop()], ids=["plain", "built"])
def test_the_shop(picture: Picture) -> None:
    check(picture)


@settings(max_examples=30, deadline=None)
@given(WORD, WORD)
def test_any_name_makes_valid_files(image: str, path: str) -> None:
    picture = drawn("FROM a\n")
    from jettison.dataclass import replace
    from jettison.picture.words import shown

    node = replace(picture.nodes[0], name=shown(image))
    edge = replace(picture.edges[0], kind="copy", paths=((shown(path), "/"),))
    check(replace(picture, nodes=(node, *picture.nodes[1:]), edges=(edge,)))


def hundred(shape: str) -> str:
    """A hundred stages: in a row, side by side, or each copying from all before it."""
    if shape == "row":
        return "FROM a AS s0\n" + "".join(f"FROM s{n - 1} AS s{n}\n" for n in range(1, 100))
    if shape == "fan":
        stages = "".join(f"FROM a AS s{n}\nRUN x\n" for n in range(99))
        return stages + "FROM b\n" + "".join(f"COPY --from=s{n} /out/{n} /\n" for n in range(99))
    lines = []
    for number in range(100):
        lines.append(f"FROM a AS s{number}")
        lines += [f"COPY --from=s{other} / /" for other in range(number)]
    return "\n".join(lines)


@pytest.mark.parametrize(("shape", "seconds"), [("row", 1), ("fan", 1), ("all", 10)])
def test_a_hundred_stages(shape: str, seconds: float) -> None:
    picture = drawn(hundred(shape))
    began = time.process_time()
    written = svg(picture)
    assert time.process_time() - began < seconds
    assert len(written) < 3_000_000
    if shape != "all":
        check(picture)
    assert max(map(cells, text(picture).splitlines())) <= 80


def test_thousands_of_stages_are_refused_as_a_picture_only() -> None:
    picture = drawn("\n".join(f"FROM a AS s{n}" for n in range(1001)))
    with pytest.raises(UsageError, match="1002 boxes"):
        svg(picture)
    assert len(text(picture).splitlines()) > 1001


def test_what_would_be_too_wide_goes_from_left_to_right() -> None:
    root = ElementTree.fromstring(svg(drawn(hundred("fan"))))
    assert float(root.get("width", "")) < 1000 < float(root.get("height", ""))


def test_the_picture_of_the_documentation_is_current() -> None:
    assert DOCUMENT.read_text() == example(), "run: python -m tests.unit.picture.drawn"

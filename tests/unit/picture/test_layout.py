"""Where boxes and lines come to lie."""

from __future__ import annotations

from itertools import combinations, pairwise

from jettison.picture.layout import Box, Layout, Link, arrange

BOX, LABEL = Box(100, 40), Box(60, 16)


def crossings(layout: Layout) -> int:
    """Pairs of lines that change sides between one layer and the next."""
    pieces = {
        (one.end, one.across, other.begin, other.across)
        for route in layout.routes
        for one, other in pairwise(route)
    }
    return sum(
        one[0] == other[0] and one[2] == other[2] and (one[1] - other[1]) * (one[3] - other[3]) < 0
        for one, other in combinations(sorted(pieces), 2)
    )


def test_readers_stand_below_what_they_read() -> None:
    layout = arrange([BOX] * 3, [Link(0, 1), Link(1, 2), Link(0, 2, LABEL)])
    begins = [spot.begin for spot in layout.boxes]
    assert begins == sorted(begins)
    label = layout.labels[2]
    assert label is not None and layout.boxes[1].end < label.begin < label.end < layout.boxes[2].begin
    assert all(
        route[0].begin == layout.boxes[link].end for route, link in zip(layout.routes, (0, 1, 0), strict=True)
    )


def test_a_row_is_straight() -> None:
    layout = arrange([BOX, Box(30, 40), Box(200, 40)], [Link(0, 1), Link(1, 2)])
    assert len({round(spot.across, 1) for spot in layout.boxes}) == 1


def test_a_base_image_stands_near_its_first_reader() -> None:
    layout = arrange([BOX] * 4, [Link(0, 1), Link(1, 3, LABEL), Link(2, 3)])
    assert layout.boxes[2].begin == layout.boxes[1].begin


def test_lines_that_need_not_cross_do_not() -> None:
    # Two builders on one image; one more stage reads the second; the last reads both, on another image.
    links = [Link(0, 1), Link(0, 2), Link(2, 3), Link(4, 5), Link(2, 5, LABEL), Link(1, 5, LABEL)]
    assert crossings(arrange([BOX] * 6, links)) == 0


def test_nothing_at_all() -> None:
    layout = arrange([], [])
    assert (layout.boxes, layout.across, layout.along) == ((), 0.0, 0.0)
    assert arrange([BOX], []).across == 100

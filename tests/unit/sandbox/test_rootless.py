from __future__ import annotations

from jettison.sandbox.rootless import Range, first_free, map_arguments, parse_ranges

TEXT = """
other:100000:65536
me:200000:10
# me:1:1
1000:300000:20
me:none:5
me:400000:0
me:200000:10
"""


def test_ranges_go_by_name_and_number() -> None:
    assert parse_ranges(TEXT, "me", 1000) == (Range(200000, 10), Range(300000, 20))
    assert parse_ranges(TEXT, "nobody", 65534) == ()


def test_maps_follow_one_another() -> None:
    words = map_arguments(1000, [Range(200000, 10), Range(300000, 20)])
    assert words == ["0", "1000", "1", "1", "200000", "10", "11", "300000", "20"]


def test_the_range_that_is_advised_is_nobody_elses() -> None:
    assert first_free("") == 100000
    assert first_free(TEXT) == 300020

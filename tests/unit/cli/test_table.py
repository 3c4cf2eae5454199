from __future__ import annotations

import pytest

from jettison.cli.table import age, rows, seconds_of

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (1, "1 second ago"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (3600, "1 hour ago"),
        (47 * 3600, "47 hours ago"),
        (48 * 3600, "2 days ago"),
        (15 * 86400, "2 weeks ago"),
        (90 * 86400, "3 months ago"),
        (800 * 86400, "2 years ago"),
        (-5, "just now"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    from datetime import UTC, datetime

    assert age(datetime.fromtimestamp(NOW - seconds, UTC).isoformat(), NOW) == text


def test_times_are_read_in_every_form() -> None:
    assert seconds_of("1970-01-01T00:00:01Z") == 1
    assert seconds_of("1970-01-01T01:00:01.5+01:00") == 1.5
    assert seconds_of("2024-05-01T10:00:00.123456789Z") is not None
    assert seconds_of("") is None
    assert age("nonsense") == "N/A"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert rows(["A", "B"], [["long", "x"], ["s", ""]]) == "A      B\nlong   x\ns\n"

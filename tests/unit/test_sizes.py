"""Amounts of bytes and spans of time."""

from __future__ import annotations

import pytest

from jettison.sizes import parse_size, parse_span


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0), ("512", 512), ("20G", 20 * 10**9), ("20gb", 20 * 10**9), ("1.5k", 1500),
        ("20GiB", 20 << 30), ("512 MiB", 512 << 20), ("2T", 2 * 10**12), ("10%", 100), ("7B", 7),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, 1000) == size


@pytest.mark.parametrize(
    "text", ["", "G", "-1", "-1G", "20X", "20GG", "1e999", "nan", "inf", "101%", "%", "1 2"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text, 1000)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("24h", 86400), ("1h30m", 5400), ("7d", 604800), ("0", 0)]
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1x", "-1h", "1h-", "1..2h", "soon"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_span(text)

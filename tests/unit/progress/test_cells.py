from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jettison.progress.cells import clip, rows, safe, width


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hhome\x1b[10A", "home"),
        ("\x1b]0;title\x07text\x1b]8;;http://a\x1b\\link", "textlink"),
        ("\x1b]52;c;never ended", ""),
        ("\x1bP1;2|picture\x1b\\x", "x"),
        ("\x1b(Ba\x1b7b\x1bcc", "abc"),
        ("a\x1b[", "a"),
        ("\x9b2Ja", "a"),
        ("a\tb", "a       b"),
        ("\a\b\x00\x7f", "    "),
        ("\u202eabc\u200b", "abc"),
        ("\U0001f469\u200d\U0001f469\ufe0f", "\U0001f469\U0001f469"),
        ("\udcff", " "),
    ],
)
def test_nothing_that_moves_the_cursor_is_left(written: str, shown: str) -> None:
    assert safe(written) == shown


@given(st.text())
def test_safe_text_prints_and_stays_safe(text: str) -> None:
    assert safe(text).isprintable() and safe(safe(text)) == safe(text)


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("abc", 3),
        ("日本", 4),
        ("e\u0301", 1),
        ("\U0001f600", 2),
        ("✓", 1),
        ("…━", 2),
        ("é", 1),
        ("\u2764", 2),
    ],
)
def test_wide_letters_take_two_cells(text: str, cells: int) -> None:
    assert width(text) == cells


@given(st.text().map(safe), st.integers(0, 30))
def test_clipped_text_fits(text: str, most: int) -> None:
    clipped = clip(text, most)
    assert width(clipped) <= most
    assert clipped == text or clipped.endswith("…") or most == 0
    assert text.startswith(clipped.removesuffix("…"))


def test_rows_that_a_text_takes() -> None:
    assert [rows(text, 4) for text in ("", "abcd", "abcde", "日本", "a日本", "日本語日本語")] == [
        1,
        1,
        2,
        1,
        2,
        3,
    ]

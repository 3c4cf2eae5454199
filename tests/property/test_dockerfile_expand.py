"""Expansion against a model: texts are made together with what they must become."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jettison.dockerfile.expand import expand

VALUES = {"SET": "some/value.txt", "EMPTY": "", "_x1": "a b"}
_LITERAL = "abc .,/:=-+%#é"

Pair = tuple[str, str]
"""Source text and what it expands to."""

_literals = st.text(_LITERAL, min_size=1, max_size=5).map(lambda text: (text, text))
_escaped = st.sampled_from("$'\"\\{}a ").map(lambda char: ("\\" + char, char))
_single = st.text(_LITERAL + '$"\\{}', max_size=5).map(lambda text: (f"'{text}'", text))
_lone_dollar = st.sampled_from(" ./=%,").map(lambda char: ("$" + char, "$" + char))


def _joined(parts: list[Pair]) -> Pair:
    return "".join(source for source, _ in parts), "".join(value for _, value in parts)


def _plain(name: str) -> Pair:
    return "${" + name + "}", VALUES.get(name, "")


def _with_word(name: str, modifier: str, word: Pair) -> Pair:
    value = VALUES.get(name)
    there = value is not None and not (modifier.startswith(":") and value == "")
    if modifier.endswith("-"):
        result = (value or "") if there else word[1]
    else:
        result = word[1] if there else ""
    return "${" + name + modifier + word[0] + "}", result


def _trimmed(name: str, length: int, front: bool) -> Pair:
    value = VALUES.get(name, "")
    part = value[:length] if front else value[len(value) - length :] if length else ""
    operator = "#" if front else "%"
    result = value.removeprefix(part) if front else value.removesuffix(part)
    return "${" + name + operator + part.replace("/", "\\/") + "}", result


def _replaced(name: str, old: str, new: str, every: bool) -> Pair:
    value = VALUES.get(name, "")
    result = value.replace(old, new) if every else value.replace(old, new, 1)
    return "${" + name + ("//" if every else "/") + old + "/" + new + "}", result


_names = st.sampled_from(["SET", "EMPTY", "_x1", "UNSET"])
_modifiers = st.sampled_from([":-", "-", ":+", "+"])
_trims = st.builds(_trimmed, _names, st.integers(0, 4), st.booleans())
_replaces = st.builds(
    _replaced,
    _names,
    st.sampled_from(["a", "e.", "value", "zz"]),
    st.sampled_from(["", "X", "yy"]),
    st.booleans(),
)
_simple = st.one_of(_literals, _escaped, _single, _lone_dollar, _names.map(_plain), _trims, _replaces)


def _nested(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    words = st.lists(inner, max_size=3).map(_joined)
    return st.builds(_with_word, _names, _modifiers, words)


_pairs = st.recursive(_simple, _nested, max_leaves=8)


@given(st.lists(_pairs, max_size=6).map(_joined))
def test_expand_does_what_the_model_says(pair: Pair) -> None:
    assert expand(pair[0], VALUES.get) == pair[1]


_in_double = st.one_of(
    st.text(_LITERAL + "'{}", min_size=1, max_size=5).map(lambda text: (text, text)),
    st.sampled_from('$"\\').map(lambda char: ("\\" + char, char)),
    st.sampled_from("an'").map(lambda char: ("\\" + char, "\\" + char)),
    _names.map(_plain),
    _trims,
)


@given(st.lists(_in_double, max_size=5).map(_joined))
def test_double_quotes_expand_but_keep_the_rest(pair: Pair) -> None:
    assert expand(f'x"{pair[0]}"y', VALUES.get) == f"x{pair[1]}y"


@given(st.text(max_size=40))
def test_single_quotes_keep_everything(text: str) -> None:
    text = text.replace("'", "")
    assert expand(f"'{text}'", VALUES.get) == text


@given(st.text(max_size=30).filter(lambda text: not set(text) & set("$'\"\\")))
def test_text_without_special_characters_stays(text: str) -> None:
    assert expand(text, VALUES.get) == text
    assert expand(text + "$", VALUES.get) == text + "$"

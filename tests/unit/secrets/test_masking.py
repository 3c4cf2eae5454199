"""Values are hidden however they come: whole, in chunks, by line, encoded."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jettison.errors import DockerfileError, Problem, StepFailed
from jettison.events import BuildFinished, Event, StepExplained, StepFinished, Warned
from jettison.secrets.masking import (
    MASK,
    MaskedStream,
    Masks,
    mask_error,
    masked_events,
    masked_output,
    masks_of,
)

TOKEN = b"hunter2-s/cr+t"


def test_a_value_is_hidden_wherever_it_stands() -> None:
    assert masks_of([TOKEN + b"\n"]).hide(b"a " + TOKEN + b"b\n" + TOKEN) == b"a ****b\n****"


def test_what_is_short_hides_nothing() -> None:
    masks = masks_of([b"1", b"12345", b"", b" \n", b"12345 \n"])
    assert masks == Masks()
    assert masks.hide(b"12345") == b"12345"


def test_every_line_of_a_value_is_hidden_by_itself() -> None:
    masks = masks_of([b"--begin--\nabcdefgh\r\n\n  ijklmnop\nend\n"])
    assert masks.hide(b"x ijklmnop, abcdefgh\nend\n") == b"x ****, ****\nend\n"


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"user:"])
@pytest.mark.parametrize("behind", [b"", b"\n", b"@host"])
def test_base64_is_hidden_behind_and_before_other_things(before: bytes, behind: bytes) -> None:
    masks = masks_of([TOKEN + b"\n"])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(before + TOKEN + behind)
        hidden = masks.hide(b"Basic " + coded)
        assert MASK in hidden
        # What a neighbour has a part in stays: of the value not even one byte can be told from it.
        assert len(hidden) <= len(b"Basic ****") + len(before) * 4 // 3 + len(behind) * 4 // 3 + 6


@pytest.mark.parametrize(
    "value", [TOKEN, b'two "quoted"\twords', "sch\u00f6n & gut".encode(), b"\xff\xfe\xfd123"]
)
def test_encoded_forms_are_hidden(value: bytes) -> None:
    masks = masks_of([value])
    percent = quote(value, safe="")
    for form in (percent, percent.replace("%2F", "%2f").replace("%2B", "%2b"), quote(value)):
        assert masks.hide(f"x={form}&".encode()) == b"x=****&"
    if value.isascii():
        assert masks.hide(json.dumps({"v": value.decode()}).encode()) == b'{"v": "****"}'


def test_values_that_overlap_leave_nothing_of_either() -> None:
    masks = masks_of([b"abcdefgh", b"efghijkl"])
    assert masks.hide(b"-abcdefghijkl-") == b"-****-"


def test_a_long_value_has_one_mask_and_is_held_back_a_little_only() -> None:
    value = bytes(range(33, 127)) * 50
    masks = masks_of([value])
    assert masks.longest <= 1024
    assert masks.hide(b"<" + value + b">") == b"<****>"


def test_a_line_is_never_held_back() -> None:
    stream = MaskedStream(masks_of([TOKEN]))
    assert stream.feed(b"almost: hunter2\n") == b"almost: hunter2\n"
    assert stream.feed(b"almost: hunter2-x") == b"almost: hunter2-x"
    assert stream.feed(b"almost: hunter2-s") == b"almost: "
    assert stream.feed(b"o\n") == b"hunter2-so\n"
    assert stream.feed(b"hun") == b""
    assert stream.end() == b"hun"


LETTERS = st.binary(min_size=0, max_size=40).map(lambda data: bytes(b"ab\n"[byte % 3] for byte in data))


@given(values=st.lists(LETTERS, max_size=3), chunks=st.lists(LETTERS, max_size=8))
def test_chunks_make_no_difference(values: list[bytes], chunks: list[bytes]) -> None:
    masks = masks_of(values)
    stream = MaskedStream(masks)
    whole = b"".join(chunks)
    hidden = b"".join([*map(stream.feed, chunks), stream.end()])
    assert hidden == masks.hide(whole)
    assert not any(text in hidden for text in masks.texts)
    assert (hidden == whole) == (not any(text in whole for text in masks.texts))


def test_streams_do_not_get_into_each_other() -> None:
    got: list[tuple[int, bytes]] = []
    with masked_output(masks_of([TOKEN]), lambda stream, data: got.append((stream, data))) as write:
        write(1, b"hunter2")
        write(2, b"oh\n")
        write(1, b"-s/cr+t!")
        write(2, b"hunt")
    assert got == [(2, b"oh\n"), (1, b"****!"), (2, b"hunt")]


def test_messages_and_errors_say_nothing() -> None:
    masks = masks_of([TOKEN])
    text = f"it said {TOKEN.decode()} to \udcff"
    events: list[Event] = []
    emit = masked_events(lambda: masks, events.append)
    emit(StepFinished(1.0, "x", "RUN", "s", False, 1.0, text))
    emit(BuildFinished(1.0, 1.0, 1, 0, text))
    emit(Warned(1.0, text))
    emit(StepExplained(1.0, "x", "RUN", "s", None, (text,), ("command",)))
    failed = StepFailed(text, step="RUN", exit_code=1, tail=(text,), hint=text)
    mask_error(masks, failed)
    wrong = DockerfileError((Problem(text, None, text),))
    mask_error(masks, wrong)
    said = [*map(repr, events), str(failed), repr(failed.tail), failed.hint or "", repr(wrong.problems)]
    for one in [*said, repr(failed.args)]:
        assert "****" in one
        assert TOKEN.decode() not in one
    assert failed.message == "it said **** to \udcff"

"""The exec form: a JSON list of strings. What is no JSON list is shell form, without an error."""

from __future__ import annotations

import json

from jettison.dockerfile.mistake import Mistake


def _no_constant(name: str) -> object:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def read_list(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON list, or None when the text is none.

    Raises Mistake for a list that holds something other than strings.
    """
    if not text.startswith("["):
        return None
    try:
        items = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list):
        return None
    for item in items:
        if not isinstance(item, str):
            raise Mistake(
                f"a JSON array may hold only strings, not {json.dumps(item)[:40]}",
                'put every word in double quotes, for example ["sleep", "1"]',
            )
        if "\0" in item:
            raise Mistake("a word of a JSON array holds a NUL character", "remove the \\u0000")
    return tuple(map(_whole, items))


def _whole(text: str) -> str:
    """JSON can name half of a surrogate pair, UTF-8 cannot: it becomes the replacement character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return (
            text.encode("utf-8", "surrogatepass")
            .decode("utf-8", "replace")
            .replace("\ufffd\ufffd\ufffd", "\ufffd")
        )
    return text

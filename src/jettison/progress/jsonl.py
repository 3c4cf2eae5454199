"""Events as JSON, one object a line: `{"v":1,"type":"StepStarted","at":…,…}`, and back again."""

from __future__ import annotations

import threading
from json import JSONEncoder
from typing import Any, TextIO

from jettison import events
from jettison.dataclass import fields
from jettison.errors import UsageError
from jettison.events import Event
from jettison.location import Location

VERSION = 1
"""Grows when a field changes its meaning; new types and new fields leave it as it is."""

_encode = JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        events.BuildStarted,
        events.BuildNamed,
        events.BaseResolved,
        events.ContextFetched,
        events.StepStarted,
        events.StepOutput,
        events.StepProgress,
        events.StepRetried,
        events.StepFinished,
        events.StepExplained,
        events.IsolationChosen,
        events.Warned,
        events.CheckFinished,
        events.Exported,
        events.BuildFinished,
    )
}
"""All types of events, by name."""


class Jsonl:
    """Writes every event as one line of JSON. May be called from any thread."""

    verbose = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def emit(self, event: Event) -> None:
        """Write one line."""
        line = encode(event) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def close(self) -> None:
        """Every line is written already."""


def encode(event: Event) -> str:
    """One event as one line of JSON, without the line's end."""
    return _encode(to_json(event))


def to_json(event: Event) -> dict[str, Any]:
    """An event as plain data. Bytes that are not UTF-8 stand under `base64` in place of `data`."""
    out: dict[str, Any] = {"v": VERSION, "type": type(event).__name__}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, bytes):
            try:
                out[field.name] = value.decode("utf-8")
            except UnicodeDecodeError:
                from base64 import b64encode

                out["base64"] = b64encode(value).decode("ascii")
        elif isinstance(value, Location):
            out[field.name] = location_to_json(value)
        else:
            out[field.name] = list(value) if isinstance(value, tuple) else value
    return out


def from_json(data: dict[str, Any]) -> Event:
    """The event that `to_json` made this of. Raises UsageError for what is none of ours."""
    kind = TYPES.get(data.get("type", ""))
    if kind is None or data.get("v") != VERSION:
        raise UsageError(f"not an event of version {VERSION}: {data.get('type')!r}")
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name == "data":
            values["data"] = _bytes(data)
        elif field.name in data:
            value = data[field.name]
            if field.name == "location" and value is not None:
                value = location_from_json(value)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    event: Event = kind(**values)
    return event


def _bytes(data: dict[str, Any]) -> bytes:
    if "base64" in data:
        from base64 import b64decode

        return b64decode(data["base64"])
    text: str = data["data"]
    return text.encode("utf-8")


def location_to_json(location: Location) -> dict[str, Any]:
    """A location as plain data."""
    return {
        "path": location.path,
        "first_line": location.first_line,
        "last_line": location.last_line,
    }


def location_from_json(data: dict[str, Any]) -> Location:
    """The location that `location_to_json` made this of."""
    return Location(data["path"], data["first_line"], data["last_line"])

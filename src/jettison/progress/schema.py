"""The JSON Schema of the lines of `--progress jsonl`, made from the events' own declarations.

`python -m jettison.progress.schema` writes it; `events.schema.json` beside this file is what is published.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from jettison.dataclass import fields
from jettison.location import Location
from jettison.progress.jsonl import TYPES, VERSION

FILE = os.path.join(os.path.dirname(__file__), "events.schema.json")

_LOCATION = {"$ref": "#/$defs/Location"}
_FORMS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "tuple[str, ...]": {"type": "array", "items": {"type": "string"}},
    "Location | None": {"anyOf": [_LOCATION, {"type": "null"}]},
}


def schema() -> dict[str, Any]:
    """The schema: one definition for each type of event; further fields are allowed, as they may come."""
    events = {name: _event(name, kind) for name, kind in TYPES.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of jettison build --progress jsonl, version {VERSION}",
        "type": "object",
        "required": ["v", "type", "at"],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in events],
        "$defs": {**events, "Location": _location()},
    }


def _event(name: str, kind: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"v": {"const": VERSION}, "type": {"const": name}}
    one_of = None
    for field in fields(kind):
        if field.type == "bytes":
            # Which of the two depends on whether it is UTF-8.
            properties[field.name] = {"type": "string"}
            properties["base64"] = {"type": "string", "contentEncoding": "base64"}
            one_of = [{"required": [field.name]}, {"required": ["base64"]}]
        else:
            properties[field.name] = _FORMS[str(field.type)]
    required = [key for key in properties if one_of is None or key not in ("data", "base64")]
    out = {
        "description": _text(kind),
        "type": "object",
        "properties": properties,
        "required": required,
    }
    return {**out, "oneOf": one_of} if one_of else out


def _location() -> dict[str, Any]:
    properties = {field.name: _FORMS[str(field.type)] for field in fields(Location)}
    return {
        "description": _text(Location),
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }


def _text(kind: Any) -> str:
    return " ".join((kind.__doc__ or "").split())


def text() -> str:
    """The document as it is published."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())

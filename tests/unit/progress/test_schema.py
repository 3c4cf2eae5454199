"""The published schema of `--progress jsonl`. Events of real builds: tests/e2e/test_history.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from jettison.progress.jsonl import TYPES, to_json
from jettison.progress.schema import FILE, schema, text

from .test_jsonl import EVERY

VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_it_is_up_to_date() -> None:
    assert Path(FILE).read_text() == text(), "make docs"


def test_it_is_a_schema_and_has_every_type_of_event() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert {*TYPES, "Location"} == schema()["$defs"].keys()
    assert all(one["description"] for one in schema()["$defs"].values())


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_every_event_keeps_to_it(event: Any) -> None:
    document = to_json(event)
    VALIDATOR.validate(document)
    VALIDATOR.validate({**document, "a field of later": [1]})
    for key in document:
        if key not in ("data", "base64"):
            assert not VALIDATOR.is_valid({name: v for name, v in document.items() if name != key}), key


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"v": 1, "type": "Nothing", "at": 1.0},
        {"v": 2, "type": "BuildNamed", "at": 1.0, "build": "b1", "logs": ""},
        {"v": 1, "type": "BuildNamed", "at": "now", "build": "b1", "logs": ""},
        {"v": 1, "type": "StepOutput", "at": 1.0, "step": "s", "stream": 1},
        {"v": 1, "type": "StepOutput", "at": 1.0, "step": "s", "stream": 1, "data": "", "base64": ""},
    ],
)
def test_what_is_no_event_does_not(document: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(document)

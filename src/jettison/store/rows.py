"""What the database keeps of earlier builds as packed JSON, read with doubt: a disk may have changed it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from math import isfinite
from typing import Any, TypeVar, cast

from jettison.dataclass import fields

T = TypeVar("T")

_TYPES: dict[str, Any] = {"int": int, "float": (int, float), "str": str, "tuple": tuple, "dict": dict}


def unpacked(data: Any) -> Any:
    """What packed JSON holds. Raises ValueError when it is damaged."""
    try:
        return json.loads(zlib.decompress(data))
    except (zlib.error, TypeError, RecursionError) as error:
        raise ValueError(f"no packed JSON: {error}") from error


def row_of(kind: type[T], values: Sequence[Any]) -> T:
    """The dataclass that was kept as the list of its fields. Raises ValueError where one has another type."""
    if not isinstance(values, (list, tuple)):
        raise ValueError("no list of fields")
    given = [tuple(value) if isinstance(value, list) else value for value in values]
    wanted: tuple[Any, ...] = fields(cast(Any, kind))
    # Those that are missing at the end were not known yet: they have defaults.
    if len(given) > len(wanted):
        raise ValueError(f"{len(given)} fields of a {kind.__name__}, which has {len(wanted)}")
    for field, value in zip(wanted, given, strict=False):
        if not _fits(value, field.type):
            raise ValueError(f"the field {field.name} of a {kind.__name__} is {str(value)[:40]!r}")
    try:
        return kind(*given)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _fits(value: Any, annotation: str) -> bool:
    name, _, inner = annotation.partition("[")
    if not isinstance(value, _TYPES.get(name, object)):
        return False
    if name == "float":
        return isfinite(value)
    if name != "tuple":
        return True
    item, *more = inner.removesuffix("]").split(", ")
    return (more == ["..."] or len(value) == 1 + len(more)) and all(_fits(one, item) for one in value)

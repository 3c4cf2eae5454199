"""The project's dataclasses against the standard ones: same declarations, same behaviour."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from jettison import dataclass as ours

LIMIT = ours._SLOW_INSTANCES  # type: ignore[attr-defined]


@ours.dataclass(frozen=True, slots=True)
class Base:
    """A base."""

    at: float


@ours.dataclass(frozen=True, slots=True)
class Point(Base):
    """All kinds of fields."""

    KIND: ClassVar[str] = "point"
    x: int
    y: int = 2
    tags: list[str] = ours.field(default_factory=list)
    note: str = ours.field(default="", compare=False)
    hidden: str = ours.field(default="h", repr=False)

    @property
    def total(self) -> int:
        return self.x + self.y


@ours.dataclass(slots=True)
class Box:
    """One that can be changed."""

    value: int = 0

    def __post_init__(self) -> None:
        self.value += 1


@ours.dataclass(frozen=True, slots=True)
class Empty:
    """No fields at all."""


def instances(number: int) -> list[Point]:
    return [Point(1.0, 5, tags=["t"], note=str(n)) for n in range(number)]


@pytest.mark.parametrize("number", [1, LIMIT + 5])
def test_fields_have_their_values_before_and_after_compiling(number: int) -> None:
    point = instances(number)[-1]
    assert (point.at, point.x, point.y, point.tags, point.hidden) == (1.0, 5, 2, ["t"], "h")
    assert (point.KIND, point.total) == ("point", 7)
    assert Point(1.0, 5).tags is not Point(1.0, 5).tags


def test_equality_hash_and_repr() -> None:
    assert Point(1.0, 1, note="a") == Point(1.0, 1, note="b") != Point(1.0, 2)
    assert Base(1.0) != Point(1.0, 1) and Base(1.0) != 1.0
    assert hash(Base(1.0)) == hash(Base(1.0)) and {Empty(): 1}[Empty()] == 1
    assert repr(Point(1.0, 1)) == "Point(at=1.0, x=1, y=2, tags=[], note='')"
    with pytest.raises(TypeError):
        hash(Box())


def test_frozen_is_frozen_and_the_others_are_not() -> None:
    point = Point(1.0, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x  # type: ignore[misc]
    box = Box(1)
    box.value = 7
    assert box.value == 7
    with pytest.raises(AttributeError):
        box.other = 1  # type: ignore[attr-defined]


def test_post_init_runs_once() -> None:
    assert [Box(n).value for n in range(LIMIT * 2)] == [n + 1 for n in range(LIMIT * 2)]


@pytest.mark.parametrize(
    ("args", "more"),
    [((), {}), ((1.0,), {}), ((1.0, 1, 2, [], "", "", 7), {}), ((1.0, 1), {"no": 1}), ((1.0, 1), {"x": 2})],
)
def test_wrong_arguments_are_a_type_error(args: tuple[Any, ...], more: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="__init__"):
        Point(*args, **more)
    with pytest.raises(TypeError):
        Empty(1)  # type: ignore[call-arg]


def test_replace_and_fields_ours_and_the_standard_ones() -> None:
    point = Point(1.0, 1)
    assert ours.replace(point, x=9) == dataclasses.replace(point, x=9) == Point(1.0, 9)
    names = ["at", "x", "y", "tags", "note", "hidden"]
    assert [one.name for one in ours.fields(point)] == names
    assert [one.name for one in dataclasses.fields(Point)] == names
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.asdict(Base(2.0)) == {"at": 2.0}


def test_patterns_match_by_position() -> None:
    match Point(1.0, 5):
        case Point(at, x):
            assert (at, x) == (1.0, 5)
        case _:
            pytest.fail("no match")


def test_copies_and_pickles() -> None:
    point = Point(1.0, 5, tags=["t"])
    assert copy.deepcopy(point) == point == pickle.loads(pickle.dumps(point))
    assert copy.deepcopy(point).tags is not point.tags


def test_defining_and_making_a_few_needs_no_standard_module() -> None:
    code = (
        "import sys\n"
        "from jettison.dataclass import dataclass, replace\n"
        "@dataclass(frozen=True, slots=True)\n"
        "class A:\n    'd'\n    __annotations__ = {'x': 'int'}\n    x = 1\n"
        "replace(A(2), x=3)\nprint('dataclasses' in sys.modules, 'inspect' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False False\n"

"""Dataclasses that cost next to nothing to define.

The standard decorator compiles some eight functions for every class and pulls in `inspect`: more than
half of the time of a build that finds everything in the cache. This one takes the same
declarations and compiles nothing, until a class has many instances; type checkers see the standard one.
Left out is what this project does not use: order, kw_only, InitVar, and classes without slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

_SLOW_INSTANCES = 24
"""So many instances are made without a compiled `__init__`, which costs as much as some fifty."""


class _Missing:
    __slots__ = ()


_MISSING = _Missing()


class Field:
    """One field. `factory` makes its default, where that is not a constant."""

    __slots__ = ("compare", "default", "factory", "name", "repr", "type")

    def __init__(self, default: Any, factory: Any, compare: bool = True, repr: bool = True) -> None:
        self.name = ""
        self.type = ""
        self.default = default
        self.factory = factory
        self.compare = compare
        self.repr = repr


def _field(
    *, default: Any = _MISSING, default_factory: Any = _MISSING, compare: bool = True, repr: bool = True
) -> Any:
    return Field(default, default_factory, compare, repr)


def _dataclass(*, frozen: bool = False, slots: bool = True) -> Callable[[type], type]:
    assert slots, "classes without slots are not made here"

    def decorate(cls: type) -> type:
        return _made(cls, frozen)

    return decorate


def _made(cls: type, frozen: bool) -> type:
    names = dict(cls.__dict__)
    known: dict[str, Field] = {}
    for base in cls.__mro__[:0:-1]:
        for one in base.__dict__.get("__fields__", ()):
            known[one.name] = one
    inherited = set(known)
    for name, annotation in names.get("__annotations__", {}).items():
        if annotation.startswith("ClassVar"):
            continue
        given = names.pop(name, _MISSING)
        one = given if isinstance(given, Field) else Field(given, _MISSING)
        one.name, one.type = name, annotation
        known[name] = one
    every = tuple(known.values())
    names.pop("__dict__", None)
    names.pop("__weakref__", None)
    names["__slots__"] = tuple(name for name in known if name not in inherited)
    names["__fields__"] = every
    names["__dataclass_fields__"] = _standard
    names.setdefault("__match_args__", tuple(known))
    names.setdefault("__repr__", _repr)
    names["__getstate__"], names["__setstate__"] = _getstate, _setstate
    if "__eq__" not in names:
        key = attrgetter(*compared) if (compared := [one.name for one in every if one.compare]) else _nothing
        names["__eq__"] = _equality(key)
        names["__hash__"] = _hashing(key) if frozen else None
    if frozen:
        names["__setattr__"], names["__delattr__"] = _refuse_set, _refuse_delete
    names["__init__"] = None
    made = type(cls)(cls.__name__, cls.__bases__, names)
    type.__setattr__(made, "__init__", _first_init(made, every))
    return made


def _nothing(value: object) -> object:
    return ()


def _equality(key: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def equal(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return key(self) == key(other)

    return equal


def _hashing(key: Callable[[Any], Any]) -> Callable[[Any], int]:
    def hashed(self: Any) -> int:
        return hash(key(self))

    return hashed


def _first_init(owner: Any, every: tuple[Field, ...]) -> Callable[..., None]:
    """An `__init__` that reads its arguments itself, and gives way to a compiled one."""
    left = _SLOW_INSTANCES
    setters: list[tuple[Field, Callable[[Any, Any], None]]] = []
    after = hasattr(owner, "__post_init__")

    def init(self: Any, /, *args: Any, **more: Any) -> None:
        nonlocal left
        left -= 1
        if not setters:
            setters.extend((one, getattr(owner, one.name).__set__) for one in every)
        if left < 0 or not _bound(self, setters, args, more):
            # What does not fit is left to the compiled one as well: it raises the usual TypeError.
            compiled = _compiled(owner, every, after)
            owner.__init__ = compiled
            compiled(self, *args, **more)
        elif after:
            self.__post_init__()

    return init


def _bound(
    self: Any,
    setters: list[tuple[Field, Callable[[Any, Any], None]]],
    args: tuple[Any, ...],
    more: dict[str, Any],
) -> bool:
    count, used = len(args), 0
    if count > len(setters):
        return False
    for index, (one, put) in enumerate(setters):
        if index < count:
            put(self, args[index])
        elif one.name in more:
            used += 1
            put(self, more[one.name])
        elif one.default is not _MISSING:
            put(self, one.default)
        elif one.factory is not _MISSING:
            put(self, one.factory())
        else:
            return False
    return used == len(more)


def _compiled(owner: Any, every: Iterable[Field], after: bool) -> Callable[..., None]:
    values: dict[str, Any] = {"_missing": _MISSING}
    parameters, body = [], []
    for one in every:
        name = one.name
        values[f"_set_{name}"] = getattr(owner, name).__set__
        if one.factory is not _MISSING:
            values[f"_new_{name}"] = one.factory
            parameters.append(f"{name}=_missing")
            body.append(f" _set_{name}(self, _new_{name}() if {name} is _missing else {name})")
            continue
        values[f"_default_{name}"] = one.default
        parameters.append(name if one.default is _MISSING else f"{name}=_default_{name}")
        body.append(f" _set_{name}(self, {name})")
    if after:
        body.append(" self.__post_init__()")
    text = f"def __init__({', '.join(['self', *parameters])}):\n" + "\n".join(body or [" pass"])
    made: dict[str, Any] = {}
    exec(text, values, made)
    init: Callable[..., None] = made["__init__"]
    init.__qualname__ = f"{owner.__qualname__}.__init__"
    return init


def _repr(self: Any) -> str:
    inside = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in self.__fields__ if one.repr)
    return f"{type(self).__qualname__}({inside})"


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in self.__fields__]


def _setstate(self: Any, state: list[Any]) -> None:
    for one, value in zip(self.__fields__, state, strict=True):
        object.__setattr__(self, one.name, value)


def _refuse_set(self: Any, name: str, value: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(self: Any, name: str) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"cannot delete field {name!r}")


class _Standard:
    """`__dataclass_fields__`, made when somebody asks: the functions of `dataclasses` work then too."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: Any) -> dict[str, Any]:
        import dataclasses

        out = {}
        for one in owner.__fields__:
            default = {} if one.default is _MISSING else {"default": one.default}
            factory = {} if one.factory is _MISSING else {"default_factory": one.factory}
            made: Any = dataclasses.field(**default, **factory, compare=one.compare, repr=one.repr)
            made.name, made.type = one.name, one.type
            made._field_type = dataclasses._FIELD  # type: ignore[attr-defined]
            out[one.name] = made
        return out


_standard = _Standard()


def _fields(value: Any) -> Any:
    """As the standard function, and for standard dataclasses too."""
    every = getattr(value, "__fields__", None)
    if every is not None:
        return every
    import dataclasses

    return dataclasses.fields(value)


def _replace(value: Any, /, **changes: Any) -> Any:
    """As the standard function, and for standard dataclasses too."""
    for one in _fields(value):
        if one.name not in changes:
            changes[one.name] = getattr(value, one.name)
    return value.__class__(**changes)


if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
else:
    dataclass, field, fields, replace = _dataclass, _field, _fields, _replace

__all__ = ["dataclass", "field", "fields", "replace"]

"""The flags of instructions (`COPY --from=…`): which there are, and reading them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from jettison.dockerfile.mistake import Mistake, nearest, shown

Kind = Literal["text", "bool", "list"]
Spec = Mapping[str, Kind]

NONE: Spec = {}
FROM: Spec = {"platform": "text"}
RUN: Spec = {"mount": "list", "network": "text", "security": "text"}
COPY: Spec = {
    "from": "text",
    "chown": "text",
    "chmod": "text",
    "link": "bool",
    "parents": "bool",
    "exclude": "list",
}
ADD: Spec = {
    "chown": "text",
    "chmod": "text",
    "link": "bool",
    "exclude": "list",
    "checksum": "text",
    "keep-git-dir": "bool",
    "unpack": "bool",
}
HEALTHCHECK: Spec = {
    "interval": "text",
    "timeout": "text",
    "start-period": "text",
    "start-interval": "text",
    "retries": "text",
}


class Flags:
    """The flags that were given, by name."""

    __slots__ = ("lists", "switches", "texts")

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.lists: dict[str, tuple[str, ...]] = {}
        self.switches: dict[str, bool] = {}

    def text(self, name: str, default: str = "") -> str:
        return self.texts.get(name, default)

    def list(self, name: str) -> tuple[str, ...]:
        return self.lists.get(name, ())

    def switch(self, name: str) -> bool:
        return self.switches.get(name, False)


_NO_FLAGS = Flags()


def read_flags(instruction: str, words: list[str], spec: Spec) -> Flags:
    """Read flags as `split_instruction` gives them. Raises Mistake."""
    if not words:
        return _NO_FLAGS
    flags = Flags()
    for word in words:
        name, equals, value = word[2:].partition("=")
        kind = spec.get(name)
        if kind is None:
            raise _unknown(instruction, name, spec)
        if name in flags.texts or name in flags.switches:
            raise Mistake(f"duplicate flag --{name} of {instruction}", "give it once")
        if kind == "bool":
            flags.switches[name] = _switch(instruction, name, equals, value)
            continue
        if not equals:
            raise Mistake(f"flag --{name} of {instruction} needs a value", f"write it as --{name}=VALUE")
        if kind == "text":
            flags.texts[name] = value
        else:
            flags.lists[name] = (*flags.lists.get(name, ()), value)
    return flags


def _switch(instruction: str, name: str, equals: str, value: str) -> bool:
    lower = value.lower()
    if not equals or lower == "true":
        return True
    if lower == "false":
        return False
    raise Mistake(
        f"flag --{name} of {instruction} expects a boolean, not {shown(value)}",
        f"write --{name}, --{name}=true or --{name}=false",
    )


def _unknown(instruction: str, name: str, spec: Spec) -> Mistake:
    meant = nearest(name, spec)
    if meant:
        hint = f"did you mean --{meant}?"
    elif spec:
        hint = f"{instruction} takes " + ", ".join(f"--{known}" for known in sorted(spec))
    else:
        hint = f"{instruction} takes no flags"
    return Mistake(f"unknown flag --{name[:40]} of {instruction}", hint)

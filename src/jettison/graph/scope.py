"""Variables of a build: which ARG and ENV values are seen where.

Follows the Dockerfile reference, sections ARG ("Scope", "Predefined ARGs") and
"Environment replacement": ENV wins over ARG, --build-arg over an ARG's default,
and a global ARG is seen in a stage only after the stage names it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jettison.dataclass import dataclass, field
from jettison.platforms import Platform

PROXIES = tuple(
    name
    for pair in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (pair, pair.lower())
)
"""Arguments that need no ARG, reach RUN, and stay out of cache keys, history and image."""

Lookup = Callable[[str], str | None]


def platform_args(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """The platform ARGs of the global scope (Dockerfile reference, "Automatic platform ARGs")."""
    out = {"TARGETSTAGE": stage}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        out[prefix + "PLATFORM"] = str(platform)
        out[prefix + "OS"] = platform.os
        out[prefix + "ARCH"] = platform.architecture
        out[prefix + "VARIANT"] = platform.variant
    return out


@dataclass(frozen=True, slots=True)
class GlobalScope:
    """What FROM lines may use: `declared` are the global ARGs with a value, `automatic` the platform ARGs."""

    build_args: Mapping[str, str]
    automatic: Mapping[str, str]
    declared: dict[str, str] = field(default_factory=dict)
    valueless: set[str] = field(default_factory=set)

    def lookup(self, name: str) -> str | None:
        """The value that a FROM line sees."""
        got = self.declared.get(name)
        return self.automatic.get(name) if got is None else got

    def declare(self, name: str, default: str | None) -> None:
        """Take in `ARG name[=default]`; the default is expanded already."""
        value = self.build_args.get(name, default)
        if value is None:
            self.valueless.add(name)
        else:
            self.declared[name] = value

    def for_stage(self, name: str, default: str | None) -> str | None:
        """The value of `ARG name[=default]` in a stage, or None where it stays unset."""
        if name in self.build_args:
            return self.build_args[name]
        if default is not None:
            return default
        return self.lookup(name)


@dataclass(slots=True)
class StageScope:
    """The variables of one stage while its instructions are read, one after the other."""

    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)

    def lookup(self, name: str) -> str | None:
        """What `$name` stands for."""
        got = self.env.get(name)
        return self.args.get(name) if got is None else got

    def process_env(self) -> dict[str, str]:
        """What a RUN finds in its environment: every ARG and ENV with a value, ENV winning."""
        return {**self.args, **self.env}

    def copy(self) -> StageScope:
        """The scope that a stage based on this one starts with."""
        return StageScope(dict(self.env), dict(self.args))


def env_of_config(config: Mapping[str, object]) -> dict[str, str]:
    """The Env of an image configuration as names and values; malformed items are dropped."""
    items = config.get("Env")
    out: dict[str, str] = {}
    for item in items if isinstance(items, (list, tuple)) else ():
        name, equals, value = str(item).partition("=")
        if equals and name:
            out[name] = value
    return out

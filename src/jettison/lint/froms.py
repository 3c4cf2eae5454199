"""Rules about FROM lines and the arguments in them."""

from __future__ import annotations

from collections.abc import Callable

from jettison.dockerfile.expand import expand
from jettison.dockerfile.instructions import Stage
from jettison.errors import DockerfileError, UsageError
from jettison.graph.scope import PROXIES, GlobalScope, platform_args
from jettison.lint.base import Subject


class Watched:
    """A lookup that remembers which names were asked for, and which of them had a value."""

    __slots__ = ("_lookup", "known", "unknown")

    def __init__(self, lookup: Callable[[str], str | None]) -> None:
        self._lookup = lookup
        self.known: set[str] = set()
        self.unknown: set[str] = set()

    def __call__(self, name: str) -> str | None:
        value = self._lookup(name)
        (self.unknown if value is None else self.known).add(name)
        return value


def check_froms(subject: Subject) -> None:
    """All rules of this file, for all stages."""
    facts = subject.facts
    automatic = platform_args(facts.build, facts.target, "")
    given = _scope(subject, GlobalScope(facts.build_args, automatic))
    plain = _scope(subject, GlobalScope({}, automatic))
    declared = {name for arg in subject.dockerfile.global_args for name, _ in arg.items}
    for stage in subject.dockerfile.stages:
        if "$" in stage.base:
            watched = Watched(given.lookup)
            _expanded(subject, stage.base, watched)
            _undefined(subject, stage, watched, declared | automatic.keys())
            _default(subject, stage, plain)
        if stage.platform:
            watched = Watched(given.lookup)
            text = _expanded(subject, stage.platform, watched)
            _undefined(subject, stage, watched, declared | automatic.keys())
            _redundant(subject, stage, watched, text == automatic["TARGETPLATFORM"])
            _constant(subject, stage, watched, text)


def _scope(subject: Subject, scope: GlobalScope) -> GlobalScope:
    for arg in subject.dockerfile.global_args:
        for name, default in arg.items:
            value = None if default is None else _expanded(subject, default, scope.lookup)
            scope.declare(name, value)
    return scope


def _expanded(subject: Subject, text: str, lookup: Callable[[str], str | None]) -> str | None:
    try:
        return expand(text, lookup, subject.dockerfile.escape)
    except DockerfileError:
        return None


def _undefined(subject: Subject, stage: Stage, watched: Watched, known: set[str]) -> None:
    for name in sorted(watched.unknown - known - set(PROXIES)):
        message = f"FROM uses the argument {name!r}, which no ARG before the first FROM declares"
        subject.report("UndefinedArgInFrom", message + meant(name, known), stage.location)


def meant(name: str, known: set[str]) -> str:
    """A question about the nearest known name, or nothing."""
    close = near(name, known)
    return f" (did you mean {close}?)" if close else ""


def near(name: str, known: set[str]) -> str:
    """The known name that was probably meant, or ""."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, sorted(known), n=1, cutoff=0.7)), "")


def _default(subject: Subject, stage: Stage, plain: GlobalScope) -> None:
    """Without --build-arg the FROM line should still name an image."""
    from jettison.oci.reference import parse

    text = _expanded(subject, stage.base, plain.lookup)
    try:
        valid = text is None or bool(parse(text))
    except UsageError:
        valid = False
    if not valid:
        message = f"with the defaults of its arguments, {stage.base!r} is {text!r}: not the name of an image"
        subject.report("InvalidDefaultArgInFrom", message, stage.location)


def _redundant(subject: Subject, stage: Stage, watched: Watched, same: bool) -> None:
    if watched.known == {"TARGETPLATFORM"} and not watched.unknown and same:
        message = f"--platform={stage.platform} is what FROM does anyway"
        subject.report("RedundantTargetPlatform", message, stage.location)


def _constant(subject: Subject, stage: Stage, watched: Watched, text: str | None) -> None:
    if watched.known or watched.unknown or not text:
        return
    from jettison.platforms import parse as parse_platform

    try:
        platform = parse_platform(text)
    except UsageError:
        return
    if platform.os in stage.name or platform.architecture in stage.name:
        return
    message = f"--platform={text} is a constant: the stage is for {text} whatever is asked for"
    subject.report("FromPlatformFlagConstDisallowed", message, stage.location)

"""Secrets by what they look like and by how they are used; their names are for SecretsUsedInArgOrEnv."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jettison.dockerfile.instructions import Add, Arg, Env, Instruction, Label, Run
from jettison.lint.base import Subject
from jettison.lint.shellwords import script_of
from jettison.location import Location

_SHAPES = (
    ("an access key of AWS", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a token of GitHub", r"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22}"),
    ("a token of GitLab", r"\bglpat-[\w-]{20}"),
    ("a token of Slack", r"\bxox[abprs]-[\w-]{10}"),
    ("a token of npm", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a token of PyPI", r"\bpypi-[\w-]{40}"),
    ("a key of Stripe", r"\b[rs]k_live_[0-9A-Za-z]{16}"),
    ("a key of Google", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    ("a JSON web token", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\."),
    ("an address with a password", r"\b[a-z][a-z0-9+.-]*://[^\s/:@$]+:[^\s/@$]+@"),
)
_USES = r"""(?xi)
    (?: authorization:\s*(?:bearer|basic|token)\s+   # a header of a request
      | _authtoken=  | --password[=\s]  | --token[=\s]
      | ://[^\s/@]*?                                 # before the @ of an address
    ) ["']? \$\{?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}?
"""


def check_secrets(subject: Subject) -> None:
    """Look at all values, and at what RUN does with variables."""
    shapes = [(what, re.compile(pattern)) for what, pattern in _SHAPES]
    for item, text in _texts(subject):
        for what, shape in shapes:
            if shape.search(text):
                message = (
                    f"a value of this {item.NAME} looks like {what}; everyone who has the image can read it"
                )
                subject.report("SecretValue", message, item.location)
                break
    _used(subject)


def _texts(subject: Subject) -> Iterator[tuple[Instruction, str]]:
    for arg in subject.dockerfile.global_args:
        for _, default in arg.items:
            yield arg, default or ""
    for stage in subject.dockerfile.stages:
        for item in stage.instructions:
            if isinstance(item, Arg):
                yield item, " ".join(default or "" for _, default in item.items)
            elif isinstance(item, Env | Label):
                yield item, " ".join(value for _, value in item.pairs)
            elif isinstance(item, Run):
                yield item, script_of(item)
            elif isinstance(item, Add):
                yield item, " ".join(item.sources)


def _used(subject: Subject) -> None:
    """A build argument or variable that a command uses as a password."""
    uses = re.compile(_USES)
    told: set[tuple[str, Location]] = set()
    for stage in subject.dockerfile.stages:
        places: dict[str, Instruction] = {}
        for item in stage.instructions:
            if isinstance(item, Arg):
                places.update(dict.fromkeys((name for name, _ in item.items), item))
            elif isinstance(item, Env):
                places.update(dict.fromkeys((name for name, _ in item.pairs), item))
            elif isinstance(item, Run):
                secret = {mount.env for mount in item.mounts}
                for found in uses.finditer(script_of(item)):
                    name = found["name"]
                    place = places.get(name)
                    if place is None or name in secret or (name, place.location) in told:
                        continue
                    told.add((name, place.location))
                    message = (
                        f"line {item.location.first_line} uses {name} as a secret, and {place.NAME} keeps its"
                        f" value in the image; use RUN --mount=type=secret,env={name}"
                    )
                    subject.report("SecretValue", message, place.location)

"""Two ops of one step, compared in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from jettison.why.base import Reason

Values = Mapping[str, tuple[str, str]]
"""Variables: ("ARG" or "ENV", value) by name."""

_SECRET = re.compile(r"(?i)passw|pwd|secret|token|credential|api_?key|(private|access|auth)_?key|^auth|_auth")
_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://)[^\s/@]+@")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_LONGEST = 80
_HIDDEN = "changed (its value is not shown)"

_OPTIONS = {
    "paths": "sources", "dest": "destination", "owner": "--chown", "mode": "--chmod", "link": "--link",
    "parents": "--parents", "exclude": "--exclude", "unpack": "--unpack", "network": "network",
    "security": "--security", "hostname": "host name", "hosts": "--add-host", "url": "address",
    "checksum": "--checksum", "subdir": "folder of the repository", "keep_git_dir": "--keep-git-dir",
    "path": "WORKDIR", "cwd": "WORKDIR", "user": "USER",
}  # fmt: skip
_DEFAULTS = {
    "user": "root",
    "network": "default",
    "security": "sandbox",
    "owner": "0:0",
    "mode": "as in the source",
}


def differences(
    new: dict[str, Any], old: dict[str, Any], texts: tuple[str, str], values: tuple[Values, Values]
) -> list[Reason]:
    """What differs between two ops of one type, the instruction's own text first.

    `texts` are the instructions as written, and `values` the variables of their stages, new and old.
    """
    out: list[Reason] = []
    written = texts[0] != texts[1]
    if written:
        out.append(Reason("command", f"the command changed: {short(texts[1])} → {short(texts[0])}"))
    out += _variables(new, old, texts, values)
    if new["type"] == "run":
        out += _run(new, old, written)
    out += _files(new.get("files", []), old.get("files", []))
    out += _remote(new, old)
    # The text of other instructions says all of their options; RUN has some that it does not say.
    if not written or new["type"] == "run":
        hidden = any(map(_SECRET.search, _VARIABLE.findall(texts[0])))
        out += _options(new, old, hidden and new["type"] != "run")
    return out


def _options(new: dict[str, Any], old: dict[str, Any], hidden: bool) -> Iterator[Reason]:
    for name, word in _OPTIONS.items():
        before, now = old.get(name), new.get(name)
        if before != now:
            change = _HIDDEN if hidden else f"{_shown(name, before)} → {_shown(name, now)}"
            yield Reason("option", f"{word} {change}")


def _shown(name: str, value: Any) -> str:
    if value is None or value == "":
        return _DEFAULTS.get(name, "none")
    if isinstance(value, bool):
        return "on" if value else "off"
    return short(" ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))


def _variables(
    new: dict[str, Any], old: dict[str, Any], texts: tuple[str, str], values: tuple[Values, Values]
) -> Iterator[Reason]:
    if new["type"] == "run":
        now, before = _env(new), _env(old)
    else:
        named = dict.fromkeys(_VARIABLE.findall(texts[0]))
        now, before = ({name: table[name][1] for name in named if name in table} for table in values)
    for name in dict.fromkeys((*now, *before)):
        if now.get(name) != before.get(name):
            own = values[0].get(name) or values[1].get(name)
            change = f"{own[0] if own else 'ENV'} {name} {_values(name, before.get(name), now.get(name))}"
            yield Reason("argument", change if own else f"{change} (of the base image)")


def _env(op: dict[str, Any]) -> dict[str, str]:
    return dict(item.partition("=")[::2] for item in op["env"])


def _values(name: str, before: str | None, now: str | None) -> str:
    if _SECRET.search(name):
        return _HIDDEN
    if before is None:
        return f"set to {short(now or '') or 'nothing'}"
    if now is None:
        return f"no longer set (was {short(before) or 'empty'})"
    return f"{short(before) or 'empty'} → {short(now) or 'empty'}"


def _run(new: dict[str, Any], old: dict[str, Any], written: bool) -> Iterator[Reason]:
    now, before = new["args"], old["args"]
    if now != before:
        if now[-1:] == before[-1:]:
            yield Reason("option", f"SHELL {short(' '.join(before[:-1]))} → {short(' '.join(now[:-1]))}")
        elif not written:
            yield Reason(
                "command", _lines("here-document", before[-1] if before else "", now[-1] if now else "")
            )
    mounts, others = _mounts(new), _mounts(old)
    for target, mount in mounts.items():
        other = others.get(target)
        if other is None:
            yield Reason("option", f"a {mount['type']} mount at {target} was added")
            continue
        if mount.get("stamp") and other.get("stamp") and mount["stamp"] != other["stamp"]:
            yield Reason("secret", f"the secret {mount['id']} changed")
        elif mount.get("stamp") != other.get("stamp"):
            counts = "counts now" if mount.get("stamp") else "does not count any more"
            yield Reason("secret", f"the secret {mount['id']} {counts} (key=content)")
        for name in mount.keys() | other.keys():
            # Inputs are numbers of this one op.
            if name not in ("input", "stamp") and mount.get(name) != other.get(name):
                yield Reason(
                    "option",
                    f"the {mount['type']} mount at {target}: {name}"
                    f" {_shown('', other.get(name))} → {_shown('', mount.get(name))}",
                )
    for target, mount in others.items():
        if target not in mounts:
            yield Reason("option", f"the {mount['type']} mount at {target} was removed")


def _mounts(op: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["target"] or f"${mount.get('env', '')}": mount for mount in op.get("mounts", ())}


def _files(new: list[dict[str, str]], old: list[dict[str, str]]) -> Iterator[Reason]:
    before = {item["name"]: item["data"] for item in old}
    for item in new:
        data = before.get(item["name"])
        if data is not None and data != item["data"]:
            yield Reason("command", _lines(f"here-document {item['name']}", data, item["data"]))


def _lines(what: str, old: str, new: str) -> str:
    before, now = old.splitlines(), new.splitlines()
    at = next(
        (i for i, pair in enumerate(zip(before, now, strict=False)) if pair[0] != pair[1]),
        min(len(before), len(now)),
    )
    one = short(before[at]) if at < len(before) else "nothing"
    two = short(now[at]) if at < len(now) else "nothing"
    return f"the {what} changed: line {at + 1}: {one} → {two}"


def _remote(new: dict[str, Any], old: dict[str, Any]) -> Iterator[Reason]:
    if new.get("commit") != old.get("commit"):
        yield Reason(
            "remote", f"{short(new['url'])} moved: commit {old['commit'][:12]} → {new['commit'][:12]}"
        )
    if new.get("pin") != old.get("pin") and new.get("url") == old.get("url"):
        yield Reason(
            "remote",
            f"{short(new['url'])} changed on the server:"
            f" {short(str(old.get('pin')))} → {short(str(new.get('pin')))}",
        )


def short(text: str) -> str:
    """A text for one line of a message: passwords in addresses left out, cut where it is long."""
    text = " ".join(without_password(text).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def without_password(text: str) -> str:
    """A text in which no address has a user and a password."""
    return _PASSWORD.sub(r"\1…@", text)


def printable(text: str) -> str:
    """A text whose line ends, escapes and undecodable bytes are written out: file names may hold any."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)

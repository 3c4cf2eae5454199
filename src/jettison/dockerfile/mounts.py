"""The options of `RUN --mount` (Dockerfile reference, RUN --mount)."""

from __future__ import annotations

import re
from collections.abc import Callable

from jettison.dataclass import dataclass, field
from jettison.dockerfile.instructions import Mount
from jettison.dockerfile.mistake import Mistake, nearest, shown
from jettison.dockerfile.values import boolean, size

_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_NAMES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = [
    "type",
    "from",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "readwrite",
    "rw",
    "id",
    "sharing",
    "required",
    "mode",
    "uid",
    "gid",
    "size",
    "env",
]
_SWITCHES = frozenset(("readonly", "readwrite", "required"))
_CSV_FIELD = r'(?s)(?:"((?:[^"]|"")*)"|([^",]*))(,|\Z)'

Expander = Callable[[str], str]


@dataclass(slots=True)
class _Draft:
    """A mount while its options are read."""

    type: str = "bind"
    read_only: bool | None = None
    given: dict[str, str] = field(default_factory=dict)
    required: bool = False
    size: int = 0


def read_mount(text: str, expand: Expander | None) -> Mount:
    """Read the value of one `--mount`. Raises Mistake.

    Without `expand` the result is pending: variables cannot be replaced yet, so
    only `from` is read, which is needed to know what a stage depends on.
    """
    draft = _Draft()
    for option in _fields(text):
        key, equals, value = option.partition("=")
        key = _known(key.lower(), option)
        if expand is None:
            if key == "from":
                _check_from(value)
                draft.given["from"] = value
            continue
        if key == "from":
            _check_from(value)
        _set(draft, key, expand(value) if equals else None, option)
    if expand is None:
        return Mount(text, from_=draft.given.get("from", ""), pending=True)
    return _finished(text, draft)


def _check_from(value: str) -> None:
    if "$" in value:
        raise Mistake(
            "'from' of RUN --mount doesn't support variable expansion, define an alias stage instead",
            "add FROM ${NAME} AS alias before this stage, with ARG NAME above it, and write from=alias",
        )


def _fields(text: str) -> list[str]:
    """One record of comma-separated values (RFC 4180)."""
    if '"' not in text:
        return text.split(",")
    csv_field = re.compile(_CSV_FIELD)
    fields: list[str] = []
    at = 0
    while True:
        found = csv_field.match(text, at)
        if not found:
            raise Mistake(
                f"cannot read --mount={text[:80]}: a quote stands inside an option", "quote whole options"
            )
        fields.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        at = found.end()
        if not found[3]:
            return fields


def _known(key: str, option: str) -> str:
    if key not in _KEYS:
        meant = nearest(key, _KEYS)
        raise Mistake(
            f"unexpected option {shown(key)} in {shown(option)} of RUN --mount",
            f"did you mean {meant}?" if meant else "options are " + ", ".join(_KEYS),
        )
    return _NAMES.get(key, key)


def _set(draft: _Draft, key: str, value: str | None, option: str) -> None:
    """Take over one option; None says that it stands without a value."""
    if value is None:
        if key not in _SWITCHES:
            raise Mistake(f"option {shown(option)} of RUN --mount needs a value", f"write it as {key}=VALUE")
        value = "true"
    if key == "type":
        draft.type = _one_of("mount type", value.lower(), _TYPES)
    elif key == "readonly":
        draft.read_only = boolean(key, value)
    elif key == "readwrite":
        draft.read_only = not boolean(key, value)
    elif key == "required":
        _only_for(draft, key, ("secret", "ssh"))
        draft.required = boolean(key, value)
    elif key == "size":
        _only_for(draft, key, ("tmpfs",))
        draft.size = size(value)
    elif key == "sharing":
        draft.given[key] = _one_of("sharing value", value.lower(), _SHARING)
    elif key in ("mode", "uid", "gid"):
        _number(key, value)
        draft.given[key] = value
    else:
        draft.given[key] = value


def _one_of(what: str, value: str, known: tuple[str, ...]) -> str:
    if value in known:
        return value
    meant = nearest(value, known)
    raise Mistake(
        f"unsupported {what} {shown(value)} of RUN --mount",
        f"did you mean {meant}?" if meant else "use " + ", ".join(known),
    )


def _only_for(draft: _Draft, key: str, types: tuple[str, ...]) -> None:
    if draft.type not in types:
        raise Mistake(
            f"unexpected option {key!r} for a {draft.type} mount",
            f"it is for type={' and '.join(types)}, type comes first",
        )


def _number(key: str, value: str) -> int:
    octal = key == "mode"
    if re.match(r"[0-7]{1,11}\Z" if octal else r"\d{1,10}\Z", value, re.ASCII):
        number = int(value, 8 if octal else 10)
        if number < 1 << 32:
            return number
    raise Mistake(f"invalid value {shown(value)} for {key} of RUN --mount: not a{'n octal' * octal} number")


def _finished(text: str, draft: _Draft) -> Mount:
    kind, given = draft.type, draft.given
    if kind not in ("secret", "ssh", "cache"):
        for key in ("mode", "uid", "gid"):
            if key in given:
                raise Mistake(
                    f"{key} is not allowed for a {kind} mount", "it is for cache, secret and ssh mounts"
                )
    if "env" in given and kind != "secret":
        raise Mistake(f"env is not allowed for a {kind} mount", "it is for secret mounts")
    if "sharing" in given and kind != "cache":
        raise Mistake(f"sharing is not allowed for a {kind} mount", "it is for cache mounts")
    if kind == "secret":
        _check_secret(given)
    target = given.get("target", "")
    if kind in ("bind", "cache", "tmpfs") and target.startswith("/") and _is_root(target):
        raise Mistake(
            f"invalid mount target {shown(target)}: nothing can be mounted over the root",
            "name a directory below /",
        )
    read_only = draft.read_only if draft.read_only is not None else kind not in ("cache", "tmpfs")
    return Mount(
        text=text,
        type=kind,
        from_=given.get("from", ""),
        source=given.get("source", ""),
        target=target,
        read_only=read_only,
        id=given.get("id", ""),
        sharing=given.get("sharing", "shared"),
        required=draft.required,
        mode=_number("mode", given["mode"]) if "mode" in given else None,
        uid=_number("uid", given["uid"]) if "uid" in given else None,
        gid=_number("gid", given["gid"]) if "gid" in given else None,
        size=draft.size,
        env=given.get("env", ""),
    )


def _is_root(path: str) -> bool:
    depth = 0
    for part in path.split("/"):
        depth = max(depth - 1, 0) if part == ".." else depth + (part not in ("", "."))
    return depth == 0


def _check_secret(given: dict[str, str]) -> None:
    if given.get("from"):
        raise Mistake("a secret mount has no from", "secrets come from the command line: --secret")
    if not (given.get("source") or given.get("target") or given.get("id") or given.get("env")):
        raise Mistake("a secret mount needs an id or a target", "for example --mount=type=secret,id=token")
    if given.get("source") and given.get("id"):
        raise Mistake("a secret mount has either source or id, not both", "write id only")

"""USER and --chown texts turned into numbers with the passwd and group files of an image.

Both files come as bytes, or None where the image has none, so that they can be
read from a mounted root filesystem and from layers alike.
"""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.errors import NotFound, SandboxError

_LIMIT = 1 << 31


@dataclass(frozen=True, slots=True)
class User:
    """Who a process runs as. `groups` are supplementary; `home` is "/" for a user with no passwd entry."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


@dataclass(frozen=True, slots=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def lookup(text: str, passwd: bytes | None, group: bytes | None) -> User:
    """Resolve the text of USER: name, name:group, uid or uid:gid, names and numbers mixed.

    A number needs no entry; one that has an entry brings its primary and
    supplementary groups, unless a group is given. The empty text is root. Raises SandboxError.
    """
    user_text, colon, group_text = text.strip().partition(":")
    user_text = user_text or "0"
    account = _find_account(user_text, passwd)
    if account is None:
        number = _number(user_text)
        if number is None:
            raise _unknown_user(user_text, passwd)
        account = _Account("", number, 0, "/")
    if colon and group_text:
        return User(account.uid, _group_id(group_text, group), (), account.home)
    groups = tuple(
        entry.gid for entry in _groups(group) if account.name in entry.members and entry.gid != account.gid
    )
    return User(account.uid, account.gid, tuple(dict.fromkeys(groups)), account.home)


def owner(text: str, passwd: bytes | None, group: bytes | None) -> tuple[int, int]:
    """Resolve the text of `--chown` to (uid, gid).

    Numbers are taken as they are, and a number alone is the group too; a name alone brings
    the group of its passwd entry. Raises NotFound for a name that is not in the image.
    """
    user_text, colon, group_text = text.strip().partition(":")
    uid = _number(user_text)
    if uid is not None:
        gid = uid
    elif not user_text:
        uid = gid = 0
    else:
        account = _find_account(user_text, passwd)
        if account is None:
            problem = _unknown_user(user_text, passwd)
            raise NotFound(problem.message, hint=problem.hint)
        uid, gid = account.uid, account.gid
    if colon and group_text:
        try:
            gid = _group_id(group_text, group)
        except SandboxError as error:
            raise NotFound(error.message, hint=error.hint) from error
    return uid, gid


def needs_files(text: str) -> bool:
    """Whether `owner` needs the image's passwd or group file: numbers alone never do."""
    return any(_number(part) is None for part in text.strip().split(":", 1) if part)


def _number(text: str) -> int | None:
    if text.isascii() and text.isdigit() and int(text) < _LIMIT:
        return int(text)
    return None


def _unknown_user(name: str, passwd: bytes | None) -> SandboxError:
    if passwd is None:
        return SandboxError(
            f"unable to find user {name}: the image has no /etc/passwd",
            hint="give a number instead, for example 1000:1000, or make the user in an earlier step",
        )
    return SandboxError(
        f"unable to find user {name}: no matching entry in /etc/passwd of the image",
        hint="make the user in an earlier step (adduser, useradd), or give its number",
    )


def _group_id(text: str, group: bytes | None) -> int:
    """The first group of that name; a number counts as it is."""
    for entry in _groups(group):
        if entry.name == text:
            return entry.gid
    number = _number(text)
    if number is not None:
        return number
    where = (
        "no matching entry in /etc/group of the image" if group is not None else "the image has no /etc/group"
    )
    raise SandboxError(
        f"unable to find group {text}: {where}",
        hint="make the group in an earlier step (addgroup, groupadd), or give its number",
    )


def _find_account(text: str, passwd: bytes | None) -> _Account | None:
    """The first entry with that name, or with that number when the text is one."""
    number = _number(text)
    for fields in _rows(passwd, 4):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == text or uid == number:
            return _Account(fields[0], uid, gid, (fields[5] if len(fields) > 5 else "") or "/")
    return None


def _groups(group: bytes | None) -> list[_Group]:
    out = []
    for fields in _rows(group, 3):
        gid = _number(fields[2])
        if gid is not None:
            members = fields[3].split(",") if len(fields) > 3 else []
            out.append(_Group(fields[0], gid, tuple(name.strip() for name in members if name.strip())))
    return out


def _rows(data: bytes | None, least: int) -> list[list[str]]:
    """The lines of a colon-separated file that have enough fields; comments and broken lines are skipped."""
    out = []
    for line in (data or b"").decode(errors="surrogateescape").split("\n"):
        fields = line.strip().split(":")
        if fields[0] and not fields[0].startswith("#") and len(fields) >= least:
            out.append(fields)
    return out

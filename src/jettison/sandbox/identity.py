"""Who this process is as far as building goes, and how it becomes who it has to be.

What can be isolated depends on it: root may mount, root of a user namespace may mount in there,
and what neither of them may do, nobody else may. To be settled before there are threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, get_args

from jettison import kernel
from jettison.errors import SandboxError, UsageError

Identity = Literal["root", "rootless", "single-id", "user"]
"""root; root of a user namespace with many ids; with one id; an ordinary user without a namespace."""

Isolation = Literal["auto", "root", "rootless", "single-id", "builtin", "chroot", "none"]
"""What --isolation takes: "auto" is the best that there is, the others from the best to nothing."""

ISOLATIONS: tuple[str, ...] = get_args(Isolation)


def checked(isolation: str) -> str:
    """A value of --isolation; "" is "auto", as is docker's "default". Raises UsageError for what is none."""
    if isolation in ("", "default"):
        return "auto"
    if isolation not in ISOLATIONS:
        raise UsageError(
            f"--isolation {isolation!r} is not known",
            hint=f"one of {', '.join(ISOLATIONS)}; see jettison doctor",
        )
    return isolation


def current() -> Identity:
    """Who this process is now."""
    if os.geteuid() != 0:
        return "user"
    ids = mapped_ids()
    if ids == ((0, 0, _ALL),):
        return "root"
    return "single-id" if sum(count for _, _, count in ids) == 1 else "rootless"


_ALL = 4294967295
"""How many ids there are."""


def mapped_ids(kind: Literal["uid", "gid"] = "uid") -> tuple[tuple[int, int, int], ...]:
    """The lines of /proc/self/uid_map or gid_map: the first id inside, the same one outside, how many."""
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        rows = [line.split() for line in file]
    return tuple((int(inside), int(outside), int(count)) for inside, outside, count in rows)


MORE_IDS = "add ids to this user's in /etc/subuid and /etc/subgid, or take --isolation single-id: it has any"


def missing_id(uid: int, gid: int) -> str:
    """Which of two ids there is not in this user namespace, such as "user 70000"; "" if it has both."""
    kinds: tuple[tuple[Literal["uid", "gid"], str, int], ...] = (("uid", "user", uid), ("gid", "group", gid))
    for kind, name, number in kinds:
        if not any(first <= number < first + count for first, _, count in mapped_ids(kind)):
            return f"{name} {number}"
    return ""


def settled(isolation: str) -> bool:
    """Whether this process is already who it has to be for an isolation.

    Ordinary users never are: a program that must stay as it is asks this, and builds in a child if not.
    """
    if os.geteuid() != 0:
        return False
    if isolation in ("rootless", "single-id"):
        return current() == isolation
    return isolation in ("root", "chroot", "none") or kernel.may_mount()


def become(isolation: str, *, marked: bool = False) -> None:
    """Come back as who can give an isolation, perhaps in a child of this process (see `rootless`).

    With "auto" it comes back in any case, as the best that it can be. `marked` says that JETTISON_ROOTLESS is
    set. Raises SandboxError when that isolation cannot be had by this process.
    """
    if settled(checked(isolation)) or isolation == "none":
        return
    root = os.geteuid() == 0
    if isolation == "root":
        raise SandboxError(
            "--isolation root: this process is not root",
            hint="start jettison as root, or leave the isolation to it",
        )
    ways = _ways(root, marked)
    if isolation in ways:
        ways[isolation]()
        return
    for way in ways.values():
        try:
            way()
            return
        except SandboxError:
            if marked and not root:
                raise


def _ways(root: bool, marked: bool) -> dict[str, Callable[[], None]]:
    """How to become root of a user namespace, the better one first."""
    from jettison.sandbox import rootless

    many = rootless.become_root_of_all if root else lambda: rootless.become_root(marked=marked)
    return {"rootless": many, "single-id": rootless.become_single}


def why_not_better(identity: Identity) -> str:
    """One sentence on why this process is not more than it is; "" for root."""
    if identity == "single-id":
        from jettison.sandbox.rootless import subordinate_problems

        ((_, uid, _),) = mapped_ids()
        if uid == 0:
            return "this process has no right to give a user namespace more than one id"
        problems = subordinate_problems(uid, uid)
        return problems[0].message if problems else "newuidmap refused the subordinate ids of this user"
    return {"root": "", "rootless": "this process is not root", "user": "user namespaces are refused here"}[
        identity
    ]

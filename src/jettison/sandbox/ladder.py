"""The ladder: which sandbox RUN gets, the best one that this process can have, and why no better one.

A rung is an identity (`identity.current`) and a sandbox. From the top: root and rootless with an OCI
runtime; single-id, whose processes only the built-in sandbox can serve; builtin, where there is
no runtime; chroot, where nothing may be mounted; and none, where RUN cannot be carried out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.errors import SandboxError
from jettison.events import Emit, IsolationChosen, Warned, ignore
from jettison.sandbox import identity, oci
from jettison.sandbox.base import PLAIN, Sandbox

_DOCTOR = "jettison doctor says what this machine offers, and which setting would change it"


_MAY_NOT_MOUNT = "this process may not mount anything: it lacks CAP_SYS_ADMIN"

_WHO = {
    "root": "this process is root",
    "rootless": "this process is root of a user namespace",
    "single-id": "this process is root of a user namespace with one id",
}


@dataclass(frozen=True, slots=True)
class Rung:
    """What was chosen. `isolation` is the rung's name, as --isolation takes it; `reason` why it is no better
    one ("" at the top)."""

    isolation: str
    identity: identity.Identity
    sandbox: Sandbox
    reason: str

    def event(self, asked_for: bool) -> IsolationChosen:
        """What a build says of it."""
        name = self.sandbox.name
        return IsolationChosen(time.time(), self.isolation, name, self.identity, self.reason, asked_for)


def chooser(isolation: str, runtime: str, emit: Emit = ignore) -> Callable[[], Sandbox]:
    """Gives the sandbox of a build; the first call chooses it, and tells so. See `choose`."""
    lock = threading.Lock()
    chosen: list[Sandbox] = []

    def sandbox() -> Sandbox:
        with lock:
            if not chosen:
                rung = kernel.private_mounts(lambda: choose(isolation, runtime))
                emit(rung.event(asked_for=identity.checked(isolation) != "auto"))
                if rung.sandbox.name == PLAIN:
                    from jettison.sandbox.chroot import NOT_ISOLATED

                    emit(Warned(time.time(), NOT_ISOLATED))
                chosen.append(rung.sandbox)
            return chosen[0]

    return sandbox


def choose(isolation: str, runtime: str = "") -> Rung:
    """The best rung, or the one that `isolation` names; `runtime` is an OCI runtime by name or path.

    Has to be called inside `kernel.private_mounts`, as what it finds is true there. Raises SandboxError when
    there is no such rung here.
    """
    wanted = identity.checked(isolation)
    who = identity.current()
    if wanted == "none":
        raise _refused("--isolation none was asked for", "leave it out, and the best isolation is taken")
    if who == "user":
        raise _refused(f"this process is not root, and {identity.why_not_better(who)}")
    if wanted == "root" and who == "rootless":
        wanted = who
    problems: list[str] = []
    for name, sandbox in _sandboxes(who, runtime if wanted in ("auto", who) else ""):
        if wanted not in ("auto", name):
            continue
        refused = "" if wanted == "root" else ", and user namespaces are refused"
        able = name == "chroot" or kernel.may_mount()
        problem = sandbox.check() if able else _MAY_NOT_MOUNT + refused
        if not problem:
            # What to do about it would not fit into a line: that is what the doctor is for.
            below = [text.partition(". ")[0] for text in problems] or [identity.why_not_better(who)]
            return Rung(name, who, sandbox, _joined(below) if wanted == "auto" else "")
        problems.append(problem)
    raise _refused(_joined(problems) or f"{_WHO[who]}, which rules out --isolation {isolation}")


def _sandboxes(who: identity.Identity, runtime: str) -> Iterator[tuple[str, Sandbox]]:
    """The sandboxes of an identity with the names of their rungs, the best first.

    Who names a runtime gets that or nothing.
    """
    if runtime and who == "single-id":
        raise _refused(
            f"{_WHO[who]}, and {runtime} needs several",
            "leave the runtime out; or see jettison doctor for how this user can have more ids",
        )
    # What an OCI runtime does needs more ids than one.
    if who != "single-id":
        yield who, oci.choose(runtime)
    if runtime:
        return
    # Most machines have the best, and the others take longer to import than a step takes.
    from jettison.sandbox.builtin import BuiltinSandbox

    builtin = BuiltinSandbox(single_id=who == "single-id")
    if who == "single-id":
        yield "single-id", builtin
    yield "builtin", builtin
    from jettison.sandbox.chroot import ChrootSandbox

    yield "chroot", ChrootSandbox()


def _joined(reasons: list[str]) -> str:
    return "; ".join(dict.fromkeys(reasons))


def _refused(why: str, hint: str = _DOCTOR) -> SandboxError:
    return SandboxError(f"RUN cannot be carried out here: {why}", hint=hint)

"""What this machine offers to RUN: each rung of the ladder tried for real, and what would change it.

The machine is never changed: trials are processes of their own, with a temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from jettison.dataclass import dataclass
from jettison.sandbox import settings
from jettison.sandbox.settings import Fact

RUNGS = ("root", "rootless", "single-id", "builtin", "chroot")
"""The rungs that can be tried, the best first."""

_PREFIX = ".jettison-doctor-"

_PATIENCE = 20.0
"""Seconds that a trial may take."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one rung. `problem` is "" when RUN works on it; `changes` would make it work.

    `overlay` says why layers cannot be mounted there and have to be copied ("": they can be).
    """

    isolation: str
    problem: str
    changes: tuple[str, ...] = ()
    sandbox: str = ""
    identity: str = ""
    overlay: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything. `isolation` is the rung that builds take, "none" when RUN cannot be carried out."""

    isolation: str
    trials: tuple[Trial, ...]
    facts: tuple[Fact, ...]

    @property
    def chosen(self) -> Trial | None:
        """The trial of the rung that builds take."""
        return next((trial for trial in self.trials if trial.isolation == self.isolation), None)


def examine(root: str, isolation: str, runtime: str, environment: Mapping[str, str]) -> Report:
    """Try all rungs, with the store's folder `root`; takes about half a second.

    `isolation` and `runtime` are what the configuration says, "" for nothing.
    """
    folder, store_problem = _place(root)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder, ignore_cleanup_errors=True) as work:
        machine = settings.read()
        answers = _try_all(work, isolation, runtime, environment)
    auto = answers.pop("").get("isolation", "none")
    trials = tuple(_trial(name, answer, machine) for name, answer in answers.items())
    best = next((trial for trial in trials if trial.isolation == auto), None)
    store = _store_fact(root, folder, store_problem, best)
    return Report(best.isolation if best else "none", trials, (store, *settings.facts()))


def _trial(name: str, answer: dict[str, str], machine: settings.Machine) -> Trial:
    problem = answer["problem"].removeprefix("RUN cannot be carried out here: ")
    return Trial(
        name,
        problem.partition(". ")[0],
        settings.changes(name, problem, answer.get("hint", ""), machine),
        answer.get("sandbox", ""),
        answer.get("identity", ""),
        answer.get("overlay", ""),
    )


def _try_all(
    work: str, isolation: str, runtime: str, environment: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """The answers of all trials, which run side by side; that of "" tells what a build would take."""
    given = {**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    children = {}
    for name in ("", *RUNGS):
        place = f"{work}/{name or 'build'}"
        os.mkdir(place)
        argv = [sys.executable, "-m", "jettison.sandbox.trial", name or isolation, runtime, place]
        children[name] = subprocess.Popen(
            argv, env=given, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    return {name: _answer(child) for name, child in children.items()}


def _answer(child: subprocess.Popen[bytes]) -> dict[str, str]:
    try:
        out, err = child.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"problem": f"it did not work within {_PATIENCE:.0f} s"}
    try:
        answer: dict[str, str] = json.loads(out)
    except ValueError:
        last = err.decode("utf-8", "replace").strip().rpartition("\n")[2]
        return {"problem": f"the trial ended with status {child.returncode}: {last}"}
    return answer


def _place(root: str) -> tuple[str, str]:
    """A folder to try things in, on the disk of the store; and what is wrong with the store's own."""
    path = root
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    try:
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=path):
            return path, ""
    except OSError as error:
        return tempfile.gettempdir(), f"nothing can be written in {path}: {error.strerror}"


def _store_fact(root: str, folder: str, problem: str, best: Trial | None) -> Fact:
    free = os.statvfs(folder)
    about = f"{root} ({settings.filesystem(folder)}, {free.f_bavail * free.f_frsize / 1e9:.1f} GB free)"
    if problem:
        return Fact(
            "store", False, f"{about}: {problem}", ("--root DIR, or JETTISON_ROOT, names another one",)
        )
    if best is not None and best.overlay:
        return Fact(
            "store",
            best.isolation == "chroot",
            f"{about}: no overlayfs in it ({best.overlay}); layers are copied for each RUN",
            () if best.isolation == "chroot" else ("--root DIR on ext4, xfs, btrfs or tmpfs",),
        )
    return Fact("store", True, about + (": overlayfs works in it" if best else ""))

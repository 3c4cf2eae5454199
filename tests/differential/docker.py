"""Agreement with Docker's BuildKit: the same case in a daemon of our own, by its image's facts."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.conformance import imagetree
from tests.differential.archives import CONFIG, archive_facts
from tests.differential.builds import Outcome
from tests.differential.case import Case, State, write
from tests.differential.oracles import Bench, Find

_TIMES_OUT = 60
_LATE = ("--parents", "--exclude=", "--unpack=", "--link", "--network")
_OPERATORS = re.compile(r"\$\{(\w+)(#|%|/|-|\+|\?)[^}]*\}")


class Reference:
    """A dockerd with the base image. `facts` builds a state with it."""

    def __init__(self, folder: Path, busybox: Path) -> None:
        from bench.docker import Docker

        folder.mkdir()
        self.folder = folder
        self.docker = Docker(folder, busybox)
        self.environment = {**os.environ, **self.docker.environment}

    def facts(self, context: Path, state: State) -> dict[str, Any] | str:
        """The image's facts, or the error's text."""
        words = [self.docker.client, "build", "--network=host", "--progress=plain", "-t", "fuzz"]
        words += [f"--build-arg={name}={value}" for name, value in state.args.items()]
        words += [f"--target={state.target}"] if state.target else []
        done = self._run(*words, str(context))
        if done.returncode:
            return done.stderr.decode("utf-8", "replace")
        archive = self.folder / "image.tar"
        saved = self._run(self.docker.client, "save", "-o", str(archive), "fuzz")
        if b"empty export" in saved.stderr:
            return {}
        assert saved.returncode == 0, saved.stderr
        return archive_facts(archive)

    def _run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMES_OUT,
            check=False,
        )

    def close(self) -> None:
        self.docker.close()


def agree(case: Case, bench: Bench, reference: Reference) -> Find | None:
    """The last state of a case, here and there."""
    *_, (state, _) = case.states()
    state = known_to_it(state)
    bench.clear()
    context = bench.folder / "context"
    write(state, context)
    ours = bench.build(bench.store("root"), context, state, epoch=False, layout=bench.folder / "image")
    if ours.status in ("late", "internal"):
        return None if ours.status == "late" else Find("internal", ours.text)
    theirs = reference.facts(context, state)
    return _compare(ours, theirs)


def _compare(ours: Outcome, theirs: dict[str, Any] | str) -> Find | None:
    if isinstance(theirs, str):
        if ours.status == "error":
            return None
        return Find("docker-refuses", "\n".join(theirs.strip().splitlines()[-4:]))
    if not theirs:
        return None  # An image without layers, which Docker builds but cannot write down.
    if ours.status == "error":
        return Find("docker-builds", ours.text)
    facts = ours.facts()
    mine = {
        "tree": {
            path: {key: value for key, value in entry.items() if key != "same_as"}
            for path, entry in facts["tree"].items()
        },
        "config": {name: value for name, value in facts["config"].items() if name in CONFIG},
        "layers": facts["layers"],
    }
    found = imagetree.diff(theirs, mine)
    return Find("docker-differs", "\n".join(found[:20])) if found else None


def known_to_it(state: State) -> State:
    """Without what only versions know that are later than those that systems install."""
    lines = []
    for line in state.dockerfile:
        if "<<" in line:
            continue
        kept = [word for word in line.split(" ") if not word.startswith(_LATE)]
        kept = ["--chmod=640" if word.startswith("--chmod") and "=" in word[8:] else word for word in kept]
        lines.append(_OPERATORS.sub(r"${\1}", " ".join(kept)))
    return replace(state, dockerfile=tuple(lines), inside=True)

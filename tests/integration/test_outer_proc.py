"""Where the kernel lets nobody mount a new /proc, a step sees the outer one: what it can read in there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.situations import STRANGER, TOOLS, UNCONFINED, Machine, Situation

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="taking rights away needs root"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"),
]

USER = Situation("user-in-a-container", "single-id", uid=STRANGER, masked=True)

DOCKERFILE = """FROM busybox
RUN test -e /proc/self/status && echo "status $(cat /proc/[0-9]*/environ /proc/[0-9]*/maps 2>/dev/null \\
    | tr '\\\\0' '\\\\n' | grep -c -e JETTISON_ROOT -e libpython)"
RUN for pid in $(ls /proc | grep '^[0-9]'); do readlink /proc/$pid/exe; readlink /proc/$pid/cwd; done; true
RUN echo 1000 2>/dev/null > /proc/self/oom_score_adj; echo written $?
USER 7:8
RUN echo "user $(id -u) $(id -g)"
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="jettison-outer-proc-") as place:
        yield Machine(Path(place))


@pytest.mark.parametrize("situation", [UNCONFINED, USER], ids=str)
def test_nothing_of_the_builder(machine: Machine, situation: Situation, busybox_layout: Path) -> None:
    base = machine.place / "busybox"
    if not base.exists():
        shutil.copytree(busybox_layout, base)
    context = machine.home(situation) / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    for path in (base, *base.rglob("*"), context, *context.rglob("*")):
        path.chmod(0o755)
    named = f"busybox=oci-layout://{base}"
    done = machine.jettison(situation, "build", "--progress", "plain", "--build-context", named, context)
    assert done.code == 0, done.text
    shown = [line.split(" ", 2) for line in done.err.splitlines() if line.startswith("#")]
    lines = [words[2] for words in shown if len(words) == 3 and not words[2].startswith("RUN")]
    assert "status 0" in lines, done.text
    assert {"user 7 8", "written 1"} <= set(lines)
    # Nobody's program or working folder but those of the step itself.
    assert {line for line in lines if line.startswith("/") and " " not in line} <= {
        "/",
        "/bin/sh",
        "/bin/busybox",
    }

"""How far copies, packing and exports are, as `--progress jsonl` tells it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Jettison

Project = Callable[..., Path]

AT_ONCE = """\
import jettison.events
from jettison.cli.main import entry

# On a fast machine all of this is over before anything is told.
jettison.events._FIRST = 0.0
entry()
"""
DOCKERFILE = """\
FROM scratch AS source
COPY app /app
FROM scratch
COPY --from=source /app/a /app/b /copied/
COPY app/c app/d /copied/
"""
SIZES = {"a": 9_000_000, "b": 8_000_001, "c": 6_000_000, "d": 5}


def test_copies_and_exports_tell_bytes_that_grow_until_all_are_there(
    project: Project, tmp_path: Path
) -> None:
    files = {f"app/{name}": os.urandom(size // 2) + bytes(size - size // 2) for name, size in SIZES.items()}
    folder = project(files, DOCKERFILE)
    kinds = ("oci", "docker", "tar", "local")
    outputs = [word for kind in kinds for word in ("-o", f"type={kind},dest={tmp_path / kind}")]
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, "build", "--progress", "jsonl", *outputs, folder],
        env={**os.environ, "JETTISON_ROOT": str(tmp_path / "store")},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    told: dict[str, list[dict[str, Any]]] = {}
    names = {event["step"]: event["name"] for event in events if event["type"] == "StepStarted"}
    for event in events:
        if event["type"] == "StepProgress":
            name = f"{event['label']} {names.get(event['step'], '')}".strip()
            told.setdefault(name, []).append(event)
    everything = sum(SIZES.values())
    archives = [(tmp_path / kind).stat().st_size for kind in ("oci", "docker")]
    expected = {
        "[source 1/1] reading for COPY app /app": everything,
        "copying [source 1/1] COPY app /app": everything,
        "[stage-1 1/2] reading for COPY --from=source /app/a /app/b /copied/": 17_000_001,
        "copying [stage-1 1/2] COPY --from=source /app/a /app/b /copied/": 17_000_001,
        "copying [stage-1 2/2] COPY app/c app/d /copied/": 6_000_005,
        f"writing {tmp_path / 'tar'}": everything,
        f"writing {tmp_path / 'local'}": everything,
    }
    assert {name: told[name][-1]["total"] for name in expected} == expected
    for kind, size in zip(("oci", "docker"), archives, strict=True):
        # The rest of an archive is headers and small documents.
        assert 0 < size - told[f"writing {tmp_path / kind}"][-1]["total"] < 20_000
    for name, found in told.items():
        counts = [event["done"] for event in found]
        assert counts == sorted(counts) and counts[-1] == found[-1]["total"], name
        assert len(counts) > 1 and 0 < counts[0] < counts[-1], name


def test_reading_that_takes_too_long_can_be_stopped(jettison: Jettison, project: Project) -> None:
    folder = project(dockerfile="FROM scratch\nCOPY . /\n")
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 42)
    process = jettison.start(
        "build", "--progress", "jsonl", folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        for line in process.stdout:
            if json.loads(line)["type"] == "StepProgress":
                process.send_signal(signal.SIGINT)
                break
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"stopped\n")

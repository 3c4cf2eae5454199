"""A program that builds again and again in one process, and tells what it holds as JSON lines.

    python -m tests.e2e.many_builds FOLDER here|worker COUNT

FOLDER has `base`, an OCI layout; the store and the project are made beside it. Every kind of build takes
its turn: cached, with a changed file, with a RUN, failing, cancelled, of a Dockerfile that is none. `here`
is in this process where that is root; `worker` is how an ordinary user's program builds.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import jettison
from jettison.config import Config
from jettison.events import Event, StepOutput
from jettison.worker import build_in_worker

DOCKERFILE = """FROM base AS one
COPY f /f
FROM base
ARG N=0
RUN --mount=type=secret,id=s --mount=type=cache,target=/c --mount=type=bind,from=one,target=/one cat /one/f
RUN --mount=type=ssh if [ "$N" != 0 ]; then echo "this is $N"; fi; if [ "$N" = fail ]; then exit 1; fi; \\
 if [ "$N" = stop ]; then echo waiting; sleep 100; fi
COPY --from=one /f /g
"""
KINDS = ("cached", "copy", "run", "fail", "stop", "wrong", "archive", "cached")


def held(root: Path) -> dict[str, int]:
    """What this process holds: numbers of things, and memory in KiB."""
    gc.collect()
    # A thread that has been waited for is in the kernel's list for a moment longer.
    end = time.monotonic() + 10
    while len(os.listdir("/proc/self/task")) > threading.active_count() and time.monotonic() < end:
        time.sleep(0.001)
    children = sum(
        len(Path(f"/proc/self/task/{task}/children").read_text().split())
        for task in os.listdir("/proc/self/task")
    )
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "children": children,
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "temporary": len(os.listdir(root / "tmp")) + len(os.listdir(root / "locks")),
        "memory": int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024,
    }


def build(kind: str, number: int, folder: Path, where: str) -> str:
    """One build; gives what came of it."""
    cancel = threading.Event()

    def hear(event: Event) -> None:
        if kind == "stop" and isinstance(event, StepOutput) and b"waiting" in event.data:
            cancel.set()

    if kind == "copy":
        (folder / "project/f").write_text(f"{number}\n" * 1000)
    values = {"run": str(number), "fail": "fail", "stop": "stop"}
    outputs = (jettison.Output("oci", str(folder / "out.tar")),) if kind == "archive" else ()
    request = jettison.BuildRequest(
        context=str(folder / "project"),
        file_text="FROM base\nRUM x\n" if kind == "wrong" else DOCKERFILE,
        build_args={"N": values.get(kind, "0")},
        build_contexts={"base": f"oci-layout://{folder}/base"},
        secrets=(jettison.Secret("s", env="S"),),
        environment={"S": "a secret value"},
        ssh=(f"default={folder}/agent",),
        outputs=outputs,
    )
    config = Config(str(folder / "store"))
    try:
        if where == "worker":
            result = build_in_worker(request, config, hear, cancel)
        else:
            result = jettison.build_request(request, config=config, on_event=hear, cancel=cancel)
    except jettison.JettisonError as error:
        return type(error).__name__
    return "ran" if result.ran else "cached"


def main(folder: Path, where: str, count: int) -> None:
    """Build so many times."""
    (folder / "project").mkdir()
    (folder / "project/f").write_text("first\n")
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(f"{folder}/agent")
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        came = build(kind, number, folder, where)
        print(json.dumps({"kind": kind, "came": came, **held(folder / "store")}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

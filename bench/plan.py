"""How long it takes to read and plan a large Dockerfile: 2,000 lines, 100 stages, all of them needed.

    python -m bench.plan

Prints the median of 15 runs, and beside it that of a fixed piece of Python work, by which numbers of
two machines can be compared. Nothing is built: base images are made up.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from jettison.events import ignore
from jettison.graph.ops import GitOp, HttpOp
from jettison.graph.stages import Origin
from jettison.graph.state import Remote
from jettison.inputs import Contexts
from jettison.oci.config import ImageConfig
from jettison.planning import make_plan, parse_file
from jettison.platforms import Platform
from jettison.request import BuildRequest
from jettison.sources.base import BaseImage

STAGES = 100
LINES = 2000


def dockerfile() -> bytes:
    """Stages that copy from the one before them, with a bit of everything in each."""
    lines = ["ARG BASE=debian:bookworm-slim"]
    for number in range(STAGES):
        lines.append(f"FROM ${{BASE}} AS stage{number}")
        if number:
            lines.append(f"COPY --from=stage{number - 1} /out/{number - 1} /in/")
        lines += ["ARG VERSION=1.0", 'ENV NAME="stage" \\', f"    NUMBER={number}", "WORKDIR /src/$NUMBER"]
        while len(lines) % (LINES // STAGES):
            count = len(lines)
            lines.append(f"RUN make part{count} VERSION=${{VERSION}} && install -m 755 part{count} /usr/bin/")
    return "\n".join(lines).encode() + b"\n"


def resolve(origin: Origin, platform: Platform) -> BaseImage:
    config = ImageConfig(platform.os, platform.architecture, diff_ids=("sha256:" + "0" * 64,))
    return BaseImage(origin.name, "sha256:" + "0" * 64, "made up", config, ())


def no_remote(remote: Remote) -> HttpOp | GitOp:
    raise AssertionError(remote)


def plan(data: bytes) -> int:
    """Read and plan the file; give the number of vertices."""
    contexts = Contexts({"": "."}, {})
    parsed = parse_file(data, "Dockerfile")
    made = make_plan(BuildRequest(), parsed, contexts, resolve, no_remote, ignore, time.time)
    return len(made.graph.vertices)


def median(work: Callable[[], object]) -> float:
    """Seconds."""
    times = []
    for _ in range(15):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    data = dockerfile()
    vertices = plan(data)
    seconds = median(lambda: plan(data))
    yardstick = median(lambda: sum(number * number for number in range(500_000)))
    lines = data.count(b"\n")
    print(f"{lines} lines, {STAGES} stages, {vertices} steps: {seconds * 1000:.0f} ms")
    print(f"500,000 multiplications in Python: {yardstick * 1000:.0f} ms")


if __name__ == "__main__":
    main()

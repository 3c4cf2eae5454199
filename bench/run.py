"""Runs the workloads with every builder in turn, and prints medians and ratios.

    python -m bench.run                  all workloads, all builders of this machine
    python -m bench.run --quick          a smoke test of the bench itself
    python -m bench.run noop stages      these workloads only

The builders take turns within every round, so that a busy moment of the machine hits all of
them alike. Only the ratios mean something: they are medians divided by jettison's.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.conformance import make_base

from bench.buildah import Buildah
from bench.builder import Builder, Jettison, Unavailable
from bench.buildkit import BuildKit
from bench.docker import Docker
from bench.workloads import FULL, QUICK, WORKLOADS, Case

BUILDERS = (Jettison, Docker, BuildKit, Buildah)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(WORKLOADS))
    parser.add_argument("--quick", action="store_true", help="tiny workloads, one round")
    parser.add_argument(
        "--builder", action="append", metavar="NAME", help="only these (default: all there are)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times as well")
    args = parser.parse_args()
    unknown = set(args.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(WORKLOADS)}")
    # being told to stop must not leave daemons and mounts behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jettison-bench-")))
        base = work / "base"
        make_base.make(str(base))
        builders = list(available(stack, work, base, args.builder))
        names = [builder.name for builder in builders]
        print_head(names)
        report: dict[str, dict[str, list[float]]] = {}
        for name in args.workloads or WORKLOADS:
            for case in WORKLOADS[name](work, QUICK if args.quick else FULL):
                report[case.name] = times = measure(case, builders)
                print_line(case.name, names, times)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(times.get(name) for times in report.values() for name in names) else 1


def available(stack: ExitStack, work: Path, base: Path, wanted: list[str] | None) -> Iterator[Builder]:
    """The builders that this machine has; what is left out is said, with its reason."""
    for kind in BUILDERS:
        if wanted and kind.name not in wanted:
            continue
        try:
            builder: Builder = kind(work, base)
        except (Unavailable, RuntimeError) as reason:
            print(f"without {kind.name}: {reason}", flush=True)
            continue
        stack.callback(builder.close)
        print(f"{builder.name}: {builder.note}", flush=True)
        yield builder


def measure(case: Case, builders: list[Builder]) -> dict[str, list[float]]:
    """Seconds of every round, by builder. A builder that fails is said, and has no more rounds."""
    times: dict[str, list[float]] = {builder.name: [] for builder in builders}
    failed: set[str] = set()
    for number in range(case.rounds):
        turn = number % len(builders)
        for builder in builders[turn:] + builders[:turn]:
            if builder.name in failed:
                continue
            try:
                case.before(builder)
                start = time.perf_counter()
                case.measure(builder)
                times[builder.name].append(time.perf_counter() - start)
            except RuntimeError as error:
                failed.add(builder.name)
                times[builder.name].clear()
                print(f"{case.name}: {builder.name} failed: {error}", file=sys.stderr, flush=True)
    return times


def print_head(names: list[str]) -> None:
    print(f"\n{'':38}" + "".join(f"{name:>20}" for name in names), flush=True)


def print_line(case: str, names: list[str], times: dict[str, list[float]]) -> None:
    """Medians, and how many times jettison's that is."""
    own = statistics.median(times["jettison"]) if times.get("jettison") else 0.0
    cells = []
    for name in names:
        if not times[name]:
            cells.append("failed")
            continue
        median = statistics.median(times[name])
        ratio = f" x{median / own:5.2f}" if own and name != "jettison" else ""
        cells.append(f"{median:8.3f} s{ratio}")
    print(f"{case:38}" + "".join(f"{cell:>20}" for cell in cells), flush=True)


if __name__ == "__main__":
    sys.exit(main())

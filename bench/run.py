"""Runs rows of the speed table with every builder in turn, and prints medians and ratios.

    python -m bench.run                    all rows, all builders of this machine
    python -m bench.run --json FILE        the same, kept for python -m bench.report FILE
    python -m bench.run noop stages        these rows only
    python -m bench.run --quick            a smoke test of the bench itself

The builders take turns within every round, so that a busy moment of the machine hits all of
them alike. Only the ratios mean something: jettison's median divided by another's.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.conformance import make_base

from bench import results, rows_files, rows_live, rows_registry, rows_steps
from bench.buildah import Buildah
from bench.builder import Builder, Unavailable
from bench.buildkit import BuildKit
from bench.docker import Docker
from bench.image import Base
from bench.jettison import Jettison
from bench.measure import BUDGET, measure
from bench.row import FULL, QUICK, Row, Shop

ROWS: dict[str, Callable[[Shop], Row]] = {
    "noop": rows_steps.noop,
    "noop-large": rows_files.noop_large,
    "context-cold": rows_files.context_cold,
    "context-changed": rows_files.context_changed,
    "context-zstd": rows_files.context_zstd,
    "steps": rows_steps.steps,
    "stages": rows_steps.stages,
    "copy-from": rows_files.copy_from,
    "seed": rows_steps.seed,
    "pull": rows_registry.pull,
    "push": rows_registry.push,
    "memory": rows_files.memory_peak,
    "memory-growth": rows_files.memory_growth,
    "live": rows_live.live,
}
LATE = 15 * 60
"""Seconds after which rows have one round only, so that a slow machine comes to an end as well."""
BUILDERS = ("jettison", "buildkit", "docker", "buildah")


def main() -> int:
    args = arguments()
    # being told to stop must not leave daemons and mounts behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scale, start = QUICK if args.quick else FULL, time.monotonic()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jettison-bench-")))
        layout = work / "base"
        make_base.make(str(layout))
        base = Base("busybox", layout)
        builders = list(available(stack, work, base, args.builder or BUILDERS))
        if not builders:
            print("there is no builder to measure", file=sys.stderr)
            return 1
        document = results.begin(args.json, scale.name, builders)
        if args.json:
            results.write(args.json, document)
        shop = Shop(work, scale, base, builders, stack)
        whole = True
        for name in args.rows or ROWS:
            try:
                late = time.monotonic() - start > LATE
                measured = measure(ROWS[name](shop), builders, 0 if late else BUDGET)
            except (Unavailable, RuntimeError) as reason:
                print(f"\nwithout {name}: {reason}", flush=True)
                results.skip(document, name, str(reason))
                whole = whole and isinstance(reason, Unavailable)
            else:
                results.add(document, name, measured.document(), ROWS)
                print(f"\n{results.lines(name, document)}", flush=True)
                whole = whole and not measured.failed
            if args.json:
                results.write(args.json, document)
    return 0 if whole else 1


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--quick", action="store_true", help="tiny rows, one round")
    parser.add_argument(
        "--builder", action="append", choices=BUILDERS, help="only these (default: all there are)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write all results; rows that FILE has already stay or are replaced",
    )
    args = parser.parse_intermixed_args()
    unknown = [name for name in args.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return args


def available(stack: ExitStack, work: Path, base: Base, wanted: tuple[str, ...]) -> Iterator[Builder]:
    """The builders that this machine has; what is left out is said, with its reason."""
    starts: dict[str, Callable[[], Builder]] = {
        "jettison": partial(Jettison, work),
        "buildkit": partial(BuildKit, work),
        "docker": partial(Docker, work),
        "buildah": partial(Buildah, work, base),
    }
    for name, start in starts.items():
        if name not in wanted:
            continue
        try:
            builder = start()
        except (Unavailable, RuntimeError) as reason:
            print(f"without {name}: {reason}", flush=True)
            continue
        stack.callback(builder.close)
        print(f"{name} {builder.version}: {builder.note}", flush=True)
        yield builder


if __name__ == "__main__":
    sys.exit(main())

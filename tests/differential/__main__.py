"""python -m tests.differential [--minutes N] [--seed S] [--finds FOLDER] [--replay FILE ...]

Builds random cases and checks that cached, repeated and clean builds come to the same. Every find is
minimised, told in a line and kept as a case file; move it to tests/differential/cases once it is mended.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.conformance import make_base
from tests.differential.builds import prepare_store
from tests.differential.case import Case, from_json, to_json
from tests.differential.generate import generate
from tests.differential.oracles import Bench, Find, check, repaired
from tests.differential.shrink import shrink

Check = Callable[[Case], Find | None]


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.differential",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; the next ones follow")
    parser.add_argument("--count", type=int, default=0, help="stop after so many cases")
    parser.add_argument("--finds", type=Path, default=Path("finds"), help="where case files are written")
    parser.add_argument("--shrink", type=float, default=60.0, help="seconds to minimise a find")
    parser.add_argument("--replay", type=Path, nargs="*", help="check these case files only")
    parser.add_argument("--docker", action="store_true", help="compare with a dockerd of its own instead")
    parser.add_argument("--show", action="store_true", help="print the cases")
    return parser.parse_args()


def main() -> int:
    given = options()
    with tempfile.TemporaryDirectory(prefix="jettison-fuzz-", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        make_base.make(str(base / "busybox"))
        bench = Bench(base / "work", prepare_store(base, base / "busybox"))
        if not given.docker:
            return start(given, bench, partial(check, bench=bench))
        from tests.differential.docker import Reference, agree

        reference = Reference(base / "reference", base / "busybox")
        try:
            return start(given, bench, partial(agree, bench=bench, reference=reference))
        finally:
            reference.close()


def start(given: argparse.Namespace, bench: Bench, test: Check) -> int:
    return replay(given.replay, bench, test) if given.replay else fuzz(given, bench, test)


def replay(files: list[Path], bench: Bench, test: Check) -> int:
    bad = 0
    for path in files:
        failed = bench.failed
        find = test(from_json(path.read_text()))
        bad += find is not None
        fine = f"ok, with {bench.failed - failed} failing builds"
        print(f"{path}: {f'{find.kind}: {find.detail}' if find else fine}", flush=True)
    return min(bad, 1)


def fuzz(given: argparse.Namespace, bench: Bench, test: Check) -> int:
    start = time.monotonic()
    seed = given.seed
    seen: dict[str, int] = {}
    told = start
    while time.monotonic() - start < given.minutes * 60 and (
        not given.count or seed < given.seed + given.count
    ):
        case = generate(seed)
        if seed % 5:
            case = repaired(case, bench)
        if given.show:
            print(f"--- {seed}\n{case.state.text()}", flush=True)
        find = test(case)
        if find is not None:
            mark = signature(find)
            seen[mark] = seen.get(mark, 0) + 1
            report(seed, case, find, test, given, quick=seen[mark] > 2)
        seed += 1
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(progress(given.seed, seed, start, bench, seen), flush=True)
    print(progress(given.seed, seed, start, bench, seen), flush=True)
    return 1 if seen else 0


def progress(first: int, seed: int, start: float, bench: Bench, seen: dict[str, int]) -> str:
    minutes = (time.monotonic() - start) / 60
    return (
        f"{minutes:.1f} min: seeds {first}..{seed - 1}, {bench.builds} builds"
        f" ({bench.failed} with an error, {bench.late} too slow),"
        f" {sum(seen.values())} finds of {len(seen)} kinds"
    )


def signature(find: Find) -> str:
    """What finds of one cause have in common, roughly."""
    lines = find.detail.strip().splitlines()
    line = lines[-1] if find.kind == "internal" else lines[0]
    return find.kind + " " + "".join(c for c in line if not c.isdigit())[:40]


def report(seed: int, case: Case, find: Find, test: Check, given: argparse.Namespace, quick: bool) -> None:
    def shows(smaller: Case) -> bool:
        got = test(smaller)
        return got is not None and got.kind == find.kind and (
            find.kind != "internal" or signature(got) == signature(find)
        )  # fmt: skip

    if not quick:
        case = shrink(case, shows, given.shrink)
        find = test(case) or Find(find.kind, "not every time: " + find.detail)
    given.finds.mkdir(parents=True, exist_ok=True)
    path = given.finds / f"{find.kind}-{seed}.json"
    path.write_text(to_json(case, f"{find.kind}: {find.detail}"))
    print(f"FIND seed {seed} {find.kind} -> {path}\n{find.detail[-1500:]}", flush=True)
    if not quick:
        print(case.state.text() + "".join(f"change {change}\n" for change in case.changes), flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""Run a builder over the cases and report where it differs from the reference.

The builder is a command template. Placeholders: {context} the context folder,
{file} the Dockerfile, {flags} the case's flags as docker-build takes them
(--build-arg, --target, -f, ...), {out} the OCI archive to write, {base} the OCI
layout of the base image that cases know as "busybox", {name} the case.
{flags} as a word of its own becomes one word per flag; inside a longer word
(of a script for sh -c) it is shell-quoted.

Lint cases run with the lint template, whose output must hold a JSON document
{"warnings": [{"ruleName": R, "location": {"start": {"line": N}}}]}; they are
left out when only --builder is given.

A case fails when the build's status is not the expected one, when the image's
facts differ, when an error's message has none of the case's words, or when the
builder ends with a Python traceback. Differences read "expected != got"; a path
with + is extra in the image, one with - is missing. The last line is
"N passed, N failed", and the exit status 1 when a case failed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import shutil
import sys

from tests.conformance import corpus, imagetree
from tests.conformance.compare import BUILDER, LINTER, check


def show(r, lines):
    if r["passed"]:
        return
    print(f"FAIL {r['case']}: {r['about']}")
    for line in r["differences"][:lines]:
        print("     " + line)
    if len(r["differences"]) > lines:
        print(f"     ... {len(r['differences']) - lines} more")
    sys.stdout.flush()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--builder", metavar="TEMPLATE", help="default: " + BUILDER)
    ap.add_argument("--lint-builder", metavar="TEMPLATE", help="default: " + LINTER)
    ap.add_argument(
        "-k", action="append", default=[], metavar="SUBSTRING", help="only cases whose name has this in it"
    )
    ap.add_argument(
        "--jobs", type=int, default=os.cpu_count(), help="cases at a time (default: one per core)"
    )
    ap.add_argument("--timeout", type=float, default=120, help="seconds for each build (default: 120)")
    ap.add_argument("--base", metavar="LAYOUT_DIR", help="layout made by make-base (default: make one)")
    ap.add_argument("--cases", default=corpus.CASES, metavar="DIR", help="folder of the cases")
    ap.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="GLOB",
        help="differences that do not count: layers, history, message, config.Env, /path ...",
    )
    ap.add_argument("--isolation", metavar="NAME", help="what the builds get as $JETTISON_ISOLATION")
    ap.add_argument("--json", metavar="FILE", help="write a report")
    ap.add_argument("--lines", type=int, default=12, help="differences shown per case (default: 12)")
    ap.add_argument("--keep", action="store_true", help="leave the work folders of failing cases")
    a = ap.parse_args()
    lint = a.lint_builder or not a.builder
    build = a.builder or not a.lint_builder
    a.builder = a.builder or BUILDER
    a.lint_builder = a.lint_builder or LINTER
    todo = [corpus.Case(n, os.path.abspath(a.cases)) for n in corpus.names(a.k, a.cases)]
    todo = [c for c in todo if (lint if c.lint else build)]
    if not todo:
        ap.error("no such case")
    if a.isolation:
        os.environ["JETTISON_ISOLATION"] = a.isolation
    layout, made = corpus.ensure_base(a.base)
    results = []
    try:
        base = imagetree.facts(layout)
        with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
            for r in pool.map(lambda c: check(c, layout, base, a), todo):
                results.append(r)
                show(r, a.lines)
    finally:
        if made:
            shutil.rmtree(made)
    failed = sum(not r["passed"] for r in results)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(
                {"passed": len(results) - failed, "failed": failed, "cases": results},
                f,
                indent=1,
                ensure_ascii=False,
            )
            f.write("\n")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

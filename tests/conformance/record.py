"""Record what the reference builder makes of the cases.

    python -m tests.conformance.record [-k SUBSTRING ...] [--jobs N] [--base LAYOUT_DIR]

Builds each case with BuildKit ($BUILDCTL, $BUILDKIT_HOST; see builders/buildkit)
and writes expected.json, or expected-lint.json for a lint case. A case whose
outcome is not the "expect" of its case.json is reported and not recorded, and so
is one whose variants differ.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import sys
import tempfile

from tests.conformance import corpus, imagetree

BUILDER = [sys.executable, os.path.join(corpus.HERE, "builders", "buildkit")]


def message(err):
    found = [line for line in err.splitlines() if re.match(r"(ERROR|error): ", line)]
    lines = [re.sub(r"^(ERROR|error): ", "", line) for line in found]
    if not lines:
        return ""
    for pattern, plain in (
        (r"/\S*/case/", ""),
        (r"/\S*/cachemounts/buildkit\d+", ""),
        (r"of ref \S+: ", "of "),
    ):
        lines[-1] = re.sub(pattern, plain, lines[-1])
    return lines[-1]


def record(case, base_layout, base, timeout):
    seen = []
    for v in case.variants:
        work = tempfile.mkdtemp(prefix="conformance-")
        try:
            context = corpus.prepare(case, work, v)
            out = os.path.join(work, "out.tar")
            argv = [*BUILDER, "--build-context", "busybox=oci-layout://" + base_layout]
            argv += corpus.flags(case, context)
            argv += ["--check", context] if case.lint else ["--output", "type=oci,dest=" + out, context]
            status, stdout, err = corpus.run(argv, case, work, timeout)
            if status is None:
                return "timed out"
            if case.lint:
                doc = corpus.lint_facts(stdout) if status == 0 else None
                if doc is None:
                    return "lint failed: " + message(err)
            elif status:
                doc = {"status": "error", "message": message(err)}
            else:
                facts = imagetree.facts(out)
                doc = dict(status="ok", **corpus.to_delta(facts, base))
                back = corpus.from_delta(doc, base)
                assert not imagetree.diff(facts, back), imagetree.diff(facts, back)
            seen.append(doc)
        finally:
            corpus.remove(work)
    if not case.lint and doc["status"] != case.doc["expect"]:
        return f"expected {case.doc['expect']}, the reference says {doc['status']} {doc.get('message', '')}"
    if any(d != doc for d in seen):
        return "variants differ"
    with open(case.expected_path, "w") as f:
        json.dump(doc, f, indent=1, sort_keys=False, ensure_ascii=False)
        f.write("\n")
    return None


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument(
        "-k", action="append", default=[], metavar="SUBSTRING", help="only cases whose name has this in it"
    )
    ap.add_argument("--jobs", type=int, default=os.cpu_count())
    ap.add_argument("--timeout", type=float, default=120)
    ap.add_argument("--base", help="layout made by make-base (default: make one)")
    a = ap.parse_args()
    layout, made = corpus.ensure_base(a.base)
    bad = 0
    todo = [corpus.Case(n) for n in corpus.names(a.k)]
    try:
        base = imagetree.facts(layout)
        with concurrent.futures.ThreadPoolExecutor(a.jobs) as pool:
            problems = pool.map(lambda c: record(c, layout, base, a.timeout), todo)
            for case, problem in zip(todo, problems, strict=True):
                if problem:
                    bad += 1
                    print(f"{case.name}: {problem}", flush=True)
    finally:
        if made:
            shutil.rmtree(made)
    print(f"{len(todo) - bad} recorded, {bad} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""Build one case and say where the result differs from what is recorded."""

from __future__ import annotations

import fnmatch
import os
import re
import tempfile
import time

from tests.conformance import corpus, imagetree

BUILDER = (
    "jettison build --build-context busybox=oci-layout://{base} {flags}"
    " --output type=oci,dest={out} {context}"
)
LINTER = "jettison build --check --format=json --build-context busybox=oci-layout://{base} {flags} {context}"


def subject(line):
    """What a difference is about: layers, config.Env, /path ..."""
    m = re.match(r"[-+~] (.+?) (?:\{|\w+: )", line)
    return m.group(1) if m else line.split(":")[0]


def tail(text, n=6):
    return ["| " + line for line in text.strip().splitlines()[-n:]]


def attempt(case, variant, template, layout, base, opts):
    """Build once; return a list of (kind, line)."""
    work = tempfile.mkdtemp(prefix="conformance-")
    problems = []
    try:
        context = corpus.prepare(case, work, variant)
        out = os.path.join(work, "out.tar")
        file = os.path.normpath(os.path.join(context, case.args.get("file", "Dockerfile")))
        argv = corpus.expand(
            template,
            {
                "context": context,
                "file": file,
                "flags": corpus.flags(case, context),
                "out": out,
                "base": layout,
                "name": case.name,
            },
        )
        status, stdout, err = corpus.run(argv, case, work, opts.timeout)
        want = case.expected()
        if status is None:
            return [("timeout", f"no end after {opts.timeout:g} s")] + [
                ("output", line) for line in tail(err or stdout)
            ]
        crashed = "Traceback (most recent call last)" in err + stdout
        if case.lint:
            if crashed or (status and not stdout.strip()):
                return [("status", f"lint ended with status {status}")] + [
                    ("output", line) for line in tail(err or stdout)
                ]
            try:
                got = corpus.lint_facts(stdout)
            except (ValueError, KeyError, TypeError) as e:
                return [("output", f"lint report not understood: {e!r}")] + [
                    ("output", line) for line in tail(stdout)
                ]
            problems += [("lint", f"missing {w['rule']} on line {w['line']}") for w in want if w not in got]
            problems += [("lint", f"extra {w['rule']} on line {w['line']}") for w in got if w not in want]
            if len(want) != len(got) and not problems:
                problems.append(("lint", f"{len(got)} warnings for {len(want)}"))
            return problems
        if want["status"] == "error":
            words = case.doc.get("error_contains", [])
            if status == 0:
                problems.append(("status", "built, but must fail: " + want["message"]))
            elif crashed:
                problems.append(("crash", "failed with a traceback"))
            elif words and not any(w.lower() in (err + stdout).lower() for w in words):
                problems.append(("message", "message has none of " + ", ".join(map(repr, words))))
            if problems and status:
                problems += [("output", line) for line in tail(err or stdout)]
            return problems
        if status:
            return [("status", f"failed with status {status}, but must build")] + [
                ("output", line) for line in tail(err or stdout)
            ]
        if not os.path.exists(out):
            return [("status", "said to have built, but wrote no image")]
        try:
            got = imagetree.facts(out)
        except Exception as e:
            return [("image", f"image not understood: {type(e).__name__}: {e}")]
        for line in imagetree.diff(corpus.from_delta(want, base), got):
            key = subject(line)
            problems.append(("tree" if key.startswith("/") else key.split(".")[0], line))
        return problems
    finally:
        if opts.keep and problems:
            print(f"kept {case.name}: {work}", flush=True)
        else:
            corpus.remove(work)


def check(case, layout, base, opts):
    started = time.monotonic()
    template = opts.lint_builder if case.lint else opts.builder
    problems = [] if os.path.exists(case.expected_path) else [("expected", "nothing recorded for this case")]
    for v in case.variants if not problems else ():
        found = attempt(case, v, template, layout, base, opts)
        found = [
            (k, line)
            for k, line in found
            if not any(fnmatch.fnmatch(n, g) for g in opts.ignore for n in (k, subject(line)))
        ]
        if all(k == "output" for k, _ in found) and not any("not understood" in line for _, line in found):
            found = []
        if found and len(case.variants) > 1:
            found.insert(0, ("output", f"variant {v}:"))
        problems += found
    return {
        "case": case.name,
        "about": case.doc["about"],
        "passed": not problems,
        "kinds": sorted({k for k, _ in problems if k != "output"}),
        "differences": [line for _, line in problems],
        "seconds": round(time.monotonic() - started, 2),
    }

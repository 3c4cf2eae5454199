"""What recording and checking share: cases, their contexts, flags and expected facts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import tempfile

from tests.conformance import make_base

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "cases")
OWN_CASES = os.path.join(HERE, "own")  # written from the reference by hand, not recorded
# Of a case, never of its context:
NOT_CONTEXT = {"case.json", "expected.json", "expected-lint.json", "setup.sh"}
BIG = 65536  # files of the base above this size are recorded as copies of it, not by content


class Case:
    def __init__(self, name, root=CASES):
        self.name = name
        self.dir = os.path.join(root, name)
        with open(os.path.join(self.dir, "case.json")) as f:
            self.doc = json.load(f)
        self.args = self.doc.get("args", {})
        self.lint = bool(self.doc.get("lint"))
        self.variants = range(1, self.doc.get("variants", 1) + 1)
        self.expected_path = os.path.join(self.dir, "expected-lint.json" if self.lint else "expected.json")

    def expected(self):
        with open(self.expected_path) as f:
            return json.load(f)


def names(substrings=(), root=CASES):
    out = sorted(n for n in os.listdir(root) if os.path.exists(os.path.join(root, n, "case.json")))
    return [n for n in out if not substrings or any(s in n for s in substrings)]


def all_cases():
    """Every case by name: the recorded ones and our own."""
    found = {name: Case(name) for name in names()}
    for name in names(root=OWN_CASES):
        assert name not in found, f"two cases are named {name}"
        found[name] = Case(name, OWN_CASES)
    return found


def prepare(case, work, variant=1):
    """Copy a case under work, run its setup.sh, and return the context folder.

    Modes are reset to 644/755 first, so that neither the checkout's umask nor
    its owner has a say in the facts.
    """
    home = os.path.join(work, "case")
    shutil.copytree(
        case.dir, home, symlinks=True, ignore=lambda d, ns: NOT_CONTEXT & set(ns) if d == case.dir else ()
    )
    for base, _, files in os.walk(home):
        os.chmod(base, 0o755)
        for n in files:
            p = os.path.join(base, n)
            if not os.path.islink(p):
                os.chmod(p, 0o755 if os.stat(p).st_mode & stat.S_IXUSR else 0o644)
    context = os.path.join(home, "context")
    if not os.path.isdir(context):
        context = home
    script = os.path.join(case.dir, "setup.sh")
    if os.path.exists(script):
        subprocess.run(
            ["sh", "-eu", "-c", 'umask 022; . "$0"', script],
            cwd=context,
            check=True,
            env=dict(os.environ, VARIANT=str(variant), LC_ALL="C.UTF-8"),
        )
    return context


def flags(case, context):
    """The case's args as docker-build flags."""
    a, out = case.args, []

    def path(p):
        return os.path.normpath(os.path.join(context, p))

    if "file" in a:
        out += ["-f", path(a["file"])]
    if "target" in a:
        out += ["--target", a["target"]]
    if "platform" in a:
        out += ["--platform", a["platform"]]
    for k, v in a.get("build_arg", {}).items():
        out += ["--build-arg", f"{k}={v}"]
    for k, v in a.get("label", {}).items():
        out += ["--label", f"{k}={v}"]
    for k, v in a.get("build_context", {}).items():
        out += ["--build-context", f"{k}={v if '://' in v else path(v)}"]
    for s in a.get("secret", []):
        out += [
            "--secret",
            ",".join("src=" + path(p[4:]) if p.startswith("src=") else p for p in s.split(",")),
        ]
    for h in a.get("add_host", []):
        out += ["--add-host", h]
    for name in a.get("allow", []):
        out += ["--allow", name]
    if a.get("no_cache"):
        out += ["--no-cache"]
    return out


def expand(template, values):
    """Split a command template into words and fill in its {placeholders}.

    A word that is just {flags} becomes one word per flag; inside a longer word
    (a script for sh -c, say) the flags come shell-quoted.
    """
    out = []
    for word in shlex.split(template):
        if word == "{flags}":
            out += values["flags"]
            continue
        for k, v in values.items():
            word = word.replace("{" + k + "}", shlex.join(v) if isinstance(v, list) else v)
        out.append(word)
    if "/" in out[0]:
        out[0] = os.path.abspath(out[0])
    return out


def run(argv, case, cwd, timeout):
    """Return (status, output): status is an exit code, or None when time ran out."""
    env = dict(os.environ, **case.args.get("env", {}))
    env.pop("SSH_AUTH_SOCK", None)
    try:
        p = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as e:
        raise SystemExit(f"cannot run {argv[0]}: {e.strerror}")
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        try:
            os.killpg(p.pid, 9)
        except ProcessLookupError:
            pass
        out, err = p.communicate()
        return None, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    return p.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def remove(path):
    """Delete a work folder, whatever modes a setup script left behind."""

    def again(fn, p, _):
        os.chmod(os.path.dirname(p), 0o700)
        if not os.path.islink(p):
            os.chmod(p, 0o700)
        fn(p)

    shutil.rmtree(path, onerror=again)


def ensure_base(path):
    if path:
        return os.path.abspath(path), None
    made = tempfile.mkdtemp(prefix="conformance-base-")
    layout = os.path.join(made, "layout")
    make_base.make(layout)
    return layout, made


# Expected facts are kept as what the case adds to its base, so that the base
# (another busybox, say) may change without recording everything anew.


def to_delta(facts, base):
    from_base = facts["diff_ids"][: len(base["diff_ids"])] == base["diff_ids"]
    ref = base if from_base else {"tree": {}, "layers": 0, "history": 0}
    big = {}
    for p, e in base["tree"].items():
        if e.get("size", 0) > BIG and (e["sha256"] not in big or os.path.basename(p) == "busybox"):
            big[e["sha256"]] = p
    tree = {}
    for p, e in facts["tree"].items():
        if ref["tree"].get(p) == e:
            continue
        e = dict(e)
        if e.get("sha256") in big:
            e["copy_of"] = big[e.pop("sha256")]
            e.pop("size")
        tree[p] = e
    return {
        "base": "busybox" if from_base else "scratch",
        "os": facts["os"],
        "architecture": facts["architecture"],
        "variant": facts["variant"],
        "author": facts["author"],
        "config": facts["config"],
        "layers": facts["layers"] - ref["layers"],
        "history": facts["history"] - ref["history"],
        "removed": sorted(set(ref["tree"]) - set(facts["tree"])),
        "tree": tree,
    }


def from_delta(delta, base):
    ref = base if delta["base"] == "busybox" else {"tree": {}, "layers": 0, "history": 0}
    tree = {p: e for p, e in ref["tree"].items() if p not in set(delta["removed"])}
    for p, e in delta["tree"].items():
        e = dict(e)
        if "copy_of" in e:
            src = base["tree"][e.pop("copy_of")]
            e["sha256"], e["size"] = src["sha256"], src["size"]
        tree[p] = e
    out = {k: delta[k] for k in ("os", "architecture", "variant", "author", "config")}
    out.update(
        layers=delta["layers"] + ref["layers"],
        history=delta["history"] + ref["history"],
        tree=dict(sorted(tree.items())),
    )
    return out


def lint_facts(text):
    """Rule names and lines out of a lint report: {"warnings": [{"ruleName", "location"}]}.

    location may be {"ranges": [{"start": {"line": N}}]} (docker, buildctl) or
    {"start": {"line": N}} or {"line": N}. Text around the JSON document is ignored.
    """
    start = text.find("{")
    if start < 0:
        raise ValueError("no JSON document in the output")
    doc = json.JSONDecoder().raw_decode(text[start:])[0]
    out = []
    for w in doc.get("warnings") or []:
        loc = w.get("location") or {}
        spot = (loc.get("ranges") or [loc])[0]
        at = spot.get("start", spot.get("line"))
        out.append({"rule": w["ruleName"], "line": (at.get("line") if isinstance(at, dict) else at) or 0})
    return sorted(out, key=lambda w: (w["line"], w["rule"]))

"""Random contexts, Dockerfiles and changes, the same ones for the same seed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random

from tests.differential.case import Case, Change, Entry, State, changed
from tests.differential.commands import MODES, command

NAMES = (
    *("a", "b", "c.txt", "d.log", "e.md", "f.txt", ".hidden", "lib", "src", "docs", "node_modules", "build"),
    *("with blank", "ünï", "\udcff\udcfe", "-dash", "q'uote", "dollar$x", "A", "a.txt", "p[id]"),
    *("new\nline", "tab\tx", "back\\slash", " lead", "trail ", "x" * 200, "st*r", "\x01ctl", "wh.a"),
)
FOLDERS = ("src", "src/lib", "docs", "lib", "src/deep/er", "with blank", "build", "ünï")
OWNERS = ("1:2", "1000", "daemon", "nobody:daemon", "0:0", "root:7", "65534:65534", "3:nogroup")
DESTS = ("/o/", "/o/x", "/", "./", ".", "rel/", "/o/d/e/", "/l/", "/etc/", "new", "/o/x/", "$D/", "/o/../p/")
VALUES = ("one", "two words", "", "a/b/c.txt", "x.y.z", "$A", "${B:-none}", "\\$esc", "ünï", '"q"', "/o")
OPERATORS = (
    *("$A", "${A}", "${A:-dflt}", "${A-dflt}", "${B:+set}", "${B+set}", "${A#*/}", "${A##*/}", "${A%.*}"),
    *("${A%%.*}", "${A/b/X}", "${A//./_}", "${C:-${A:-in}}", "${B:-$D}", "pre${A}post", "${A#a}"),
)


@dataclass
class Model:
    """What is roughly known of a stage while it is written."""

    name: str
    runs: bool
    paths: list[str]
    at: int = 0
    lines: list[str] = field(default_factory=list)


def generate(seed: int) -> Case:
    """A case: a state and some changes."""
    r = Random(seed)
    files = make_files(r)
    state = State(
        tuple(make_dockerfile(r, files)), files, {"A": r.choice(VALUES)} if r.random() < 0.4 else {}
    )
    if r.random() < 0.1:
        state = State(state.dockerfile, files, state.args, "s0")
    state = replace(state, inside=r.random() < 0.5)
    changes: list[Change] = []
    now = state
    for _ in range(r.choice((1, 1, 2, 2, 3, 4))):
        change = make_change(r, now, state)
        changes.append(change)
        now = changed(now, change)
    return Case(state, tuple(changes), r.random() < 0.85, r.randrange(64))


def make_files(r: Random) -> dict[str, Entry]:
    files: dict[str, Entry] = {}
    for _ in range(r.randint(3, 14)):
        add_file(r, files)
    if r.random() < 0.35:
        files[".dockerignore"] = {"text": "".join(ignore_line(r) + "\n" for _ in range(r.randint(1, 5)))}
    return files


def ignore_line(r: Random) -> str:
    choices = (
        *("*.log", "**/*.md", "!docs/e.md", "*", "!src", "!*.txt", "src/**/a", "docs", "!docs/a", "# words"),
        *(
            "node_modules",
            "**/build",
            "!**/c.txt",
            "/lib",
            "lib/",
            "?.txt",
            "[a-c]*",
            " b ",
            "src/*",
            "!src/lib",
        ),
        *("**", "!a", "!b", "!**/a", "with blank", "./src/../docs", "", "ü*", "!lib/**"),
    )
    return r.choice(choices)


def add_file(r: Random, files: dict[str, Entry]) -> str:
    folder = r.choice(("", "", *FOLDERS))
    path = f"{folder}/{r.choice(NAMES)}".lstrip("/")
    if any(files.get(up, {"kind": "dir"}).get("kind") != "dir" for up in _above(path)):
        return path
    if path in files or any(other.startswith(path + "/") for other in files):
        return path
    files[path] = make_entry(r, files)
    return path


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:at]) for at in range(1, len(parts))]


def make_entry(r: Random, files: dict[str, Entry]) -> Entry:
    dice = r.random()
    plain = [path for path, entry in files.items() if entry.get("kind", "file") == "file"]
    if dice < 0.08:
        return {"kind": "dir", "mode": r.choice((0o755, 0o700, 0o1777, 0o2755, 0o750))}
    if dice < 0.18:
        near = r.choice(("a", "b", "src", "../a", "/etc/passwd", "missing", ".", "docs", "/o/x", "lib/a"))
        return {"kind": "link", "to": near}
    if dice < 0.26 and plain:
        return {"kind": "hard", "to": r.choice(plain)}
    if dice < 0.28:
        return {"kind": "fifo"}
    if dice < 0.38:
        return make_tar(r)
    text = r.choice(
        ("", "x", "hello\n", "#!/bin/sh\necho hi\n", "same", "same", f"{r.random()}\n", "y" * 5000)
    )
    return {"text": text, "mode": r.choice((0o644, 0o644, 0o644, *MODES))}


def make_tar(r: Random) -> Entry:
    names = ("t/a", "t", "t/b", "etc/passwd", "d/", "d/e", "l", "t/h", "./t/c", "x", "ünï/b")
    members: list[list[object]] = []
    for _ in range(r.randint(1, 6)):
        name = r.choice(names)
        dice = r.random()
        member: Entry = {"text": r.choice(("1", "22", "")), "mode": r.choice((0o644, 0o755, 0o4755))}
        if name.endswith("/") or dice < 0.15:
            member = {"kind": "dir", "mode": r.choice((0o755, 0o700, 0o1777))}
        elif dice < 0.3:
            member = {"kind": "link", "to": r.choice(("t", "/etc/passwd", "../x", "d", "a"))}
        elif dice < 0.4 and members:
            member = {"kind": "hard", "to": str(r.choice(members)[0]).rstrip("/")}
        if r.random() < 0.3:
            member["owner"] = [r.choice((0, 5, 1000)), r.choice((0, 6))]
        members.append([name, member])
    return {"kind": "tar", "members": members, "pack": r.choice(("", "gz", "bz2", "xz"))}


def make_dockerfile(r: Random, files: dict[str, Entry]) -> list[str]:
    lines = []
    if r.random() < 0.3:
        lines.append("ARG A=" + quote(r.choice(VALUES)))
    stages: list[Model] = []
    for number in range(r.choice((1, 2, 2, 3, 3, 4))):
        stage = begin(r, stages, number)
        for _ in range(r.randint(1, 6)):
            stage.lines.append(instruction(r, stage, stages, files))
        stages.append(stage)
    last = stages[-1]
    for stage in stages[:-1]:
        if r.random() < 0.7:
            last.lines.append(copy_from(r, last, stage))
    return lines + [line for stage in stages for line in stage.lines]


def begin(r: Random, stages: list[Model], number: int) -> Model:
    name = f"s{number}"
    dice = r.random()
    if dice < 0.25 and stages:
        base = r.choice(stages)
        return Model(name, base.runs, list(base.paths), number, [f"FROM {base.name} AS {name}"])
    if dice < 0.4:
        return Model(name, False, [], number, [f"FROM scratch AS {name}"])
    known = ["/etc/passwd", "/bin/env", "/home", "/tmp", "/usr/bin", "/etc"]
    return Model(name, True, known, number, [f"FROM busybox AS {name}"])


def instruction(r: Random, stage: Model, stages: list[Model], files: dict[str, Entry]) -> str:
    dice = r.random()
    if dice < 0.32:
        return run(r, stage, stages, files) if stage.runs else copy(r, stage, files)
    if dice < 0.62:
        return copy(r, stage, files)
    if dice < 0.7:
        return copy_from(r, stage, r.choice(stages)) if stages else copy(r, stage, files)
    if dice < 0.75:
        return here_copy(r, stage)
    if dice < 0.8:
        return (
            f"WORKDIR {r.choice(('/o', 'rel', '/o/d/e', '/w/$A', '${D:-/o}/x', '/l', '/', '..', '/new dir'))}"
        )
    if dice < 0.86:
        return f"ENV {r.choice('ABCD')}={quote(r.choice((*VALUES, *OPERATORS)))}"
    if dice < 0.91:
        value = r.choice(("", "=" + quote(r.choice((*VALUES, *OPERATORS)))))
        return f"ARG {r.choice('ABCD')}{value}"
    if dice < 0.94:
        return "ONBUILD " + (
            run(r, stage, [], files) if stage.runs and r.random() < 0.5 else copy(r, stage, files)
        )
    return r.choice(
        (
            f"LABEL l{r.randint(0, 2)}={quote(r.choice(OPERATORS))}",
            f"USER {r.choice(('1000', 'daemon', 'nobody:0', 'root', '0', '5:6'))}",
            "EXPOSE 80 443/udp 9000-9002",
            "VOLUME /o",
            'CMD ["sh", "-c", "x"]',
            "ENTRYPOINT /bin/env",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=2 CMD true",
            'SHELL ["/bin/sh", "-ec"]',
        )
    )


def quote(value: str) -> str:
    return value if value and not set(value) & set(" \"'") else json.dumps(value, ensure_ascii=False)


def listed(words: list[str]) -> str:
    """Words of a COPY: in JSON where a word has blanks."""
    if any(" " in word or not word for word in words):
        return json.dumps(words, ensure_ascii=False)
    return " ".join(words)


def copy_flags(r: Random, add: bool) -> list[str]:
    flags = []
    if r.random() < 0.2:
        flags.append("--chown=" + r.choice(OWNERS))
    if r.random() < 0.2:
        flags.append("--chmod=" + r.choice(("600", "0755", "4755", "u+x", "a=r", "go-rwx,u=rwX", "1777")))
    if r.random() < 0.15:
        flags.append("--link")
    if r.random() < 0.15 and not add:
        flags.append("--parents")
    if r.random() < 0.15:
        flags.append("--exclude=" + r.choice(("*.txt", "**/*.md", "a", "**/a", "src", "lib/**", "?", "**")))
    return flags


def sources(r: Random, files: dict[str, Entry]) -> list[str]:
    out = []
    for _ in range(r.choice((1, 1, 1, 2, 3))):
        path = r.choice(sorted(files)) if files else "a"
        dice = r.random()
        if dice < 0.2:
            path = path.partition("/")[0]
        elif dice < 0.35:
            path = r.choice(
                ("*", "*.txt", "src/*", "[a-c]*", "s*", "*/a", "?", "**/a", "src/**/*", "d*", "*.t?t")
            )
        elif dice < 0.45:
            path, folder = ".", path.partition("/")[0]
            if folder in files or any(name.startswith(folder + "/") for name in files):
                path = r.choice(
                    (f"./{folder}/", folder, f"/{folder}", f"/x/../{folder}", f"./{folder}/.", ".")
                )
        for name in ("\udcff\udcfe", "new\nline", "tab\tx", "back\\slash", "\x01ctl", "st*r"):
            path = path.replace(name, "*")
        if "p[id]" in path:
            path = path.replace("p[id]", "p[[]id]")
        out.append(path.replace("$", "\\$").replace("'", "\\'"))
    return out


def copy(r: Random, stage: Model, files: dict[str, Entry]) -> str:
    tars = [path for path, entry in files.items() if entry.get("kind") == "tar"]
    add = r.random() < 0.3
    tars = [path for path in tars if not set(path) & set("\udcff\n\t\\*[\x01'$ ")]
    names = [r.choice(tars)] if add and tars and r.random() < 0.6 else sources(r, files)
    flags = copy_flags(r, add)
    if add and r.random() < 0.1:
        flags.append(r.choice(("--unpack=true", "--unpack=false")))
    if not add and r.random() < 0.1:
        flags.append("--from=extra")
    dest = destination(r, stage, names)
    stage.paths.append(dest.rstrip("/") if dest.startswith("/o") else "/o")
    return " ".join(["ADD" if add else "COPY", *flags, listed([*names, dest])])


def destination(r: Random, stage: Model, names: list[str]) -> str:
    dest = r.choice(DESTS)
    if stage.paths and r.random() < 0.2:
        dest = r.choice(stage.paths)
    several = len(names) > 1 or any(set(name) & set("*?[") for name in names)
    return dest + "/" if several and not dest.endswith("/") and r.random() < 0.9 else dest


def copy_from(r: Random, stage: Model, source: Model) -> str:
    flags = copy_flags(r, False)
    known = [*source.paths, "/o", "/o", "/o/*", "/p", "/l"] if source.paths else ["/", "/*"]
    names = [r.choice(known) for _ in range(r.choice((1, 1, 2)))]
    names = [name + "*" if r.random() < 0.6 and name[-1] not in "*/" else name for name in names]
    if r.random() < 0.25:
        names = ["/"] if not source.runs else ["/o*"]
    dest = destination(r, stage, names)
    stage.paths.append(dest.rstrip("/") or "/o")
    name = source.name if r.random() < 0.8 else str(source.at)
    return " ".join(["COPY", f"--from={name}", *flags, listed([*names, dest])])


def here_copy(r: Random, stage: Model) -> str:
    word = r.choice(("EOF", "'EOF'", '"EOF"'))
    dash = r.choice(("", "-"))
    body = r.choice(("text $A\n", "\ttabs ${B:-x}\n", "", "two\nlines\n", "ünï \\$A\n"))
    dest = r.choice(("/o/here", "/o/h/", "here", "/etc/passwd"))
    stage.paths.append("/o/here" if dest == "/o/here" else "/o")
    return " ".join(
        ["COPY", *[f for f in copy_flags(r, True) if "exclude" not in f], f"<<{dash}{word}", dest]
    ) + (f"\n{body}EOF")


def run(r: Random, stage: Model, stages: list[Model], files: dict[str, Entry]) -> str:
    flags = []
    words = r.choice(("; ", "; ", " && ")).join(
        command(r, stage.paths) for _ in range(r.choice((1, 1, 2, 3)))
    )
    for _ in range(r.choice((0, 0, 0, 1, 1, 2))):
        flag, extra = mount(r, stage, stages, files)
        flags.append(flag)
        words += f"; {extra}"
    if r.random() < 0.05:
        flags.append("--network=none")
    if r.random() < 0.85:
        words += "; true"
    if r.random() < 0.15:
        return " ".join(["RUN", *flags, "<<EOF"]) + f"\n{words}\ntrue\nEOF"
    return " ".join(["RUN", *flags, words])


def mount(r: Random, stage: Model, stages: list[Model], files: dict[str, Entry]) -> tuple[str, str]:
    """A mount and a command that uses it; what is in a cache never gets into the result."""
    target = r.choice(("/m", "/o/m", "/m/deep/er", "/o", "/tmp"))
    dice = r.random()
    # Nothing may ever read below /proc or /sys: some files there change the machine when they are read.
    names = "$(find . -xdev -type f ! -path './bin/*' | sort)"
    show = f'mkdir -p /r && cd {target} && X={names} && echo "$X" >/r/seen'
    show += " && xargs -d '\\n' head -c 99 </r/seen >/r/read"
    if dice < 0.3:
        target = r.choice(("/c", "/c/deep/er"))  # Where no other command looks.
        tail = f"ls -A {target} | wc -l >/dev/null; echo kept >{target}/kept; cat {target}/kept >/r-kept"
        mode = r.choice(("", ",sharing=locked", ",mode=0700", ",uid=1,gid=2"))
        return f"--mount=type=cache,target={target}{mode}", tail
    if dice < 0.45:
        return f"--mount=type=tmpfs,target={target}", f"touch {target}/x; ls -A {target} >/seen-tmpfs"
    if dice < 0.75 or not stages:
        names = [path.replace("[[]", "[") for path in sources(r, files)]
        source = names[0] if not set(names[0]) & set("*? ,\"'\\\n\t\x01") else "."
        more = r.choice(("", ",rw", "", ",from=extra"))
        write = f"; echo w >{target}/written" if more == ",rw" else ""
        return f"--mount=type=bind,source={source},target={target}{more}", show + write
    source = r.choice(stages)
    path = r.choice(("/", "/o", *source.paths))
    if set(path) & set("* ,$"):
        path = "/o"
    return f"--mount=from={source.name},source={path},target={target}", show


def make_change(r: Random, state: State, first: State) -> Change:
    """One change: of a file, of an argument or of the Dockerfile; sometimes back to what was."""
    files = {path: entry for path, entry in state.files.items() if path != ".dockerignore"}
    dice = r.random()
    path = r.choice(sorted(files)) if files else "a"
    entry = files.get(path, {})
    if dice < 0.3:
        text = str(entry.get("text", ""))
        if entry.get("kind", "file") == "file" and text:
            other = ("Z" if text[0] != "Z" else "Q") + text[1:]
            return {"do": "edit", "path": path, "entry": {"text": other}}
        return {"do": "edit", "path": path, "entry": {"mode": r.choice(MODES)}}
    if dice < 0.38:
        return {"do": "edit", "path": path, "entry": {"mode": r.choice(MODES)}}
    if dice < 0.43:
        return {"do": "edit", "path": path, "entry": {"mtime": 1_710_000_000 + r.randrange(9)}}
    if dice < 0.52:
        folder = path.rpartition("/")[0]
        return {"do": "rename", "old": path, "new": f"{folder}/{r.choice(NAMES)}".lstrip("/")}
    if dice < 0.58:
        return {"do": "remove", "path": path}
    if dice < 0.68:
        probe = dict(state.files)
        new = add_file(r, probe)
        return (
            {"do": "add", "path": new, "entry": probe[new]} if new in probe else {"do": "remove", "path": new}
        )
    if dice < 0.75:
        return {"do": "arg", "name": r.choice("ABCD"), "value": r.choice(("one", "1.2.3", "", "a/b"))}
    if dice < 0.8:
        text = "".join(ignore_line(r) + "\n" for _ in range(r.randint(0, 4)))
        return {"do": "add", "path": ".dockerignore", "entry": {"text": text}}
    if dice < 0.84:
        back = sorted(name for name in first.files if first.files[name] != state.files.get(name))
        if back:
            name = r.choice(back)
            return {"do": "add", "path": name, "entry": first.files[name]}
    if dice < 0.87:
        return {"do": "target", "name": r.choice(("", "s0", "s1"))}
    if dice < 0.9:
        line = r.choice(state.dockerfile)
        return {"do": "line", "old": line, "new": ["# a remark", line]}
    return line_change(r, state)


def line_change(r: Random, state: State) -> Change:
    lines = [line for line in state.dockerfile if not line.startswith(("FROM", "ONBUILD"))]
    old = r.choice(lines) if lines else ""
    model = Model("s0", old.startswith("RUN"), ["/o", "/o/x", "/etc/passwd"])
    new = run(r, model, [], dict(state.files)) if model.runs else copy(r, model, dict(state.files))
    return {"do": "line", "old": old, "new": r.choice(([], [new], [old, new], [new, old], [old, old]))}

"""Rules about what ends up in the image: size and user. They look at the target and its bases only."""

from __future__ import annotations

from posixpath import join, normpath

from jettison.dockerfile.instructions import (
    Add,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Run,
    Stage,
    User,
    Workdir,
)
from jettison.errors import GraphError
from jettison.graph.stages import StageGraph, StagePlan
from jettison.lint.base import Subject
from jettison.lint.shellwords import cached_at, commands, installs, plain, script_of

_TOOLS = frozenset(
    (
        *("autoconf", "automake", "build-base", "build-essential", "cargo", "clang", "cmake", "g++", "gcc"),
        *("go", "golang", "gradle", "libtool", "make", "maven", "meson", "ninja-build", "rust", "rustc"),
    )
)
_TOOL_IMAGES = ("golang", "rust", "gcc", "maven", "gradle", "dotnet/sdk")
_COMPILERS = frozenset(("make", "cmake", "gcc", "g++", "clang", "mvn", "mvnw", "gradle", "gradlew", "tsc"))
_COMPILING = {("go", "build"), ("cargo", "build"), ("dotnet", "publish"), ("dotnet", "build")}
_ROOT = ("root", "0")


def check_shipping(subject: Subject, stages: StageGraph) -> None:
    """All rules of this file."""
    for index in sorted(subject.shipped):
        plan = stages.plans[index]
        _tool_image(subject, plan)
        env = {name for item in plan.stage.instructions if isinstance(item, Env) for name, _ in item.pairs}
        for item in plan.stage.instructions:
            if isinstance(item, Run):
                _caches(subject, item, env)
                _tools(subject, item, env)
            elif isinstance(item, Copy) and item.from_:
                _folder(subject, stages, plan, item)
        _ownership(subject, plan.stage)
    _user(subject, stages)


def _tool_image(subject: Subject, plan: StagePlan) -> None:
    if plan.base.kind != "image":
        return
    name = plan.base.name.partition("@")[0].rpartition("/")
    path = f"{name[0].rpartition('/')[2]}/{name[2]}".lstrip("/").split(":")[0]
    if any(path == tool or path.endswith(f"/{tool}") for tool in _TOOL_IMAGES):
        message = f"the image ships all of {plan.base.name}; copy the result into a smaller base"
        subject.report("BuildToolsShipped", message, plan.stage.location)


def _caches(subject: Subject, run: Run, env: set[str]) -> None:
    text = script_of(run)
    seen: set[str] = set()
    for words in commands(run):
        left = ""
        name, rest = words[0], plain(words)
        if name in ("apt-get", "apt") and "install" in rest:
            kept = cached_at(run, "/var/lib/apt/lists") or "/var/lib/apt/lists" in text
            left = "" if kept else "/var/lib/apt/lists"
        elif name == "apk" and "add" in rest and "--no-cache" not in words:
            kept = cached_at(run, "/var/cache/apk", "/etc/apk/cache") or "/var/cache/apk" in text
            left = "" if kept else "/var/cache/apk"
        elif name in ("dnf", "yum", "microdnf") and "install" in rest:
            kept = cached_at(run, f"/var/cache/{name}") or "clean all" in text or "/var/cache" in text
            left = "" if kept else f"/var/cache/{name}"
        elif (name in ("pip", "pip3") or words[1:3] == ["-m", "pip"]) and "install" in rest:
            kept = "--no-cache-dir" in words or "PIP_NO_CACHE_DIR" in env or "PIP_NO_CACHE_DIR" in text
            kept = kept or "cache purge" in text or ".cache" in text or cached_at(run, "/root/.cache")
            left = "" if kept else "~/.cache/pip"
        elif name == "npm" and installs(words):
            kept = "cache clean" in text or ".npm" in text or cached_at(run, "/root/.npm")
            left = "" if kept else "~/.npm"
        if left and left not in seen:
            seen.add(left)
            message = f"{name} leaves {left} in the layer; remove it in this RUN, or mount a cache on it"
            subject.report("PackageCacheLeft", message, run.location)


def _tools(subject: Subject, run: Run, env: set[str]) -> None:
    lines = commands(run)
    removes = any(words[0] == "apk" and "del" in words for words in lines) or any(
        words[0] in ("apt-get", "apt", "dnf", "yum") and {"purge", "remove", "autoremove"} & set(words)
        for words in lines
    )
    for words in lines:
        manager = installs(words)
        if manager in ("apt-get", "apk", "dnf", "yum", "microdnf") and not removes:
            names = [name.partition("=")[0] for name in plain(words)[1:]]
            tools = [name for name in names if name in _TOOLS or name.endswith(("-dev", "-devel"))]
            if tools:
                message = f"the image ships {', '.join(tools[:4])}: build in a stage of its own"
                subject.report("BuildToolsShipped", message, run.location)
        elif manager and _with_dev(manager, words, env | _assigned(run)):
            message = f"{manager} installs the development dependencies too, and the image ships them"
            subject.report("BuildToolsShipped", message, run.location)


def _assigned(run: Run) -> set[str]:
    return {word.partition("=")[0] for word in script_of(run).split() if "=" in word}


def _with_dev(manager: str, words: list[str], env: set[str]) -> bool:
    text = " ".join(words)
    if manager in ("npm", "pnpm", "yarn"):
        wanted = ("--omit=dev", "--omit dev", "--production", "--prod", "--only=prod")
        return "NODE_ENV" not in env and not any(option in text for option in wanted)
    if manager == "composer":
        return "--no-dev" not in text
    if manager == "poetry":
        return not any(option in text for option in ("--only", "--without", "--no-dev"))
    if manager == "pip":
        return any("dev" in word and word.endswith(".txt") for word in words)
    return False


def _folder(subject: Subject, stages: StageGraph, plan: StagePlan, item: Copy) -> None:
    try:
        origin = stages.source(item.from_, plan, item.location)
    except GraphError:
        return
    if origin.kind != "stage":
        return
    source = stages.plans[origin.index].stage
    if not any(
        _compiles(words) for run in source.instructions if isinstance(run, Run) for words in commands(run)
    ):
        return
    home = "/"
    for instruction in source.instructions:
        if isinstance(instruction, Workdir) and "$" not in instruction.path:
            home = normpath(join(home, instruction.path))
    for path in item.sources:
        if normpath(join("/", path)) in ("/", "//", home):
            message = f"all of {path} is copied from {item.from_}, sources included; name the result"
            subject.report("BuildFolderCopied", message, item.location)


def _compiles(words: list[str]) -> bool:
    if words[0] in _COMPILERS:
        return True
    rest = plain(words)
    if rest and (words[0], rest[0]) in _COMPILING:
        return True
    return words[0] in ("npm", "yarn", "pnpm") and "build" in rest


def _ownership(subject: Subject, stage: Stage) -> None:
    home = "/"
    copied: list[tuple[str, int]] = []
    for item in stage.instructions:
        if isinstance(item, Workdir) and "$" not in item.path:
            home = normpath(join(home, item.path))
        elif isinstance(item, Copy | Add) and "$" not in item.dest:
            copied.append((normpath(join(home, item.dest)), item.location.first_line))
        elif isinstance(item, Run):
            _changes(subject, item, home, copied)


def _changes(subject: Subject, run: Run, home: str, copied: list[tuple[str, int]]) -> None:
    for words in commands(run):
        if words[0] not in ("chown", "chmod"):
            continue
        for word in plain(words)[1:]:
            if "$" in word or "*" in word:
                continue
            path = normpath(join(home, word))
            recursive = any(option.startswith("-") and "R" in option for option in words[1:])
            lines = [line for dest, line in copied if _touches(path, dest, recursive)]
            if lines:
                message = f"{words[0]} stores the files of line {lines[-1]} again; write COPY --{words[0]}=…"
                subject.report("OwnershipLayer", message, run.location)
                return


def _touches(path: str, dest: str, recursive: bool) -> bool:
    if path == "/" or dest == "/":
        return recursive and path == dest
    return path == dest or path.startswith(f"{dest}/") or (recursive and dest.startswith(f"{path}/"))


def _user(subject: Subject, stages: StageGraph) -> None:
    """The user of the target, where it says what it runs."""
    plan = stages.plans[subject.final().index]
    runs = False
    while True:
        for item in reversed(plan.stage.instructions):
            if isinstance(item, User):
                if runs_as_root(item.user) and (runs or _starts(plan)):
                    message = f"USER {item.user} is root: whatever breaks out of the process is root, too"
                    subject.report("RootUser", message, item.location)
                return
        runs = runs or _starts(plan)
        if plan.base.kind != "stage":
            break
        plan = stages.plans[plan.base.index]
    facts = subject.facts.bases.get((plan.base.name, str(plan.platform)))
    user = str((facts.config.get("User") if facts else "") or "")
    if any(word in plan.base.name for word in ("nonroot", "rootless", "unprivileged")):
        return
    if runs and runs_as_root(user):
        message = "no USER is set: the process runs as root"
        subject.report("RootUser", message, subject.final().location)


def runs_as_root(user: str) -> bool:
    """Whether USER's text means root; with a variable in it nobody knows."""
    return user.partition(":")[0] in ("", *_ROOT)


def _starts(plan: StagePlan) -> bool:
    return any(isinstance(item, Cmd | Entrypoint) for item in plan.stage.instructions)

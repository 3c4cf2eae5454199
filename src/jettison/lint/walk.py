"""Rules that follow a stage from top to bottom: variables, WORKDIR, CMD, COPY, EXPOSE."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import normpath

from jettison.dataclass import dataclass, field, replace
from jettison.dockerfile.expand import expand, expand_content
from jettison.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from jettison.dockerfile.mistake import Mistake
from jettison.errors import DockerfileError
from jettison.graph.scope import GlobalScope, StageScope, env_of_config, platform_args
from jettison.graph.stages import StageGraph, StagePlan
from jettison.lint.base import BaseFacts, Subject
from jettison.lint.froms import Watched, meant, near
from jettison.lint.words import legacy_pairs
from jettison.location import Location

_SECRET_WORDS = frozenset(
    ("apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token")
)
_HARMLESS_WORDS = frozenset(("public", "file", "version"))
_DEFAULT_PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass(slots=True)
class Walked:
    """A stage as far as it has been read. `known` says whether all variables of its base are."""

    scope: StageScope
    known: bool
    declared: set[str] = field(default_factory=set)
    workdir: bool = False
    shell: bool = False
    last: dict[str, Location] = field(default_factory=dict)

    def child(self) -> Walked:
        """What a stage starts with that is based on this one."""
        return Walked(self.scope.copy(), self.known, set(self.declared), self.workdir, self.shell)


class Walker:
    """Goes through the stages in order. One for each check."""

    def __init__(self, subject: Subject, stages: StageGraph) -> None:
        self.subject = subject
        self.stages = stages
        self.escape = subject.dockerfile.escape
        facts = subject.facts
        last = subject.dockerfile.stages[-1]
        automatic = platform_args(facts.build, facts.target, last.name)
        self.globals = GlobalScope(facts.build_args, automatic)
        for arg in subject.dockerfile.global_args:
            for name, default in arg.items:
                self.globals.declare(name, self._text(default, self.globals.lookup) if default else default)
        self.done: dict[int, Walked] = {}
        self.here = last.location
        """Where findings are reported: a trigger of ONBUILD speaks for the FROM that runs it."""

    def run(self) -> None:
        """Walk through all stages that are looked at, and silently through those that they are based on."""
        wanted = self.subject.looked_at
        for plan in self.stages.plans:
            if plan.stage.index in wanted:
                self._stage(plan)

    def _text(self, text: str, lookup: Watched | object) -> str:
        try:
            return expand(text, lookup, self.escape)  # type: ignore[arg-type]
        except DockerfileError:
            return ""

    def _stage(self, plan: StagePlan) -> None:
        state = self._based(plan)
        self.here = plan.stage.location
        for trigger in self.stages.triggers(plan):
            self._instruction(state, replace(trigger, location=plan.stage.location))
        for instruction in plan.stage.instructions:
            self._instruction(state, instruction)
        self.done[plan.stage.index] = state

    def _based(self, plan: StagePlan) -> Walked:
        base = plan.base
        if base.kind == "stage":
            if base.index not in self.done:
                self._stage(self.stages.plans[base.index])
            return self.done[base.index].child()
        if base.kind == "scratch":
            return Walked(StageScope(dict(_DEFAULT_PATH)), True)
        facts = self.subject.facts.bases.get((base.name, str(plan.platform)))
        if facts is None:
            return Walked(StageScope(dict(_DEFAULT_PATH)), False)
        self._platform(plan, facts)
        env = {**_DEFAULT_PATH, **env_of_config(facts.config)}
        return Walked(StageScope(env), True, shell=bool(facts.config.get("Shell")))

    def _platform(self, plan: StagePlan, facts: BaseFacts) -> None:
        wanted = plan.platform
        if facts.os and (facts.os, facts.architecture) != (wanted.os, wanted.architecture):
            message = f"{plan.base.name} is an image for {facts.os}/{facts.architecture}, not for {wanted}"
            self.subject.report("InvalidBaseImagePlatform", message, plan.stage.location)

    def _instruction(self, state: Walked, item: Instruction) -> None:
        match item:
            case Run():
                for mount in item.mounts if "$" in item.text else ():
                    if mount.pending:
                        self._word(state, item, mount.text)
            case Env():
                self._env(state, item)
            case Copy() | Add():
                self._copy(state, item)
            case Arg():
                self._arg(state, item)
            case Workdir():
                self._workdir(state, item)
            case Label():
                for name, value in item.pairs:
                    self._words(state, item, (name, value))
                self._legacy(item)
            case Cmd() | Entrypoint():
                self._once(state, item)
                if item.command.shell and not state.shell:
                    message = f"{item.NAME} in shell form: its shell passes no signals on; write a JSON list"
                    self.subject.report("JSONArgsRecommended", message, item.location)
            case Healthcheck():
                self._once(state, item)
            case Shell():
                state.shell = True
            case Expose():
                self._expose(state, item)
            case User():
                self._word(state, item, item.user)
            case Stopsignal():
                self._word(state, item, item.signal)
            case Volume():
                self._words(state, item, item.paths)

    def _words(self, state: Walked, item: Instruction, texts: Iterable[str]) -> list[tuple[str, bool]]:
        return [self._word(state, item, text) for text in texts]

    def _word(self, state: Walked, item: Instruction, text: str, content: bool = False) -> tuple[str, bool]:
        """The text with its variables replaced, and whether that is all that it says."""
        if "$" not in text and "'" not in text and '"' not in text and self.escape not in text:
            return text, True
        watched = Watched(state.scope.lookup)
        try:
            if content:
                done = expand_content(text, watched)
            else:
                done = expand(text, watched, self.escape)
        except (DockerfileError, Mistake):
            done, watched.unknown = "", watched.unknown or {""}
        for name in sorted(watched.unknown - state.declared):
            self._undefined(state, item, name)
        return done, not watched.unknown

    def _undefined(self, state: Walked, item: Instruction, name: str) -> None:
        if not name:
            return
        report = self.subject.report
        if name in self.globals.declared or name in self.globals.valueless:
            message = (
                f"the variable {name!r} has no value here: its ARG stands before the first FROM;"
                f" add ARG {name} to this stage"
            )
            report("UndefinedVar", message, item.location)
        elif name in self.globals.automatic:
            message = f"the variable {name!r} has no value here; add ARG {name} to this stage"
            report("UndefinedVar", message, item.location)
        else:
            names = {*state.scope.env, *state.scope.args, *state.declared}
            # Of an image that nobody has read, every variable may come; a misspelt one hardly does.
            close = near(name, names)
            if state.known or (close and abs(len(close) - len(name)) < 2):
                message = f"the variable {name!r} is not defined{meant(name, names)}"
                report("UndefinedVar", message, item.location)

    def _env(self, state: Walked, item: Env) -> None:
        pairs = []
        for name, value in item.pairs:
            (key, _), (text, _) = self._words(state, item, (name, value))
            pairs.append((key, text))
        self._legacy(item)
        for key, _ in pairs:
            self._secret(item, key)
        state.scope.env.update(pairs)

    def _legacy(self, item: Env | Label) -> None:
        if legacy_pairs(item, self.escape):
            message = f"{item.NAME} separates name and value with a blank; write name=value"
            self.subject.report("LegacyKeyValueFormat", message, item.location)

    def _secret(self, item: Env | Arg, name: str) -> None:
        words = set(name.lower().split("_"))
        if words & _SECRET_WORDS and not words & _HARMLESS_WORDS:
            message = f"{item.NAME} {name} looks like a secret, and is kept in the image or its history"
            self.subject.report("SecretsUsedInArgOrEnv", message, item.location)

    def _arg(self, state: Walked, item: Arg) -> None:
        for name, default in item.items:
            self._secret(item, name)
            value = self.globals.for_stage(name, default)
            if default is not None and name not in self.subject.facts.build_args:
                value = self._word(state, item, default)[0]
            state.declared.add(name)
            if value is None:
                state.scope.args.pop(name, None)
            else:
                state.scope.args[name] = value

    def _workdir(self, state: Walked, item: Workdir) -> None:
        path, whole = self._word(state, item, item.path)
        if not state.workdir and not path.startswith("/") and (whole or state.known):
            message = f"the relative WORKDIR {path!r} depends on the base image's; begin with an absolute one"
            self.subject.report("WorkdirRelativePath", message, item.location)
        state.workdir = True

    def _once(self, state: Walked, item: Instruction) -> None:
        earlier = state.last.get(item.NAME)
        if earlier is not None:
            message = f"this {item.NAME} has no effect: line {item.location.first_line} replaces it"
            self.subject.report("MultipleInstructionsDisallowed", message, earlier)
        state.last[item.NAME] = item.location

    def _expose(self, state: Walked, item: Expose) -> None:
        for text in item.ports:
            word = self._text(text, state.scope.lookup) if "$" in text else text
            address, _, protocol = word.partition("/")
            if protocol != protocol.lower():
                message = f"the protocol of EXPOSE {word} is not in lower case"
                self.subject.report("ExposeProtoCasing", message, item.location)
            if ":" in address:
                message = f"EXPOSE {word} names an address or a host port; only the container's port counts"
                self.subject.report("ExposeInvalidFormat", message, item.location)

    def _copy(self, state: Walked, item: Copy | Add) -> None:
        sources = self._words(state, item, item.sources)
        flags = [item.dest, item.chown, item.chmod]
        if isinstance(item, Add):
            flags.append(item.checksum)
        self._words(state, item, (text for text in flags if text))
        self._words(state, item, (text for text in item.exclude if "$" in text))
        for file in item.files:
            if file.expand:
                self._word(state, item, file.data, content=True)
        if isinstance(item, Copy) and item.from_:
            return
        ignore = self.subject.facts.ignore
        matcher = ignore() if ignore is not None else None
        if matcher is None:
            return
        for source, whole in sources:
            path = normpath(source).lstrip("/")
            if not whole or path in ("", ".") or "://" in source:
                continue
            wild = any(char in path for char in "*?[")
            if wild and any(pattern.negated for pattern in matcher.patterns):
                continue
            if matcher.ignored(path) and not matcher.may_reinclude_below(path):
                why = matcher.why(path)
                line = f" at line {why.line}, {why.text!r}," if why is not None else ""
                message = f"the ignore file{line} leaves {path!r} out, which {item.NAME} asks for"
                self.subject.report("CopyIgnoredFile", message, item.location)

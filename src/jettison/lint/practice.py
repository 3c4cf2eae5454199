"""Rules of our own: good practice with several stages, and with what is read from outside."""

from __future__ import annotations

from jettison.dockerfile.instructions import Add, Arg, Copy, Instruction, Run
from jettison.errors import GraphError, UsageError
from jettison.graph.scope import PROXIES
from jettison.graph.stages import StageGraph, StagePlan, froms
from jettison.lint.base import Subject
from jettison.lint.froms import meant
from jettison.lint.secrets import check_secrets
from jettison.lint.shellwords import commands, installs
from jettison.lint.shipping import check_shipping
from jettison.lint.source import comments_above, described
from jettison.location import Location

_WHOLE = (".", "./", "/", "*", "./*")
_LARGE_SIZE = 50_000_000
_LARGE_COUNT = 2_000
_BUILTIN = {*PROXIES, "SOURCE_DATE_EPOCH", "BUILDKIT_INLINE_CACHE", "BUILDKIT_SYNTAX"}


def check_practice(subject: Subject, stages: StageGraph) -> None:
    """All rules that BuildKit does not have."""
    for plan in stages.plans:
        if plan.stage.index in subject.looked_at:
            _names(subject, stages, plan)
            _pinned(subject, stages, plan)
            _order(subject, plan)
    _unused(subject, stages)
    _unconsumed(subject)
    _ignore(subject)
    check_secrets(subject)
    check_shipping(subject, stages)


def _names(subject: Subject, stages: StageGraph, plan: StagePlan) -> None:
    if not plan.stage.name and plan.stage.index < len(stages.plans) - 1:
        message = "this stage has no name: others can only name it by its number, which changes"
        subject.report("StageUnnamed", message, plan.stage.location)
    for item in plan.stage.instructions:
        for text in froms(item):
            if text.isdecimal() and int(text) < plan.stage.index and text not in stages.contexts:
                name = stages.plans[int(text)].stage.name
                if name:
                    message = f"--from={text} means another stage once one is added; write --from={name}"
                    subject.report("CopyFromNumber", message, item.location)


def _pinned(subject: Subject, stages: StageGraph, plan: StagePlan) -> None:
    from jettison.oci.reference import parse

    try:
        read = stages.reads(plan.stage.index, {})
    except GraphError:
        return
    for origin, location in dict(read).items():
        if origin.kind != "image" or not origin.name:
            continue
        try:
            name = parse(origin.name)
        except UsageError:
            continue
        if not name.digest and name.tag == "latest":
            message = f"{origin.name} is whatever is newest on the day of the build; name a version"
            subject.report("BaseUnpinned", message, location)


def _order(subject: Subject, plan: StagePlan) -> None:
    """Dependencies are installed before all files are copied, or every change installs them anew."""
    copied: Instruction | None = None
    before: set[str] = set()
    for item in plan.stage.instructions:
        if isinstance(item, Copy | Add) and not froms(item) and whole(item):
            copied = copied or item
        elif isinstance(item, Run):
            for words in commands(item):
                manager = installs(words)
                if not manager or manager in before:
                    continue
                before.add(manager)
                if copied is not None:
                    message = (
                        f"{manager} installs after line {copied.location.first_line} copies everything:"
                        " any changed file makes it run again"
                    )
                    subject.report("InstallAfterCopy", message, item.location)


def whole(item: Copy | Add) -> bool:
    """Whether all of the build context is copied."""
    return any(source in _WHOLE for source in item.sources)


def _unused(subject: Subject, stages: StageGraph) -> None:
    targets = [stages.find(name) for name in subject.facts.targets] or [stages.plans[-1]]
    needed = stages.needed((plan.stage.index for plan in targets), {})
    read: set[int] = set()
    for plan in stages.plans:
        try:
            read |= {o.index for o, _ in stages.reads(plan.stage.index, {}) if o.kind == "stage"}
        except GraphError:
            continue
    for plan in stages.plans:
        stage = plan.stage
        if stage.index in needed or stage.index in read or subject.facts.targets:
            continue
        if described(comments_above(subject.lines, stage.location.first_line), stage.name):
            continue
        message = (
            f"nothing needs the stage {plan.label}; a comment '# {plan.label} …' above it says what it is for"
        )
        subject.report("StageUnused", message, stage.location)


def _unconsumed(subject: Subject) -> None:
    dockerfile = subject.dockerfile
    inner = {
        name
        for stage in dockerfile.stages
        for item in stage.instructions
        if isinstance(item, Arg)
        for name, _ in item.items
    }
    outer = {name for arg in dockerfile.global_args for name, _ in arg.items}
    top = Location(dockerfile.path, 1, 1)
    for name in subject.facts.build_args:
        if name not in inner | outer | _BUILTIN and not name.startswith(("TARGET", "BUILD")):
            message = f"the build argument {name} is not declared by any ARG{meant(name, inner | outer)}"
            subject.report("ArgUnconsumed", message, top)
    texts = [text for stage in dockerfile.stages for text in (stage.base, stage.platform)]
    texts += [default or "" for arg in dockerfile.global_args for _, default in arg.items]
    for arg in dockerfile.global_args:
        for name, _ in arg.items:
            if name in inner or name in _BUILTIN or any(_uses(text, name) for text in texts):
                continue
            message = f"no FROM uses the argument {name}, and no stage declares it{meant(name, inner)}"
            subject.report("ArgUnconsumed", message, arg.location)


def _uses(text: str, name: str) -> bool:
    import re

    return re.search(rf"\$\{{?{re.escape(name)}(?![A-Za-z0-9_])", text) is not None


def _ignore(subject: Subject) -> None:
    if subject.facts.context is None:
        return
    for stage in subject.dockerfile.stages:
        for item in stage.instructions:
            if not isinstance(item, Copy | Add) or froms(item) or not whole(item):
                continue
            context = subject.facts.context()
            if not context.has_ignore and (context.size > _LARGE_SIZE or context.files > _LARGE_COUNT):
                message = (
                    f"all of the build context is copied ({context.files} files, {context.size // 1_000_000}"
                    " MB) and no .dockerignore leaves anything out"
                )
                subject.report("DockerignoreMissing", message, item.location)
            return

"""Everything about a Dockerfile that does not build it: `--check`, `--call`, and `jettison lint`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.instructions import Dockerfile
from jettison.errors import GraphError, JettisonError, UsageError
from jettison.events import ignore
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import StageGraph, build_stage_graph
from jettison.inputs import (
    Contexts,
    Fetching,
    MainContext,
    agent_sockets,
    fetching_with,
    open_main,
    read_dockerfile,
    sort_contexts,
)
from jettison.lint.base import BaseFacts, ContextFacts, Facts, Finding
from jettison.lint.check import check
from jettison.planning import build_arguments, parse_file
from jettison.platforms import Platform, native
from jettison.platforms import parse as parse_platform
from jettison.request import BuildRequest
from jettison.sources.context import find_ignore

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.config import Config
    from jettison.oci.config import ImageConfig

FORMATS = ("text", "json")
METHODS = ("build", "check", "lint", "targets", "outline")
_MOST_FILES = 50_000


@dataclass(frozen=True, slots=True)
class Checked:
    """A Dockerfile and all that is known of it without building. `error` is why a build would not begin."""

    dockerfile: Dockerfile
    data: bytes
    stages: StageGraph | None
    scope: GlobalScope
    findings: list[Finding]
    error: JettisonError | None


def method_of(call: str, form: str) -> tuple[str, str]:
    """Method and format of `--call METHOD[,format=FORMAT]` and `--format`. Raises UsageError."""
    method, _, rest = call.partition(",")
    for part in rest.split(",") if rest else ():
        key, _, value = part.partition("=")
        if key != "format":
            raise UsageError(f"--call {call!r}: {key!r} is no option of it", hint="--call check,format=json")
        form = form or value
    if method not in METHODS:
        raise UsageError(f"--call {method!r} is not known", hint="methods: " + ", ".join(METHODS))
    form = form or "text"
    if form not in FORMATS:
        raise UsageError(f"--format {form!r} is not known", hint="formats: " + ", ".join(FORMATS))
    return "check" if method == "lint" else method, form


def call(console: Console, request: BuildRequest, method: str, form: str, own: bool, settings: Config) -> int:
    """Carry out one `--call`, and give the exit status: 1 when the check finds something."""
    checked = examine(request, own, settings)
    if method == "check":
        from jettison.cli.lint import show

        return show(console, checked, form)
    if checked.error is not None:
        raise checked.error
    from jettison.cli.table import rows
    from jettison.lint.calls import outline_document, outline_tables, targets_document, targets_rows

    if method == "targets":
        document = targets_document(checked.dockerfile, checked.data)
        tables = [targets_rows(document)]
    else:
        assert checked.stages is not None
        stages = checked.stages
        target = stages.find(request.targets[-1]) if request.targets else stages.plans[-1]
        document = outline_document(checked.dockerfile, checked.data, stages, target, checked.scope)
        tables = outline_tables(document)
    if form == "json":
        import json

        console.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        console.stdout.write("\n".join(rows(table[0], table[1:]) for table in tables))
    return 0


def examine(request: BuildRequest, own_rules: bool, settings: Config | None) -> Checked:
    """Read the Dockerfile of a request and check it. Without settings the local store is left alone.

    Raises what keeps the file from being read: NotFound, SourceError, DockerfileError.
    """
    with ExitStack() as closing:
        main = open_main(request, lambda: fetching_of(request, settings, closing))
        return _examine(main, own_rules, settings.root if settings is not None else "")


def fetching_of(request: BuildRequest, settings: Config | None, closing: ExitStack) -> Fetching:
    """How a command that builds nothing gets its context, in folders that `closing` removes."""
    from tempfile import TemporaryDirectory
    from threading import Event

    from jettison.executor.remote import remotes_of

    def new_folder(stem: str) -> str:
        return closing.enter_context(TemporaryDirectory(prefix=f"jettison-{stem}-"))

    bundle, timeout = (settings.ca_bundle, settings.read_timeout) if settings is not None else ("", 60.0)
    agent = agent_sockets(request).get("default", "")
    remotes = remotes_of(request.environment, bundle, timeout, agent, new_folder, Event())
    return fetching_with(remotes, request, new_folder, ignore)


def _examine(main: MainContext, own_rules: bool, root: str) -> Checked:
    request, folder = main.request, main.folder
    contexts = sort_contexts(request)
    data, shown, path = read_dockerfile(main)
    dockerfile = parse_file(data, shown)
    target = parse_platform(request.platform) if request.platform else native()
    arguments = build_arguments(request)
    scope = GlobalScope(arguments, platform_args(native(), target, ""))
    names = {*contexts.folders, *contexts.images}
    stages: StageGraph | None = None
    error: JettisonError | None = None
    try:
        stages = build_stage_graph(dockerfile, scope, names, target)
        roots = [stages.find(name) for name in request.targets] or [stages.plans[-1]]
        stages.needed((plan.stage.index for plan in roots), {})
    except GraphError as problem:
        stages, error = None, problem
    facts = Facts(
        build=native(),
        target=target,
        targets=request.targets,
        build_args=arguments,
        bases=known_bases(stages, contexts, root) if stages is not None else {},
        ignore=cache(lambda: _matcher(folder, path)),
        context=cache(lambda: _measured(folder, path)),
        own_rules=own_rules,
    )
    findings = check(dockerfile, data, stages, facts)
    return Checked(dockerfile, data, stages, scope, findings, error)


def _matcher(folder: str, path: str) -> Matcher | None:
    found = find_ignore(folder, path)
    return None if found is None else Matcher(parse_ignore(found[1], found[0]))


def _measured(folder: str, path: str) -> ContextFacts:
    files = size = 0
    for home, _, names in os.walk(folder):
        for name in names:
            files += 1
            try:
                size += os.lstat(os.path.join(home, name)).st_size
            except OSError:
                continue
        if files > _MOST_FILES:
            break
    return ContextFacts(find_ignore(folder, path) is not None, files, size)


def known_bases(stages: StageGraph, contexts: Contexts, root: str) -> Mapping[tuple[str, str], BaseFacts]:
    """The base images that can be read without a network: OCI layouts, and those of the local store."""
    out: dict[tuple[str, str], BaseFacts] = {}
    for plan in stages.plans:
        key = (plan.base.name, str(plan.platform))
        if plan.base.kind not in ("image", "context") or not plan.base.name or key in out:
            continue
        if plan.base.name in contexts.folders:
            out[key] = BaseFacts({})
            continue
        value = contexts.images.get(plan.base.name, "") if plan.base.kind == "context" else ""
        try:
            if value.startswith("oci-layout://"):
                config = _of_layout(value, plan.platform)
            else:
                config = _of_store(root, value.removeprefix("docker-image://") or plan.base.name)
        except JettisonError:
            continue
        if config is not None:
            out[key] = BaseFacts(config.config, config.os, config.architecture)
    return out


def _of_layout(value: str, platform: Platform) -> ImageConfig | None:
    from jettison.oci.archive import open_files
    from jettison.oci.layout import find, read_layout, select
    from jettison.sources.layout import split_layout

    folder, selector = split_layout(value)
    if not os.path.isdir(folder):
        return None
    with open_files(os.path.abspath(folder), folder) as files:
        layout = read_layout(files, folder)
        return find(layout, select(layout, selector), platform).config


def _of_store(root: str, name: str) -> ImageConfig | None:
    if not root or not os.path.exists(os.path.join(root, "jettison.db")):
        return None
    from jettison.oci.config import parse_config
    from jettison.oci.reference import parse as parse_reference
    from jettison.store.store import Store

    with Store.open(root) as store:
        record = store.images.get(str(parse_reference(name)))
        if record is None or not store.blobs.has(record.config):
            return None
        return parse_config(store.blobs.read(record.config), name)

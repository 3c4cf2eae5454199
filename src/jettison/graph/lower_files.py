"""Lowering of COPY, ADD and WORKDIR."""

from __future__ import annotations

import re
from posixpath import join, normpath

from jettison.dataclass import replace
from jettison.dockerfile.expand import expand_instruction
from jettison.dockerfile.instructions import Add, Copy, Workdir
from jettison.errors import GraphError
from jettison.graph.ops import CopyOp, InlineFile, MkdirOp
from jettison.graph.stages import Origin
from jettison.graph.state import Lowering, Remote, StageState
from jettison.location import Location

_GIT = re.compile(
    r"git://|git@|ssh://|[^:/\s]+@[^:/\s]+:|(?:https?://|file://)[^#?\s]+\.git/?(?:[#?]|$)|github\.com/"
)


def is_url(source: str) -> bool:
    """Whether ADD fetches this source over http."""
    return source.startswith(("http://", "https://"))


def is_git(source: str) -> bool:
    """Whether ADD clones this source."""
    return _GIT.match(source) is not None


def make_workdir(work: Lowering, state: StageState, instruction: Workdir) -> None:
    """WORKDIR: the directory is made unless it is the root; its layer may be empty."""
    done = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    assert isinstance(done, Workdir)
    path = clean(state.workdir, done.path)
    text = f"WORKDIR {done.path}"
    # A written trailing slash stays in the configuration, as users of the Docker builder see it.
    written = path + "/" if done.path.endswith("/") and done.path.startswith("/") and path != "/" else path
    state.config["WorkingDir"] = written
    if path == "/":
        state.step += 1
        state.record(text)
        return
    op = MkdirOp(path, str(state.config.get("User") or ""))
    vertex = work.add(
        op,
        (state.vertex,) if state.vertex else (),
        state.vertex,
        state,
        instruction.text,
        instruction.location,
    )
    state.vertex = vertex
    state.record(text, vertex)


def clean(workdir: str, path: str) -> str:
    """An absolute path without dots and double slashes; `..` stops at the root."""
    return "/" + normpath(join("/", workdir, path)).lstrip("/")


def copy_context(work: Lowering, state: StageState, name: str, text: str, location: Location) -> str:
    """A build context as a root filesystem of its own, for FROM and mounts that name one."""
    op = CopyOp(dest="/", dest_is_dir=True, paths=("/",), context=name)
    return work.add(op, (), "", state, text, location)


def origin_vertex(work: Lowering, state: StageState, origin: Origin, location: Location) -> str:
    """The vertex whose files `--from` reads: a stage's last one, or an image's layers ("" for nothing)."""
    from jettison.graph.ops import SourceOp

    if origin.kind == "stage":
        return work.done[origin.index].vertex
    if origin.kind == "scratch":
        return ""
    image = work.resolved(origin, state.plan.platform)
    op = SourceOp(image.config.diff_ids, str(state.plan.platform))
    return work.add(op, (), "", replace_steps(state), f"FROM {image.name}", location)


def replace_steps(state: StageState) -> StageState:
    """The state under which an image that is only read from is shown: a step of its own."""
    return replace(state, step=0, steps=1, plan=replace(state.plan, label="image"))


def copy_files(work: Lowering, state: StageState, instruction: Copy) -> None:
    """COPY, from the build context, a stage, an image or a named context."""
    done = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    assert isinstance(done, Copy)
    context: str | None = ""
    source = ""
    if done.from_:
        origin = work.stages.source(done.from_, state.plan, done.location)
        local = origin.kind == "context" and origin.name in work.local_contexts
        context = origin.name if local else None
        source = "" if local else origin_vertex(work, state, origin, done.location)
    base = _copy_op(state, done)
    op = replace(base, context=context if done.sources else None, keep_owner=context is None)
    _add_copy(work, state, op, source, instruction.text, done.location)
    state.record(_created_by("COPY", done), state.vertex)


def add_files(work: Lowering, state: StageState, instruction: Add) -> None:
    """ADD: local files and archives in one layer, and one layer for each URL and git repository."""
    done = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    assert isinstance(done, Add)
    remote = [source for source in done.sources if is_url(source) or is_git(source)]
    local = tuple(source for source in done.sources if source not in remote)
    base = _copy_op(state, done)
    if remote and len(done.sources) > 1 and not base.dest_is_dir:
        # Each would be a step of its own, and the last would hide the others.
        raise GraphError(
            f"ADD of several sources to {done.dest}: the destination must be a directory",
            hint="end it with a slash",
            location=done.location,
        )
    if local or done.files:
        op = replace(base, paths=local, context="" if local else None, unpack=done.unpack is not False)
        _add_copy(work, state, op, "", instruction.text, done.location)
        state.record(_created_by("ADD", done), state.vertex)
    for url in remote:
        needs_name = base.dest_is_dir and not done.unpack and not is_git(url)
        if needs_name and not _names_a_file(url):
            raise GraphError(
                f"ADD {url}: the address ends with no name that the file could have",
                hint=f"say what it is to be called: {done.dest}NAME",
                location=done.location,
            )
        if work.settings.pin is None:
            raise GraphError(f"ADD {url}: remote sources cannot be read here", location=done.location)
        pinned = work.settings.pin(
            Remote(url, done.checksum or "", bool(done.keep_git_dir), done.unpack, done.location)
        )
        source = work.add(pinned, (), "", replace_steps(state), f"ADD {url}", done.location)
        op = replace(
            base, files=(), paths=("/*",) if pinned.TYPE == "http" else ("/",), unpack=bool(done.unpack)
        )
        _add_copy(work, state, op, source, instruction.text, done.location)
        state.record(_created_by("ADD", done), state.vertex)


def _names_a_file(url: str) -> bool:
    path = url.partition("://")[2].partition("#")[0].partition("?")[0].partition("/")[2]
    return path.rpartition("/")[2] not in ("", ".", "..")


def _add_copy(
    work: Lowering, state: StageState, op: CopyOp, source: str, text: str, location: Location
) -> None:
    # An input that is an empty file system is left out; the executor tells by `context` and `has_base`.
    inputs = tuple(name for name in (state.vertex, source) if name)
    op = replace(op, has_base=bool(state.vertex))
    state.vertex = work.add(op, inputs, state.vertex, state, text, location)


def _copy_op(state: StageState, done: Copy | Add) -> CopyOp:
    written = done.dest
    dest = clean(state.workdir, written)
    is_dir = written.endswith(("/", "/.", "/..")) or written in (".", "..")
    link = done.link
    return CopyOp(
        dest=dest,
        dest_is_dir=is_dir,
        paths=tuple(done.sources),
        files=tuple(InlineFile(file.name, file.content) for file in done.files),
        owner=done.chown or None,
        mode=done.chmod or None,
        link=link,
        parents=isinstance(done, Copy) and done.parents,
        exclude=tuple(done.exclude),
    )


def _created_by(word: str, done: Copy | Add) -> str:
    flags = [f"--{name}={value}" for name, value in (("chown", done.chown), ("chmod", done.chmod)) if value]
    if done.link:
        flags.append("--link")
    names = [f"<<{file.name}" for file in done.files]
    return " ".join([word, *flags, *names, *done.sources, done.dest, "# buildkit"])

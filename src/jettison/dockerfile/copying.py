"""Reading COPY and ADD: sources, destination, here-documents and flags."""

from __future__ import annotations

from jettison.dockerfile import flags as flag_specs
from jettison.dockerfile.arguments import EXAMPLES, Request
from jettison.dockerfile.execform import read_list
from jettison.dockerfile.heredoc import read_word
from jettison.dockerfile.instructions import Add, Copy, Heredoc
from jettison.dockerfile.mistake import Mistake, shown
from jettison.dockerfile.words import BLANKS


def _paths(request: Request) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...]]:
    """Sources, destination and here-documents of COPY and ADD."""
    name = request.name
    listed = read_list(request.rest)
    words = listed if listed is not None else BLANKS.split(request.rest) if request.rest else ()
    if len(words) < 2:
        given = "only one was given" if words else "none was given"
        raise Mistake(
            f"{name} requires at least two arguments, {given}: the destination is missing", EXAMPLES[name]
        )
    if listed is not None or not request.heredocs:
        return tuple(words[:-1]), words[-1], ()
    if read_word(words[-1]):
        raise Mistake(f"{name} cannot have a here-document as destination", EXAMPLES[name])
    bodies = {document.name: document for document in request.heredocs}
    sources: list[str] = []
    files: list[Heredoc] = []
    for word in words[:-1]:
        document = read_word(word)
        if document is None:
            sources.append(word)
        elif document.name in bodies:
            body = bodies[document.name]
            files.append(Heredoc(body.name, body.content, body.expand))
        else:
            raise Mistake(f"{name}: the here-document {shown(word)} has no body")
    if len(files) != len(request.heredocs):
        raise Mistake(
            f"{name}: a here-document is not used as a source", "use a word without blanks as its end"
        )
    return tuple(sources), words[-1], tuple(files)


def read_copy(request: Request) -> Copy:
    """COPY. Raises Mistake."""
    sources, dest, files = _paths(request)
    flags = request.flags(flag_specs.COPY)
    from_ = flags.text("from")
    if "$" in from_:
        raise Mistake(
            "variable expansion is not supported for COPY --from, define an alias stage instead",
            "add FROM ${NAME} AS alias before this stage, with ARG NAME above it, and write --from=alias",
        )
    return Copy(
        request.text,
        request.location,
        sources,
        dest,
        files,
        from_,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.switch("parents"),
        flags.list("exclude"),
    )


def read_add(request: Request) -> Add:
    """ADD. Raises Mistake."""
    sources, dest, files = _paths(request)
    flags = request.flags(flag_specs.ADD)
    return Add(
        request.text,
        request.location,
        sources,
        dest,
        files,
        flags.text("chown"),
        flags.text("chmod"),
        flags.switch("link"),
        flags.list("exclude"),
        flags.text("checksum"),
        flags.switch("keep-git-dir"),
        flags.switches.get("unpack"),
    )

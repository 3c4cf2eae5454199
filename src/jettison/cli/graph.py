"""`jettison graph`: the stages of a Dockerfile as a picture. Nothing is built, and no registry is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from jettison.cli.build_options import CONFIG, ROOT
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.dataclass import replace
from jettison.errors import StoreError, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.dockerfile.instructions import Instruction
    from jettison.graph.stages import StageGraph, StagePlan
    from jettison.lint.base import BaseFacts
    from jettison.picture.model import Picture

FORMATS = ("text", "svg", "mermaid", "dot", "json")
_ENDINGS = {
    ".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid", ".dot": "dot", ".gv": "dot", ".json": "json",
}  # fmt: skip

COMMAND = Command(
    "graph",
    "[OPTIONS] [PATH|-]",
    "draw the stages of a Dockerfile",
    """
Draws the stages of a Dockerfile, their base images, what they copy and mount from each
other, and which of them the target leaves out; of the folder PATH, or the current one.
Nothing is built, and no registry is asked.

Where the local store remembers the last build of the Dockerfile, the picture shows what
became of each stage, how long its steps took, how large their files are, and the critical
path: the stages whose steps waited for each other longest.
""",
    (
        Option(("--file", "-f"), "the Dockerfile (default: PATH/Dockerfile; -: standard input)", "FILE"),
        Option(("--target",), "stage that is built (default: the last one)", "STAGE", True),
        Option(("--format",), "text (default), svg, mermaid, dot or json; else by the end of -o", "FORMAT"),
        Option(("--output", "-o"), "write to a file (-: standard output)", "FILE"),
        Option(("--build-arg",), "value of an ARG, as for jettison build", "NAME[=VALUE]", True),
        Option(("--build-context",), "a named context, as for jettison build", "NAME=VALUE", True),
        Option(("--platform",), "platform of the image, for example linux/arm64", "PLATFORM"),
        ROOT,
        CONFIG,
    ),
    (
        ("The stages of this folder's Dockerfile", "jettison graph"),
        ("As a picture for a page", "jettison graph -o stages.svg"),
        ("For a Markdown page", "jettison graph --format mermaid"),
        ("Of another target", "jettison graph --target tester"),
    ),
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Draw, and write the drawing."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    output = parsed.last("output") if parsed.last("output") != "-" else ""
    form = parsed.last("format") or _ENDINGS.get(os.path.splitext(output)[1].lower(), "text")
    if form not in FORMATS:
        raise UsageError(f"--format {form!r} is not known", hint="formats: " + ", ".join(FORMATS))
    picture = _picture(console, parsed)
    drawn = _drawing(picture, form) if output or form != "text" else _shown(console, picture)
    if output:
        from jettison.cli.build import write_file

        write_file(output, drawn)
    elif form == "text":
        console.stdout.write(drawn)
    else:
        console.binary_stdout().write(drawn.encode())
    return 0


def _shown(console: Console, picture: Picture) -> str:
    """The text as standard output can show it."""
    from jettison.picture.text import text

    encoding = (getattr(console.stdout, "encoding", "") or "").lower().replace("-", "")
    colour = console.stdout.isatty() and not console.environment.get("NO_COLOR")
    return text(picture, encoding != "utf8", colour)


def _drawing(picture: Picture, form: str) -> str:
    if form == "text":
        from jettison.picture.text import text

        return text(picture)
    if form == "svg":
        from jettison.picture.svg import svg

        return svg(picture)
    from jettison.picture import notation

    writers = {"mermaid": notation.mermaid, "dot": notation.dot, "json": notation.document}
    return writers[form](picture)


def _picture(console: Console, parsed: Parsed) -> Picture:
    """The picture that a command line asks for. Raises as a build that does not come to its first step."""
    from jettison import config
    from jettison.cli.build import request_of
    from jettison.cli.checking import fetching_of, known_bases
    from jettison.graph.scope import GlobalScope, platform_args
    from jettison.graph.stages import build_stage_graph
    from jettison.inputs import open_main, read_dockerfile, sort_contexts
    from jettison.picture.model import draw_up
    from jettison.planning import build_arguments, choose_targets, parse_file
    from jettison.platforms import native
    from jettison.platforms import parse as parse_platform

    # --output means something else to a build.
    values = {name: value for name, value in parsed.values.items() if name != "output"}
    request = request_of(replace(parsed, values=values, arguments=parsed.arguments or ["."]), console)
    settings = config.load(console.environment, root=parsed.last("root"), file=parsed.last("config"))
    with ExitStack() as closing:
        main = open_main(request, lambda: fetching_of(request, settings, closing))
        console.dockerfile(main.request.file, main.request.file_text)
        contexts = sort_contexts(main.request)
        data, shown, path = read_dockerfile(main)
        _keep(path, parsed.last("output"))
        dockerfile = parse_file(data, shown)
    target = parse_platform(request.platform) if request.platform else native()
    scope = GlobalScope(build_arguments(request), platform_args(native(), target, ""))
    names = {*contexts.folders, *contexts.images} - {""}
    stages = build_stage_graph(dockerfile, scope, names, target)
    targets, _ = choose_targets(request, stages)
    bases = known_bases(stages, contexts, settings.root)
    triggers = _triggers(stages, bases, dockerfile.escape)
    picture = draw_up(shown, stages, targets, triggers, target)
    if main.fetched or not path or not os.path.exists(os.path.join(settings.root, "jettison.db")):
        return picture
    place = (os.path.realpath(main.folder), os.path.realpath(path))
    return _coloured(console, picture, stages, targets, settings.root, place)


def _keep(dockerfile: str, output: str) -> None:
    """Raise UsageError where the picture would take the Dockerfile's own place."""
    if dockerfile and os.path.exists(output) and os.path.samefile(dockerfile, output):
        raise UsageError(f"-o {output} would overwrite the Dockerfile", hint="-f names the Dockerfile")


def _triggers(
    stages: StageGraph, bases: Mapping[tuple[str, str], BaseFacts], escape: str
) -> dict[int, list[Instruction]]:
    """The ONBUILD instructions of base images that are at hand, for the stages based on them."""
    from jettison.dockerfile.parser import parse_trigger

    out: dict[int, list[Instruction]] = {}
    for plan in stages.plans:
        facts = bases.get((plan.base.name, str(plan.platform)))
        if facts is not None and plan.base.kind != "stage":
            texts: Any = facts.config.get("OnBuild") or ()
            out[plan.stage.index] = [parse_trigger(str(text), escape, plan.stage.location) for text in texts]
    return out


def _coloured(
    console: Console,
    picture: Picture,
    stages: StageGraph,
    targets: Sequence[StagePlan],
    root: str,
    place: tuple[str, str],
) -> Picture:
    """The picture with what the store remembers of the last build in a place: folder and Dockerfile."""
    from jettison.picture.last_build import last_build
    from jettison.picture.model import coloured
    from jettison.store.store import Store

    try:
        with Store.open(root) as store:
            known = last_build(store.db, stages, targets, *place)
    except StoreError as error:
        console.note(f"the last build is not known: {error.message}")
        return picture
    return coloured(picture, known) if known is not None else picture

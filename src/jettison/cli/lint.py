"""`jettison lint`: what the rules say about a Dockerfile. Nothing is built, fetched or stored."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jettison.cli.options import Command, Option, parse
from jettison.errors import ExportError, NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.checking import Checked
    from jettison.cli.console import Console
    from jettison.cli.options import Parsed
    from jettison.dockerfile.instructions import Dockerfile
    from jettison.lint.base import Finding
    from jettison.request import BuildRequest

FORMATS = ("text", "json", "sarif")

COMMAND = Command(
    "lint",
    "[OPTIONS] [FILE|FOLDER]",
    "check a Dockerfile",
    """
Checks a Dockerfile (of a folder, its Dockerfile) with BuildKit's rules and with rules for
multistage practice. No network and no store is used: of base images only those are known that
--build-context names. A page for each rule is in docs/lint.

A comment leaves rules out, for the file in its first lines or for the instruction below it:
# check=skip=RULE,RULE. The exit status is 1 when there are warnings; notes do not count.
""",
    (
        Option(("--format",), "how findings are shown: text, json or sarif", "FORMAT"),
        Option(("--fix",), "rewrite what means the same afterwards, and show what is left"),
        Option(("--target",), "stage that is built (default: the last one)", "STAGE", True),
        Option(("--build-arg",), "value of an ARG, as for jettison build", "NAME[=VALUE]", True),
        Option(("--build-context",), "a named context, as for jettison build", "NAME=VALUE", True),
        Option(("--context",), "the build context (default: the folder of the Dockerfile)", "FOLDER"),
    ),
    (
        ("The Dockerfile of this folder", "jettison lint"),
        ("Mend what can be mended without a doubt", "jettison lint --fix"),
        ("Another one, for a code host", "jettison lint --format sarif deploy/Dockerfile > lint.sarif"),
    ),
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Check, and show what was found."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in FORMATS:
        raise UsageError(f"--format {form!r} is not known", hint="formats: " + ", ".join(FORMATS))
    request = _request(console, parsed)
    console.dockerfile(request.file, request.file_text)
    from jettison.cli.checking import examine

    if parsed.has("fix"):
        _fix(console, request)

    return show(console, examine(request, True, None), form)


def _request(console: Console, parsed: Parsed) -> BuildRequest:
    from jettison.cli.build import arguments_of, contexts_of
    from jettison.request import BuildRequest

    path = parsed.arguments[0] if parsed.arguments else "."
    file, text = path, None
    if path == "-":
        file, text = "", console.read_stdin("the Dockerfile").decode("utf-8", "surrogateescape")
    elif os.path.isdir(path):
        file = os.path.normpath(os.path.join(path, "Dockerfile"))
    elif not os.path.exists(path):
        raise NotFound(f"there is no {path}", hint="name a Dockerfile, or a folder that has one")
    return BuildRequest(
        context=parsed.last("context") or os.path.dirname(file) or ".",
        file=file,
        file_text=text,
        targets=tuple(parsed.all("target")),
        build_args=arguments_of(parsed),
        build_contexts=contexts_of(parsed),
        environment=dict(console.environment),
    )


def _fix(console: Console, request: BuildRequest) -> None:
    """Write the Dockerfile anew if something can be mended."""
    if request.file_text is not None:
        raise UsageError("--fix rewrites a file, not standard input", hint="name the Dockerfile")
    from jettison.cli.checking import examine
    from jettison.dataclass import replace
    from jettison.lint.fix import fix_all

    checked = examine(request, True, None)

    def find(dockerfile: Dockerfile, data: bytes) -> list[Finding]:
        if data == checked.data:
            return checked.findings
        text = data.decode("utf-8", "surrogateescape")
        return examine(replace(request, file_text=text), True, None).findings

    fixed = fix_all(checked.data, checked.dockerfile.path, find)
    if fixed.mended:
        _replace(os.path.realpath(request.file), fixed.data)
        count = len(fixed.mended)
        console.note(f"mended {count} {'finding' if count == 1 else 'findings'} in {request.file}")


def _replace(path: str, data: bytes) -> None:
    """Put a new file in the place of the old one, with its mode."""
    import shutil
    import tempfile

    try:
        handle, new = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".jettison-")
        try:
            with open(handle, "wb") as file:
                file.write(data)
            shutil.copymode(path, new)
            os.replace(new, path)
        except BaseException:
            os.unlink(new)
            raise
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error


def show(console: Console, checked: Checked, form: str) -> int:
    """Write the findings; the exit status is 1 when there are any that count."""
    from jettison.lint.table import rules_by_id

    rules = rules_by_id()
    counted = sum(rules[finding.rule].severity != "note" for finding in checked.findings)
    if form == "text":
        _show_text(console, checked)
        if checked.error is not None:
            raise checked.error
    else:
        import json

        from jettison.lint.report import json_document, sarif_document

        path = checked.dockerfile.path
        if form == "json":
            document = json_document(checked.findings, path, checked.data, checked.error)
        else:
            document = sarif_document(checked.findings)
            if checked.error is not None:
                raise checked.error
        console.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return 1 if counted or checked.error is not None else 0


def _show_text(console: Console, checked: Checked) -> None:
    from jettison.cli.failure import excerpt
    from jettison.lint.source import physical_lines
    from jettison.lint.table import rules_by_id

    rules = rules_by_id()
    lines = physical_lines(checked.data)
    out = []
    for finding in checked.findings:
        out += [f"{rules[finding.rule].severity.upper()}: {finding.rule}", finding.message]
        out += [*excerpt(finding.location, lines), ""]
    count = len(checked.findings)
    if count:
        out.append(f"Check complete, {count} {'finding' if count == 1 else 'findings'}.")
    elif checked.error is None:
        out.append("Check complete, no warnings found.")
    console.stdout.write("\n".join(out) + "\n" if out else "")

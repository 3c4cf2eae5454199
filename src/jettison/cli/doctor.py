"""`jettison doctor`: how RUN is isolated here, why no better, and what would change that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.cli.build_options import CONFIG, ISOLATION, ROOT
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.sandbox.examine import Report, Trial
    from jettison.sandbox.settings import Fact

COMMAND = Command(
    "doctor",
    "[OPTIONS]",
    "tell how RUN is isolated on this machine, and what would make it better",
    """
Tries every way to isolate RUN that there is, in processes of its own and with a temporary
folder beside the store; nothing of the machine is changed. Says which one builds take,
why not a better one, and which package, sysctl, pod field or flag would change that.
The exit status is 0 when RUN works here, 1 when it does not. docs/isolation.md has more.
""",
    (
        Option(("--format",), "format: text or json", "FORMAT"),
        ISOLATION,
        Option(("--runtime",), "OCI runtime to try: crun, runc or a path", "NAME"),
        ROOT,
        CONFIG,
    ),
    (("What can this CI job do?", "jettison doctor"),),
    most=0,
)

ABOUT = {
    "root": "root, an OCI runtime, overlayfs",
    "rootless": "root of a user namespace with many ids, an OCI runtime",
    "single-id": "root of a user namespace with one id, owners are virtual",
    "builtin": "no OCI runtime: jettison's own sandbox",
    "chroot": "no namespaces: weak isolation, see docs/isolation.md",
}


def run(console: Console, argv: list[str]) -> int:
    """Examine and report."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "text")
    if form not in ("text", "json"):
        raise UsageError(f"--format {form!r} is not known", hint="text or json")
    from jettison import config
    from jettison.sandbox.examine import examine
    from jettison.sandbox.identity import checked

    settings = config.load(
        console.environment,
        root=parsed.last("root"),
        runtime=parsed.last("runtime"),
        isolation=parsed.last("isolation"),
        file=parsed.last("config"),
    )
    isolation = checked(settings.isolation)
    report = examine(settings.root, isolation, settings.runtime, console.environment)
    console.stdout.write(_json(report) if form == "json" else text(report))
    return 0 if report.chosen else 1


def text(report: Report) -> str:
    """The report for people."""
    chosen = report.chosen
    if chosen is None:
        lines = ["RUN cannot be carried out here; builds that only copy files work.", ""]
    else:
        lines = [f"RUN works here, with the isolation {chosen.isolation} ({chosen.sandbox}).", ""]
    told: dict[tuple[str, ...], str] = {}
    for trial in report.trials:
        says = trial.problem or f"{ABOUT[trial.isolation]} ({trial.sandbox})"
        mark, works = "*" if trial is chosen else " ", "no" if trial.problem else "yes"
        lines.append(f"{mark} {trial.isolation:10} {works:4} {says}")
        before = told.setdefault(trial.changes, trial.isolation)
        if trial.changes:
            lines += _change_lines(trial.changes if before == trial.isolation else (f"as for {before}",))
    lines.append("")
    for fact in report.facts:
        lines.append(f"  {fact.name:10} {'yes' if fact.well else 'no':4} {fact.found}")
        lines += _change_lines(fact.changes)
    return "\n".join(lines) + "\n"


def _change_lines(changes: tuple[str, ...]) -> list[str]:
    return [f"{'':18}→ {change}" for change in changes]


def _json(report: Report) -> str:
    import json

    def plain(item: Trial | Fact) -> dict[str, object]:
        from jettison.dataclass import fields

        return {field.name: getattr(item, field.name) for field in fields(item)}

    document = {
        "isolation": report.isolation,
        "rungs": [plain(trial) for trial in report.trials],
        "facts": [plain(fact) for fact in report.facts],
    }
    return json.dumps(document, indent=2) + "\n"

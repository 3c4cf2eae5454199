"""The whole check: every rule over one Dockerfile, and what of their findings is wanted."""

from __future__ import annotations

from jettison.dockerfile.instructions import Dockerfile
from jettison.graph.stages import StageGraph
from jettison.lint.base import Facts, Finding, Subject
from jettison.lint.directive import ALL, Options, read_options, skipped_by
from jettison.lint.froms import check_froms
from jettison.lint.source import comments_above, physical_lines
from jettison.lint.walk import Walker
from jettison.lint.words import check_words, instructions
from jettison.location import Location


def options_of(dockerfile: Dockerfile) -> Options:
    """What the file's `# check=` directive says. Raises DockerfileError."""
    return read_options(dockerfile.directives.get("check", ""), Location(dockerfile.path, 1, 1))


def check(dockerfile: Dockerfile, data: bytes, stages: StageGraph | None, facts: Facts) -> list[Finding]:
    """What the rules find, in the order of lines. `data` is the text that `dockerfile` was read from.

    Nothing is read or asked for but what `facts` brings. Raises DockerfileError for a directive that makes no
    sense, GraphError for stages that cannot be.
    """
    options = options_of(dockerfile)
    if ALL in options.skip:
        return []
    subject = _subject(dockerfile, data, stages, facts)
    check_words(subject)
    check_froms(subject)
    if stages is not None:
        Walker(subject, stages).run()
        if facts.own_rules:
            from jettison.lint.practice import check_practice

            check_practice(subject, stages)
    return _wanted(subject, options)


def _subject(dockerfile: Dockerfile, data: bytes, stages: StageGraph | None, facts: Facts) -> Subject:
    everything = frozenset(range(len(dockerfile.stages)))
    looked_at = shipped = everything
    if stages is not None:
        targets = [stages.find(name) for name in facts.targets] or [stages.plans[-1]]
        if facts.targets or not facts.every_stage:
            looked_at = frozenset(stages.needed((plan.stage.index for plan in targets), {}))
        kept: set[int] = set()
        for plan in targets:
            at = plan
            kept.add(at.stage.index)
            while at.base.kind == "stage":
                at = stages.plans[at.base.index]
                kept.add(at.stage.index)
        shipped = frozenset(kept)
    return Subject(dockerfile, physical_lines(data), stages, facts, looked_at, shipped)


def _wanted(subject: Subject, options: Options) -> list[Finding]:
    """Findings that nobody asked to leave out, in the order of lines."""
    found = [finding for finding in subject.findings if options.wants(finding.rule)]
    if not found:
        return []
    if any("check=skip=" in line.replace(" ", "") for line in subject.lines):
        skipped: dict[int, frozenset[str]] = {}
        for instruction in instructions(subject):
            place = instruction.location
            rules = skipped_by(comments_above(subject.lines, place.first_line))
            if rules:
                skipped.update(dict.fromkeys(range(place.first_line, place.last_line + 1), rules))
        found = [f for f in found if not skipped.get(f.location.first_line, frozenset()) & {f.rule, ALL}]
    return sorted(found, key=lambda finding: (finding.location.first_line, finding.location.last_line))

"""The check that every build makes on its way: warnings, or an end before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.instructions import Dockerfile
from jettison.errors import DockerfileError, Problem
from jettison.graph.stages import StageGraph, StagePlan
from jettison.graph.state import ResolvedImage
from jettison.lint.base import BaseFacts, Facts, Finding
from jettison.lint.check import check, options_of
from jettison.platforms import Platform, native


def check_build(
    dockerfile: Dockerfile,
    data: bytes,
    ignore: tuple[str, bytes] | None,
    stages: StageGraph,
    targets: Sequence[StagePlan],
    platform: Platform,
    arguments: Mapping[str, str],
    images: Mapping[tuple[str, str], ResolvedImage],
) -> list[Finding]:
    """BuildKit's rules over the stages that a build needs. `ignore` is name and text of the ignore file.

    Raises DockerfileError with all of the findings when the file says `# check=error=true`.
    """
    facts = Facts(
        build=native(),
        target=platform,
        targets=tuple(_name(plan) for plan in targets),
        every_stage=False,
        build_args=arguments,
        bases={
            key: BaseFacts(image.config.config, image.config.os, image.config.architecture)
            for key, image in images.items()
        },
        ignore=cache(lambda: None if ignore is None else Matcher(parse_ignore(ignore[1], ignore[0]))),
    )
    found = check(dockerfile, data, stages, facts)
    if found and options_of(dockerfile).error:
        raise DockerfileError(tuple(violation(finding) for finding in found))
    return found


def violation(finding: Finding) -> Problem:
    """A finding as the error that `# check=error=true` makes of it."""
    message = f"lint violation found for rule {finding.rule}: {finding.message}"
    hint = "the first lines say check=error=true; # check=skip=" + finding.rule + " leaves the rule out"
    return Problem(message, finding.location, hint)


def _name(plan: StagePlan) -> str:
    return plan.stage.name or str(plan.stage.index)

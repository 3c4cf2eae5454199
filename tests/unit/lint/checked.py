"""A Dockerfile's findings, as tests want them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jettison.dockerfile.dockerignore import Matcher, parse_ignore
from jettison.dockerfile.parser import parse
from jettison.errors import GraphError
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import build_stage_graph
from jettison.lint.base import BaseFacts, Facts, Finding
from jettison.lint.check import check
from jettison.platforms import Platform

HERE = Platform("linux", "amd64")


def findings(
    text: str,
    *,
    ignore: str = "",
    arguments: Mapping[str, str] | None = None,
    bases: Mapping[str, Mapping[str, object]] | None = None,
    **facts: Any,
) -> list[Finding]:
    """What is found in a Dockerfile. `bases` are the configurations of base images that are known."""
    data = text.encode()
    dockerfile = parse(data)
    scope = GlobalScope(arguments or {}, platform_args(HERE, HERE, ""))
    try:
        stages = build_stage_graph(dockerfile, scope, set(), HERE)
    except GraphError:
        stages = None
    matcher = Matcher(parse_ignore(ignore.encode())) if ignore else None
    known = {(name, str(HERE)): BaseFacts(config) for name, config in (bases or {}).items()}
    about = Facts(HERE, HERE, build_args=arguments or {}, bases=known, ignore=lambda: matcher, **facts)
    return check(dockerfile, data, stages, about)


def found(text: str, **facts: Any) -> list[tuple[int, str]]:
    """Lines and rules."""
    return [(finding.location.first_line, finding.rule) for finding in findings(text, **facts)]

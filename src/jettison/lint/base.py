"""What a check is told, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jettison.dataclass import dataclass, field
from jettison.dockerfile.dockerignore import Matcher
from jettison.dockerfile.instructions import Dockerfile, Instruction, Stage
from jettison.graph.stages import StageGraph
from jettison.location import Location
from jettison.platforms import Platform


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: the rule's id, what is the matter here, and where."""

    rule: str
    message: str
    location: Location


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What rules need to know of a base image. `config` is the `config` object of its configuration."""

    config: Mapping[str, object]
    os: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class ContextFacts:
    """The main build context: whether it has an ignore file, and its size (counting stops at a limit)."""

    has_ignore: bool
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the request says, as far as rules need it.

    `targets` are the stages to build, () is the last one. With `every_stage` the stages that
    no target needs are looked at as well. `bases` holds the images that are known without asking anybody, by
    (name, platform). `ignore` reads the ignore file when a rule asks for it, `context` measures the context.
    """

    build: Platform
    target: Platform
    targets: tuple[str, ...] = ()
    every_stage: bool = True
    build_args: Mapping[str, str] = field(default_factory=dict)
    bases: Mapping[tuple[str, str], BaseFacts] = field(default_factory=dict)
    ignore: Callable[[], Matcher | None] | None = None
    context: Callable[[], ContextFacts] | None = None
    own_rules: bool = False


@dataclass(slots=True)
class Subject:
    """What all rules look at, and where they put what they find.

    `stages` is None where nobody resolved them; rules that need them are left out then.
    `looked_at` and `shipped` are indices of stages: those to check, and those that end up in an image.
    """

    dockerfile: Dockerfile
    lines: list[str]
    stages: StageGraph | None
    facts: Facts
    looked_at: frozenset[int]
    shipped: frozenset[int]
    findings: list[Finding] = field(default_factory=list)

    def report(self, rule: str, message: str, location: Location) -> None:
        """Note a finding; whether it is wanted is decided afterwards."""
        self.findings.append(Finding(rule, message, location))

    def final(self) -> Stage:
        """The stage that becomes the image (of several targets, the last)."""
        if self.stages is not None and self.facts.targets:
            return self.stages.find(self.facts.targets[-1]).stage
        return self.dockerfile.stages[-1]


def keyword(instruction: Instruction) -> str:
    """The instruction's name as it is written."""
    return instruction.text.split(None, 1)[0]

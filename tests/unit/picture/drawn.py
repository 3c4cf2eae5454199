"""Pictures of Dockerfiles, for tests; run as a program, it writes docs/graph-built.svg anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jettison.dockerfile import parse
from jettison.dockerfile.instructions import Instruction
from jettison.graph.scope import GlobalScope, platform_args
from jettison.graph.stages import build_stage_graph
from jettison.picture.model import LastBuild, Outcome, Picture, coloured, draw_up
from jettison.picture.svg import svg
from jettison.platforms import Platform

AMD64 = Platform("linux", "amd64")
BUILT = 1795000000.0

SHOP = """\
FROM node:18 AS deps
RUN npm ci
FROM deps AS tester
RUN npm test
FROM deps AS web
RUN npm run build
FROM golang:1.22 AS api
RUN --mount=from=web,source=/dist,target=/embed go build -o /api
FROM scratch AS final
COPY --from=api /api /api
COPY --from=web /dist /public
COPY --from=web /licences /public/licences
COPY --from=nginx:1.25 /etc/nginx/mime.types /etc/
"""


def drawn(
    text: str,
    *targets: str,
    contexts: Sequence[str] = (),
    triggers: dict[int, list[Instruction]] | None = None,
    **build_args: str,
) -> Picture:
    """The picture of a Dockerfile's text."""
    scope = GlobalScope(build_args, platform_args(AMD64, AMD64, ""))
    stages = build_stage_graph(parse(text.encode()), scope, contexts, AMD64)
    chosen = [stages.find(name) for name in targets] or [stages.plans[-1]]
    return draw_up("Dockerfile", stages, chosen, triggers or {}, AMD64)


def shop() -> Picture:
    """SHOP, as a build has left it."""
    outcomes = {
        "stage0": Outcome("cached", 12.0, 90_000_000),
        "stage2": Outcome("ran", 8.5, 2_000_000),
        "stage3": Outcome("ran", 30.25, 9_500_000),
        "stage4": Outcome("failed"),
    }
    path = ("stage0", "stage2", "stage3", "stage4")
    return coloured(drawn(SHOP), LastBuild(BUILT, outcomes, path, 50.75))


DOCUMENT = Path(__file__).parents[3] / "docs" / "graph-built.svg"


def example() -> str:
    """The picture in docs/graph.md: an example as a build on two cores has left it."""
    path = DOCUMENT.parents[1] / "examples" / "react-node" / "Dockerfile"
    outcomes = {
        "stage0": Outcome("cached", 4.1, 34_000_000),
        "stage1": Outcome("ran", 8.4, 56_000_000),
        "stage3": Outcome("ran", 3.3, 5_800_000),
    }
    last = LastBuild(BUILT, outcomes, ("stage1", "stage3"), 8.5)
    return svg(coloured(drawn(path.read_text()), last))


if __name__ == "__main__":
    DOCUMENT.write_text(example())

"""Rows about steps: a small project, many RUNs, stages side by side, and real projects."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from tests import bases
from tests.needed import SEED_CASES, base_names

from bench import limits
from bench.builder import Builder, Job, Unavailable
from bench.image import Base, Facts
from bench.row import Row, Shop, folder, seconds

NOOP = """\
FROM busybox AS tools
RUN mkdir /tools && echo tool >/tools/tool
FROM busybox AS build
WORKDIR /src
COPY package.txt ./
RUN cat package.txt >/dependencies
COPY . .
COPY --from=tools /tools /tools
RUN mkdir /out && cat *.txt >/out/app
FROM busybox
WORKDIR /app
COPY --from=build /out ./
ENV MODE=production
EXPOSE 8080
CMD ["cat", "app"]
"""


def noop(shop: Shop) -> Row:
    """A small multistage project that has been built before."""
    context = folder(shop.work / "noop", NOOP)
    for number in range(20):
        (context / f"part{number}.txt").write_text(f"part {number}\n" * 40)
    (context / "package.txt").write_text("a 1\nb 2\n")
    job = Job(context, bases=(shop.base,))

    def prepare(builder: Builder) -> None:
        builder.load(shop.base)
        builder.build(job)

    return Row(
        "noop", "no-op rebuild, small project", 1.0, shop.scale.noop_rounds,
        seconds(lambda b: b.build(job)), prepare,
        facts=lambda b: b.facts(job, "app/"),
        expect=Facts(files=1, content=sum(p.stat().st_size for p in context.glob("*.txt"))),
        limit=limits.start_python, limit_says="a Python interpreter starts and ends",
    )  # fmt: skip


def steps(shop: Shop) -> Row:
    """Small RUN steps one after the other: what a step costs beside its program."""
    count = shop.scale.steps
    lines = [f"RUN echo {number:03} >/file{number}" for number in range(count)]
    job = Job(
        folder(shop.work / "steps", "\n".join(["FROM busybox", *lines]) + "\n"),
        bases=(shop.base,),
        no_cache=True,
    )
    root = limits.make_root(shop.work / "root", shop.base)
    return Row(
        "steps", f"{count} small RUN steps, cold", 0.35, shop.scale.rounds,
        seconds(lambda b: b.build(job)), lambda b: b.load(shop.base),
        facts=lambda b: b.facts(job, "file"),
        expect=Facts(layers=count + 1, files=count, content=4 * count),
        limit=partial(limits.containers, root, count),
        limit_says=f"`true` in new namespaces {count} times, with no runtime and no builder",
    )  # fmt: skip


def stages(shop: Shop) -> Row:
    """Independent stages, each of which takes its time."""
    count, each = shop.scale.stages, shop.scale.seconds
    lines = []
    for number in range(count):
        lines += [f"FROM busybox AS s{number}", f"RUN sleep {each} && echo {number} >/result"]
    lines += ["FROM scratch"] + [f"COPY --from=s{number} /result /{number}" for number in range(count)]
    context = folder(shop.work / "stages", "\n".join(lines) + "\n")
    job = Job(context, bases=(shop.base,), no_cache=True, jobs=count)
    return Row(
        "stages", f"{count} independent stages of {each} s", 1.0, shop.scale.rounds,
        seconds(lambda b: b.build(job)), lambda b: b.load(shop.base),
        facts=lambda b: b.facts(job, ""),
        expect=Facts(layers=count, files=count, content=2 * count),
        limit=partial(limits.sleeps, count, each), limit_says=f"{count} processes sleep side by side",
    )  # fmt: skip


def seed(shop: Shop) -> Row:
    """Real projects, all cached; their images are written as archives.

    Raises Unavailable when the projects or their base images are not there.
    """
    cases = shop.scale.seeds
    if not cases:
        raise Unavailable("only in a full run: the base images are large")
    if not SEED_CASES.exists():
        raise Unavailable(f"there are no seed cases at {SEED_CASES}")
    reference = json.loads((SEED_CASES / "reference.json").read_text())
    images = {case: tuple(map(base, base_names(SEED_CASES / case))) for case in cases}
    layers = sum(reference[case]["default"]["layers"] for case in cases)

    def jobs(builder: Builder) -> list[Job]:
        out = shop.work / f"{builder.name}-seed"
        out.mkdir(exist_ok=True)
        return [
            Job(SEED_CASES / case / "context", out=out / f"{case}.tar", bases=images[case]) for case in cases
        ]

    def build(builder: Builder) -> None:
        for job in jobs(builder):
            builder.build(job)

    def prepare(builder: Builder) -> None:
        for image in {image for needed in images.values() for image in needed}:
            builder.load(image)
        build(builder)

    def facts(builder: Builder) -> Facts:
        found = [builder.facts(job, "app/") for job in jobs(builder)]
        sizes = [facts.compressed for facts in found]
        return Facts(
            sum(facts.layers or 0 for facts in found),
            compressed=None if None in sizes else sum(size or 0 for size in sizes),
        )

    def limit() -> None:
        limits.copy([job.out for job in jobs(shop.builders[0]) if job.out])

    return Row(
        "seed", f"{len(cases)} real projects, all cached, archives of 75 to 108 MB written", 0.4,
        shop.scale.rounds + 2, seconds(build), prepare, facts=facts, expect=Facts(layers=layers),
        limit=limit, limit_says="the archives are copied", archive=True,
    )  # fmt: skip


def base(name: str) -> Base:
    """A stand-in for a well-known base image. Raises Unavailable when it was not made yet."""
    layout, tag = bases.layout_of(name)
    if not Path(layout, "index.json").exists():
        raise Unavailable(f"the base image {name} is missing: run make bases")
    return Base(name, layout, tag)

"""What is measured: contexts made on the spot, and what is timed in each."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.builder import Builder, Job

NOOP_STAGES = """\
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


@dataclass(frozen=True)
class Scale:
    """How much is done. The quick one only shows that the bench itself works."""

    rounds: int
    noop_rounds: int
    steps: int
    files: int
    total_bytes: int
    stages: int
    seconds: int


FULL = Scale(rounds=3, noop_rounds=9, steps=40, files=50_000, total_bytes=400_000_000, stages=6, seconds=2)
QUICK = Scale(rounds=1, noop_rounds=1, steps=3, files=200, total_bytes=1_000_000, stages=2, seconds=1)


@dataclass(frozen=True)
class Case:
    """One line of the table. `before` prepares each round without being timed."""

    name: str
    rounds: int
    measure: Callable[[Builder], None]
    before: Callable[[Builder], None]


def nothing(builder: Builder) -> None:
    """No preparation."""


def start_up(work: Path, scale: Scale) -> Iterator[Case]:
    """The program alone."""
    yield Case("start-up: --version", scale.noop_rounds, lambda b: b.start_up(), nothing)


def noop(work: Path, scale: Scale) -> Iterator[Case]:
    """A small multistage project that has been built before."""
    context = folder(work / "noop", NOOP_STAGES)
    for number in range(20):
        (context / f"part{number}.txt").write_text(f"part {number}\n" * 40)
    (context / "package.txt").write_text("a 1\nb 2\n")
    job = Job(context)
    yield Case("no-op rebuild, 12 steps", 1, lambda b: b.build(job), nothing)
    yield Case("no-op rebuild, again", scale.noop_rounds, lambda b: b.build(job), nothing)


def many_steps(work: Path, scale: Scale) -> Iterator[Case]:
    """Small RUN steps one after the other: what a step costs beside its program."""
    lines = [f"RUN echo {number} >/file{number}" for number in range(scale.steps)]
    job = Job(folder(work / "steps", "\n".join(["FROM busybox", *lines]) + "\n"), no_cache=True)
    yield Case(f"{scale.steps} RUN steps, uncached", scale.rounds, lambda b: b.build(job), nothing)


def big_context(work: Path, scale: Scale) -> Iterator[Case]:
    """Many files: cold, then unchanged, then with one file changed."""
    context = folder(work / "context", "FROM scratch\nCOPY . /app\n")
    fill(context, scale)
    changes = iter(range(1, 1_000_000))

    def change(builder: Builder) -> None:
        (context / "d0" / "f0").write_text(f"change {next(changes)}\n")

    def build(builder: Builder) -> None:
        builder.build(Job(context, out=work / f"{builder.name}.tar"))

    about = f"{scale.files} files, {scale.total_bytes // 1_000_000} MB"
    yield Case(f"{about}: cold", max(1, scale.rounds - 1), build, lambda b: b.forget())
    yield Case(f"{about}: unchanged", scale.rounds, build, nothing)
    yield Case(f"{about}: one file changed", scale.rounds, build, change)


def stages(work: Path, scale: Scale) -> Iterator[Case]:
    """Independent stages, each of which takes its time."""
    lines = []
    for number in range(scale.stages):
        lines += [f"FROM busybox AS s{number}", f"RUN sleep {scale.seconds} && echo {number} >/result"]
    lines += ["FROM scratch"] + [f"COPY --from=s{n} /result /{n}" for n in range(scale.stages)]
    job = Job(folder(work / "stages", "\n".join(lines) + "\n"), no_cache=True, jobs=scale.stages)
    name = f"{scale.stages} independent stages of {scale.seconds} s"
    yield Case(name, scale.rounds, lambda b: b.build(job), nothing)


WORKLOADS = {
    "start-up": start_up,
    "noop": noop,
    "steps": many_steps,
    "context": big_context,
    "stages": stages,
}


def folder(path: Path, dockerfile: str) -> Path:
    """A context with its Dockerfile."""
    path.mkdir(parents=True)
    (path / "Dockerfile").write_text(dockerfile)
    return path


def fill(context: Path, scale: Scale) -> None:
    """Files of many sizes, half of whose content compresses."""
    source = random.Random(1)
    average = scale.total_bytes // scale.files
    text = b"the quick brown fox jumps over the lazy dog 0123456789 " * (average // 20 + 10)
    per_folder = 100
    for number in range(scale.files):
        if number % per_folder == 0:
            (context / f"d{number // per_folder}").mkdir()
        size = source.randrange(average // 4, average * 7 // 4)
        path = context / f"d{number // per_folder}" / f"f{number % per_folder}"
        path.write_bytes(source.randbytes(size // 2) + text[: size - size // 2])

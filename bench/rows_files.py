"""Rows about many files: a large context, and COPY between stages."""

from __future__ import annotations

import itertools
import shutil
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import data, limits, memory
from bench.builder import Builder, Job, Unavailable
from bench.image import Facts
from bench.row import Row, Shop, folder, seconds

PASS_SAYS = "read, sha256 and deflate level 1 of the same files, a thread per core"


@dataclass(frozen=True)
class Large:
    """The large context, with what an image of it holds, and a file that may be changed."""

    context: Path
    about: str
    expect: Facts
    changing: Path

    def job(self, shop: Shop, builder: Builder, compression: str = "") -> Job:
        """The build that writes an archive."""
        return Job(self.context, out=shop.work / f"{builder.name}.tar", compression=compression)


def large(shop: Shop) -> Large:
    """Make the large context, unless another row did."""
    context, scale = shop.work / "context", shop.scale
    if not context.exists():
        folder(context, "FROM scratch\nCOPY . /app\n")
        (context / "changing.txt").write_text("change 0000000\n")
        data.fill(context, scale.files, scale.total)
    files = [path for path in context.rglob("*") if path.is_file()]
    return Large(
        context,
        f"{scale.files:,} files, {scale.total // 1_000_000} MB",
        Facts(1, len(files), sum(path.stat().st_size for path in files)),
        context / "changing.txt",
    )


def noop_large(shop: Shop) -> Row:
    """The large context again, unchanged; no archive."""
    made = large(shop)
    job = Job(made.context)
    return Row(
        "noop-large", f"no-op rebuild, context of {made.about}", 0.25, shop.scale.rounds + 2,
        seconds(lambda b: b.build(job)), lambda b: b.build(job),
        facts=lambda b: b.facts(job, "app/"), expect=made.expect,
        limit=partial(limits.walk, made.context), limit_says="find asks for the size of every file",
    )  # fmt: skip


def context_cold(shop: Shop, name: str = "context-cold", compression: str = "") -> Row:
    """The large context with empty caches, written as an archive."""
    made = large(shop)
    zstd = bool(compression)
    return Row(
        name, f"FROM scratch, COPY of {made.about}, OCI archive, {compression or 'gzip'}: cold",
        None if zstd else 0.2, shop.scale.rounds,
        seconds(lambda b: b.build(made.job(shop, b, compression))), before=lambda b: b.forget(),
        facts=lambda b: b.facts(made.job(shop, b, compression), "app/"), expect=made.expect,
        limit=partial(limits.plain_pass, made.context), limit_says=PASS_SAYS,
        archive=True, only=("jettison", "buildkit") if zstd else (),
    )  # fmt: skip


def context_zstd(shop: Shop) -> Row:
    """The same with zstd, of the builders that can. Raises Unavailable when jettison cannot."""
    probe = folder(shop.work / "zstd", "FROM scratch\nCOPY Dockerfile /\n")
    try:
        shop.builders[0].build(Job(probe, out=shop.work / "zstd.tar", compression="zstd"))
    except RuntimeError as error:
        raise Unavailable("layers compressed with zstd cannot be asked for here") from error
    return context_cold(shop, "context-zstd", "zstd")


def context_changed(shop: Shop) -> Row:
    """The large context after one small file was changed."""
    made = large(shop)
    numbers = itertools.count(1)

    def change(builder: Builder) -> None:
        made.changing.write_text(f"change {next(numbers):07}\n")

    return Row(
        "context-changed", "the same after one file changed", 0.2, shop.scale.rounds,
        seconds(lambda b: b.build(made.job(shop, b))), lambda b: b.build(made.job(shop, b)), change,
        facts=lambda b: b.facts(made.job(shop, b), "app/"), expect=made.expect,
        limit=partial(limits.plain_pass, made.context), limit_says=PASS_SAYS, archive=True,
    )  # fmt: skip


def copy_from(shop: Shop) -> Row:
    """Files go from one stage to another, and out. The stage that has them is built before, untimed."""
    scale = shop.scale
    source = shop.work / "copied"
    content = data.fill(source, scale.copied, scale.copied_total, seed=2)
    context = folder(
        shop.work / "copy-from",
        "FROM busybox AS build\nCOPY files.tar /\nARG ROUND\n"
        "RUN mkdir /out && tar xf /files.tar -C /out && printf %07d $ROUND >/out/round\n"
        "FROM scratch\nCOPY --from=build /out /out\n",
    )
    with tarfile.open(context / "files.tar", "w") as tar:
        tar.add(source, ".")
    numbers = dict.fromkeys((builder.name for builder in shop.builders), 0)

    def job(builder: Builder, target: str = "") -> Job:
        out = None if target else shop.work / f"{builder.name}-copied.tar"
        return Job(context, out, target, {"ROUND": str(numbers[builder.name])}, (shop.base,))

    def before(builder: Builder) -> None:
        numbers[builder.name] += 1
        builder.build(job(builder, "build"))

    return Row(
        "copy-from", f"COPY --from of {scale.copied:,} files between stages, OCI archive", 0.3, scale.rounds,
        seconds(lambda b: b.build(job(b))), lambda b: b.load(shop.base), before,
        facts=lambda b: b.facts(job(b), "out/"),
        expect=Facts(1, scale.copied + 1, content + 7),
        limit=partial(limits.plain_pass, source), limit_says=PASS_SAYS, archive=True,
    )  # fmt: skip


def memory_peak(shop: Shop) -> Row:
    """The most that a builder needs for the large context."""
    made = large(shop)

    def measure(builder: Builder) -> float:
        others = [pid for other in shop.builders if other is not builder for pid in other.daemons()]
        work = partial(builder.build, made.job(shop, builder))
        return memory.peak(work, builder.daemons(), others)

    return Row(
        "memory", f"peak memory, cold, context of {made.about}", 150e6, 1, measure,
        before=lambda b: b.forget(), facts=lambda b: b.facts(made.job(shop, b), "app/"), expect=made.expect,
        unit="MB", absolute=True, archive=True,
    )  # fmt: skip


def memory_growth(shop: Shop) -> Row:
    """How jettison's memory grows with the number of files."""
    context = folder(shop.work / "small-files", "FROM scratch\nCOPY . /app\n")
    counts = shop.scale.growth
    out = shop.work / "small-files.tar"
    points: dict[str, float] = {}

    def measure(builder: Builder) -> float:
        others = [pid for other in shop.builders for pid in other.daemons()]
        made = 0
        for count in counts:
            data.small_files(context, made, count)
            made = count
            builder.forget()
            points[str(count)] = memory.peak(partial(builder.build, Job(context, out)), [], others)
        shop.stack.callback(shutil.rmtree, context, ignore_errors=True)
        return (points[str(counts[-1])] - points[str(counts[0])]) / (counts[-1] - counts[0])

    return Row(
        "memory-growth", f"growth of peak memory from {counts[0]:,} to {counts[-1]:,} small files", 300, 1,
        measure, facts=lambda b: b.facts(Job(context, out), "app/"), expect=Facts(1, counts[-1] + 1),
        unit="bytes a file", absolute=True, only=("jettison",), details=points,
    )  # fmt: skip

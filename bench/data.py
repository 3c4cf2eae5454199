"""Files to build with: the same bytes on every machine, and about as compressible as a real project.

By bytes a folder is made of about 45 % source-like text (words of a made-up vocabulary, the
frequent ones often, with indentation, calls and comments), 20 % JSON, 20 % binaries (recurring
sequences of bytes with random operands, and strings) and 15 % assets that do not compress. Sizes
spread as in real projects: most files have a few kilobytes, a few have a hundred times that.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MIX = {"py": 45, "json": 20, "so": 20, "png": 15}
"""Endings, with their share in percent."""
LARGEST = 2_000_000
"""Bytes of the largest file."""
PER_FOLDER = 40
POOLS = {"py": 12_000_000, "json": 8_000_000, "so": 8_000_000}
"""Bytes that are made of each kind; a file is a piece of them, from a random place."""


def fill(folder: Path, files: int, total: int, seed: int = 1) -> int:
    """Make files of about `total` bytes together below a folder; give their exact bytes."""
    source = random.Random(seed)
    raw = [source.lognormvariate(0, 1.4) for _ in range(files)]
    scale = total / sum(raw)
    kinds = source.choices(list(MIX), list(MIX.values()), k=files)
    written = 0
    for number, (kind, value) in enumerate(zip(kinds, raw, strict=True)):
        place = folder / f"group{number // PER_FOLDER // 25}" / f"module{number // PER_FOLDER % 25}"
        if number % PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        size = min(LARGEST, max(16, int(value * scale)))
        (place / f"part{number % PER_FOLDER}.{kind}").write_bytes(piece(source, kind, size, total))
        written += size
    return written


def piece(source: random.Random, kind: str, size: int, total: int) -> bytes:
    """The content of one file."""
    if kind not in POOLS:
        return source.randbytes(size)
    pool = made(kind, min(POOLS[kind], max(2 * size, total // 20)))
    start = source.randrange(max(1, len(pool) - size))
    return pool[start : start + size].ljust(size)


def small_files(folder: Path, first: int, last: int) -> None:
    """Files of about 100 bytes, numbered; two hundred in each subfolder."""
    for number in range(first, last):
        place = folder / f"s{number // 200}"
        if number % 200 == 0:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number % 200}.txt").write_text(f"small file number {number}\n" * 4)


@cache
def made(kind: str, size: int) -> bytes:
    """A pool of a kind, always the same bytes for the same size."""
    source = random.Random(f"{kind} {size}")
    makers = {"py": source_lines, "json": json_lines, "so": machine_code}
    parts: list[bytes] = []
    length = 0
    for part in makers[kind](source):
        parts.append(part)
        length += len(part)
        if length >= size:
            break
    return b"".join(parts)


def vocabulary(source: random.Random, count: int) -> tuple[list[str], list[float]]:
    """Made-up words, and running weights by which the first are the most frequent."""
    syllables = [a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "er", "in", "ost")]
    words = ["".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(count)]
    return words, list(itertools.accumulate(1 / (rank + 3) for rank in range(count)))


def source_lines(source: random.Random) -> Iterator[bytes]:
    """Lines like those of a program, without end."""
    words, weights = vocabulary(source, 12_000)
    shapes = (
        "    {} = {}.{}({}, {})\n", "        if {} == {}[{}]:\n", "    # {} {} {} {} {}\n",
        "        return {}({}.{} + {})\n", "def {}_{}({}, {}={}):\n", "            {}.append({} % {})\n\n",
        '    {} = "{} {} {}"\n', "from {}.{} import {}\n",
    )  # fmt: skip
    while True:
        chosen = iter(source.choices(words, cum_weights=weights, k=5000))
        for shape in source.choices(shapes, k=1000):
            yield shape.format(*itertools.islice(chosen, shape.count("{}"))).encode()


def json_lines(source: random.Random) -> Iterator[bytes]:
    """Records as they stand in lock files and logs, without end."""
    words, weights = vocabulary(source, 4_000)
    while True:
        names = source.choices(words, cum_weights=weights, k=6)
        record = {
            "name": f"{names[0]}-{names[1]}",
            "version": f"{source.randrange(20)}.{source.randrange(40)}.{source.randrange(9)}",
            "integrity": source.randbytes(20).hex(),
            "size": source.randrange(1_000_000),
            "requires": {names[2]: "^1.0.0", names[3]: f"~{source.randrange(9)}.2"},
            "description": " ".join(names),
        }
        yield json.dumps(record, indent=2).encode() + b",\n"


def machine_code(source: random.Random) -> Iterator[bytes]:
    """Bytes about as repetitive as a program's, without end."""
    sequences = [source.randbytes(source.randint(3, 12)) for _ in range(2_500)]
    weights = list(itertools.accumulate(1 / (rank + 3) for rank in range(len(sequences))))
    words, _ = vocabulary(source, 2_000)
    while True:
        for sequence in source.choices(sequences, cum_weights=weights, k=1000):
            yield sequence
            if sequence[0] < 48:
                yield source.randbytes(1) + b"\0\0"
        yield "\0".join(source.choices(words, k=60)).encode()

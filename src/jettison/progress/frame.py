"""One frame of the live view: a build as it is, laid out for a width and a height. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from jettison.dataclass import dataclass
from jettison.progress.cells import clip, safe, width
from jettison.progress.lines import BOLD, CYAN, DIM, GREEN, Look, size_text
from jettison.progress.live import Live, Running, Transfer

_OUTPUT = 3
"""Lines of output below a running step, where there is room."""
_BAR = 20
_LEAST = 6
_FOLDABLE = 8
"""Columns below which nothing is folded under a step, nor counted."""
_NARROW = 50
"""Columns below which there is no bar beside the numbers."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Something at work: a head of label, text and what is right of them; what is folded under it."""

    label: str
    text: str
    right: str
    transfer: Transfer | None
    step: Running | None


def frame(live: Live, columns: int, height: int, now: float, look: Look) -> list[str]:
    """The lines of a frame, below `columns` cells wide, and no more of them than two thirds of `height`.

    What does not fit is counted. Of a small terminal all but one row is used.
    """
    room = min(height - 1, max(_LEAST, height * 2 // 3))
    most = columns - 1
    if room < 1 or most < 1:
        return []
    blocks = list(_blocks(live, now))
    shown = blocks if len(blocks) < room else blocks[: max(room - 2, 0)]
    spare = room - 1 - len(shown) if most >= _FOLDABLE else 0
    hidden: list[str] = []
    if len(shown) < len(blocks) and spare:
        spare = 0
        text = f"  +{len(blocks) - len(shown)} more steps running"
        hidden.append(look.paint(clip(text, most, look.more), DIM))
    labels = min(max((width(block.label) for block in shown), default=0), most // 3)
    lines: list[str] = []
    for block, folded in zip(shown, _share(shown, spare, now, most, look), strict=True):
        lines += [_head(block, labels, most, look), *folded]
    return [*lines, *hidden, _footer(live, now, most, look)]


def _blocks(live: Live, now: float) -> Iterator[_Block]:
    for label, transfer in live.transfers.items():
        place, text = _place_of(safe(_short(label)))
        yield _Block(place, text, "", transfer, None)
    for stage in live.working:
        for step in stage.running.values():
            label, text = _place_of(step.name)
            size = f"{size_text(stage.size)}  " if stage.size else ""
            yield _Block(label, text, f"{size}{clock(now - step.started)}", step.transfer, step)


def _place_of(name: str) -> tuple[str, str]:
    """A step's place, "" for what has none, and the rest of its name."""
    place, closed, text = name.partition("] ")
    return (place[1:], text) if closed and name.startswith("[") else ("", name)


def _share(blocks: list[_Block], spare: int, now: float, most: int, look: Look) -> list[list[str]]:
    """What is folded under each block, when `spare` rows are left: bars first, then output, in turns."""
    folded: list[list[str]] = [[] for _ in blocks]
    output = [[] if block.step is None or not spare else block.step.lines(_OUTPUT) for block in blocks]
    for block, under in zip(blocks, folded, strict=True):
        if spare and block.transfer is not None:
            under.append("  " + _bar(block.transfer, now, most - 2, look))
            spare -= 1
    counts = [0] * len(blocks)
    for row in range(_OUTPUT):
        for i, lines in enumerate(output):
            if spare and row < len(lines):
                counts[i] += 1
                spare -= 1
    edge = look.sign("│", "|")
    for under, lines, count in zip(folded, output, counts, strict=True):
        for line in lines[len(lines) - count :]:
            text = clip(look.words(line), most - 4, look.more)
            under.append(look.paint(f"  {edge} {text}", DIM))
    return folded


def _head(block: _Block, labels: int, most: int, look: Look) -> str:
    if not block.label:
        labels = 0
    label = clip(look.words(block.label), labels, look.more)
    label += " " * (labels - width(label))
    left = f"{look.sign('▸', '>')} "
    room = most - len(left) - width(label) - (2 if labels else 0) - len(block.right) - 2
    if room < 4:
        # Too narrow for columns: what it is comes first.
        return clip(f"{left}{look.words(block.label or block.text)}", most, look.more)
    text = clip(look.words(block.text), room, look.more)
    gap = " " * (room - width(text) + 2)
    between = "  " if labels else ""
    painted = look.paint(left, CYAN) + look.paint(label, BOLD) + between + text
    return painted + gap + look.paint(block.right, DIM) if block.right else painted


def _bar(transfer: Transfer, now: float, most: int, look: Look) -> str:
    """How far a transfer is: a bar, bytes, the rate and the time left, as far as these are known."""
    rate = 0.0 if transfer.over else transfer.rate(now)
    parts = [size_text(transfer.done)]
    if transfer.total:
        parts = [f"{_share_of(transfer):4.0%}", f"{parts[0]} / {size_text(transfer.total)}"]
    if rate:
        parts.append(f"{size_text(int(rate))}/s")
        if transfer.total:
            parts.append(f"{clock((transfer.total - transfer.done) / rate)} left")
    if transfer.parts > 1:
        parts.append(f"{transfer.parts} layers")
    text = "  ".join(parts)
    if not transfer.total or most < _NARROW:
        return clip(text, most, look.more)
    return f"{_drawn(_share_of(transfer), _BAR, look)} {clip(text, most - _BAR - 1, look.more)}"


def _share_of(transfer: Transfer) -> float:
    return min(transfer.done / transfer.total, 1.0)


def _drawn(share: float, cells: int, look: Look) -> str:
    full = int(share * cells)
    return look.paint(look.sign("━", "#") * full, GREEN) + look.paint(
        look.sign("─", "-") * (cells - full), DIM
    )


def _footer(live: Live, now: float, most: int, look: Look) -> str:
    parts = [clock(now - live.began)]
    if live.steps:
        parts.append(f"{min(live.done, live.steps)}/{live.steps} steps")
    if live.failures:
        parts.append(f"{live.failures} failed")
    if live.running:
        parts.append(f"{live.running} running")
    if live.waiting and live.steps:
        parts.append(f"{live.waiting} waiting")
    if live.cached:
        parts.append(f"{live.cached} cached")
    if live.steps and live.done >= live.steps:
        parts.append("writing the result")
    dot = look.sign(" · ", ", ")
    if not live.steps or most < _NARROW:
        return look.paint(clip(dot.join(parts), most, look.more), BOLD)
    bar = _drawn(min(live.done / live.steps, 1.0), _BAR, look)
    return f"{bar} {look.paint(clip(dot.join(parts), most - _BAR - 1, look.more), BOLD)}"


def _short(label: str) -> str:
    """What is on its way, as people call it."""
    return f"layer {label[7:19]}" if label.startswith("sha256:") else label


def clock(seconds: float) -> str:
    """A time that is redrawn once a second: `7s`, `1m02s`, `2h05m`."""
    whole = int(max(seconds, 0.0))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole // 60 % 60:02d}m"

"""The text itself, as far as typed instructions do not keep it: comments and empty lines."""

from __future__ import annotations

from jettison.dockerfile.lines import decode, read_directives


def physical_lines(data: bytes) -> list[str]:
    """The lines of the file; the last one may lack its line feed."""
    lines = decode(data)
    if lines and not lines[-1]:
        lines.pop()
    return lines


def comments_above(lines: list[str], first: int) -> list[str]:
    """The comments in the lines right above line `first`, without their `#`. Parser directives are none."""
    at = first - 2
    while at >= 0 and lines[at].lstrip().startswith("#"):
        at -= 1
    begin = at + 1
    if begin == 0:
        begin = sum(1 for _ in read_directives(lines))
    return [line.strip()[1:].strip() for line in lines[begin : first - 1]]


def described(comments: list[str], name: str) -> str:
    """What a comment of the form `# NAME text` says about the stage or argument of that name."""
    if not name:
        return ""
    return next((text[len(name) + 1 :].strip() for text in comments if text.startswith(name + " ")), "")


def empty_continuation(lines: list[str], first: int, escape: str) -> int:
    """The last line of the instruction that begins at `first`, if an empty line interrupts it, else 0."""
    if first > len(lines) or not _continued(lines[first - 1], escape):
        return 0
    at, empty = first, False
    while at < len(lines):
        text = lines[at].strip()
        at += 1
        if not text:
            empty = True
        elif text[0] != "#" and not _continued(lines[at - 1], escape):
            break
    return at if empty else 0


def _continued(line: str, escape: str) -> bool:
    line = line.rstrip("\r").rstrip(" \t")
    return line.endswith(escape) and not line.endswith(escape * 2)

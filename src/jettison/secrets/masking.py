"""Hides values in what steps print: `****` stands in their place.

A value is looked for as it is, line by line, and in the forms that programs give it on the way:
percent-encoded, inside JSON, and in base64, also behind something else (`user:password`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from jettison.dataclass import dataclass, replace
from jettison.errors import DockerfileError, JettisonError, StepFailed
from jettison.events import BuildFinished, Emit, Event, StepExplained, StepFinished, Warned

MASK = b"****"

SHORTEST = 6
"""Bytes: what is shorter occurs everywhere, and would hide everything."""

_LONGEST_ENCODED = 4096
_PIECE = 1024
"""Bytes: longer values are looked for piece by piece, so that little output has to be held back."""

_ESCAPE = re.compile("%[0-9A-F]{2}")

Output = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Masks:
    """The texts to hide. None of them holds a line's end, and none is longer than `longest` bytes."""

    texts: tuple[bytes, ...] = ()
    longest: int = 0

    def hide(self, data: bytes) -> bytes:
        """Data with every text masked."""
        stream = MaskedStream(self)
        return stream.feed(data) + stream.end()

    def hide_text(self, text: str) -> str:
        """The same for a message."""
        data = text.encode("utf-8", "surrogateescape")
        hidden = self.hide(data)
        return hidden.decode("utf-8", "surrogateescape") if hidden != data else text


def masks_of(values: Iterable[bytes]) -> Masks:
    """What hides some values: nothing of those that are too short."""
    texts = {piece for value in values for text in _forms(value) for piece in _pieces(text)}
    return Masks(tuple(sorted(texts)), max(map(len, texts), default=0))


def _forms(value: bytes) -> Iterator[bytes]:
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines if len(line) >= SHORTEST)
    whole = value.strip()
    if SHORTEST <= len(whole) <= _LONGEST_ENCODED:
        yield from (form for form in _encoded(whole) if len(form) >= SHORTEST)


def _encoded(value: bytes) -> Iterator[bytes]:
    import json
    from base64 import b64encode
    from urllib.parse import quote, quote_plus

    for text in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield text.encode("ascii")
        yield _ESCAPE.sub(lambda found: found[0].lower(), text).encode("ascii")
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        yield from (json.dumps(text, ensure_ascii=escaped)[1:-1].encode() for escaped in (True, False))
    for before, mixed in ((0, 0), (1, 2), (2, 3)):
        # Only the characters that no neighbour of the value has a part in.
        coded = b64encode(bytes(before) + value)[mixed : (before + len(value)) * 8 // 6]
        yield coded
        yield coded.translate(bytes.maketrans(b"+/", b"-_"))


def _pieces(text: bytes) -> Iterator[bytes]:
    # They overlap, so that their masks become one.
    yield from (text[at : at + _PIECE] for at in range(0, len(text) - _PIECE, _PIECE - 1))
    yield text[-_PIECE:]


class MaskedStream:
    """Masks bytes that come in chunks. Only what may be the beginning of a text is held back."""

    def __init__(self, masks: Masks) -> None:
        self._masks = masks
        self._held = b""
        self._hidden = 0
        """So many of the held bytes belong to a mask that is written already."""

    def feed(self, data: bytes) -> bytes:
        """What is sure after some more bytes."""
        data = self._held + data
        return self._pass_on(data, self._doubtful(data))

    def end(self) -> bytes:
        """The rest."""
        return self._pass_on(self._held, len(self._held))

    def _pass_on(self, data: bytes, until: int) -> bytes:
        self._held = data[until:]
        if not until:
            return b""
        out = []
        at = 0
        for start, end in self._found(data):
            if start >= until:
                break
            out.append(data[at:start])
            if start or not self._hidden:
                out.append(MASK)
            at = end
        out.append(data[at:until])
        self._hidden = max(0, at - until)
        return b"".join(out)

    def _found(self, data: bytes) -> list[tuple[int, int]]:
        """Where texts are, from left to right; those that overlap are one."""
        found = [(0, self._hidden)] if self._hidden else []
        for text in self._masks.texts:
            at = data.find(text)
            while at >= 0:
                found.append((at, at + len(text)))
                at = data.find(text, at + 1)
        merged: list[tuple[int, int]] = []
        for start, end in sorted(found):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _doubtful(self, data: bytes) -> int:
        """Where the first text that may go on in the next chunk begins: in the last line, if anywhere."""
        first = max(data.rfind(b"\n") + 1, len(data) - self._masks.longest + 1)
        end = data[first:]
        best = len(end)
        for text in self._masks.texts:
            at = end.find(text[:1], 0, best)
            while at >= 0:
                if len(end) - at < len(text) and text.startswith(end[at:]):
                    best = at
                    break
                at = end.find(text[:1], at + 1, best)
        return first + best


@contextmanager
def masked_output(masks: Masks, output: Output) -> Iterator[Output]:
    """An output that passes on what it gets with all texts masked; the last bytes when the block ends."""
    if not masks.texts:
        yield output
        return
    streams = {1: MaskedStream(masks), 2: MaskedStream(masks)}

    def write(stream: int, data: bytes) -> None:
        if hidden := streams[stream].feed(data):
            output(stream, hidden)

    try:
        yield write
    finally:
        for number, stream in streams.items():
            if rest := stream.end():
                output(number, rest)


def masked_events(masks: Callable[[], Masks], emit: Emit) -> Emit:
    """An `Emit` that masks messages. What steps print is masked where it comes from."""

    def masked(event: Event) -> None:
        if isinstance(event, (StepFinished, BuildFinished)) and event.error:
            event = replace(event, error=masks().hide_text(event.error))
        elif isinstance(event, Warned):
            event = replace(event, message=masks().hide_text(event.message))
        elif isinstance(event, StepExplained):
            event = replace(event, reasons=tuple(map(masks().hide_text, event.reasons)))
        emit(event)

    return masked


def mask_error(masks: Masks, error: JettisonError) -> None:
    """Mask all that an error says."""
    hide = masks.hide_text
    error.message = hide(error.message)
    error.args = (error.message,)
    error.hint = hide(error.hint) if error.hint else error.hint
    for other in error.others:
        mask_error(masks, other)
    if isinstance(error, StepFailed):
        error.tail = tuple(map(hide, error.tail))
    if isinstance(error, DockerfileError):
        error.problems = tuple(
            replace(problem, message=hide(problem.message), hint=hide(problem.hint) if problem.hint else None)
            for problem in error.problems
        )

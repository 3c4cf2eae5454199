"""What a step's process wrote, cut into lines; numbers for people; and what a terminal can show."""

from __future__ import annotations

from jettison.dataclass import dataclass

RED, GREEN, YELLOW, CYAN, DIM, BOLD = "31", "32", "33", "36", "2", "1"


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show: colours, and signs beyond ASCII."""

    colour: bool = True
    signs: bool = True

    def paint(self, text: str, code: str) -> str:
        """A text in a colour, or as it is."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def sign(self, sign: str, plain: str) -> str:
        """A sign, or what stands for it in ASCII."""
        return sign if self.signs else plain

    @property
    def more(self) -> str:
        """What says that a text goes on, in one cell."""
        return self.sign("…", "~")

    def words(self, text: str) -> str:
        """A text with nothing in it that the terminal has no letters for."""
        return text if self.signs else text.encode("ascii", "replace").decode("ascii")


class LineBuffer:
    """Cuts bytes into lines of text. A piece may end anywhere, also inside a character.

    Of a line that was overwritten with `\\r` (a progress bar) only what stood there last is kept.
    """

    __slots__ = ("_rest",)
    _LONGEST = 1 << 16

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > self._LONGEST:
            if b"\r" in self._rest:
                self._rest = self._rest.rpartition(b"\r")[2]
            if len(self._rest) > self._LONGEST:
                lines.append(self._rest)
                self._rest = b""
        return [readable(line) for line in lines]

    def peek(self) -> str:
        """The line that is not complete yet."""
        return readable(self._rest)

    def flush(self) -> list[str]:
        """The last line, if it has no end."""
        rest, self._rest = self._rest, b""
        return [readable(rest)] if rest.strip(b"\r") else []


def readable(line: bytes) -> str:
    """One line as text: undecodable bytes replaced, what `\\r` overwrote left out."""
    line = line.rstrip(b"\r")
    if b"\r" in line:
        line = line.rpartition(b"\r")[2]
    return line.decode("utf-8", "replace")


def size_text(size: int) -> str:
    """A number of bytes, in powers of 1000 as registries count."""
    if size < 1000:
        return f"{size} B"
    number = float(size)
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.95 or unit == "TB":
            break
    return f"{number:.1f} {unit}"


def duration(value: float) -> str:
    """A duration: `0.3s`, `1m02s`."""
    value = max(value, 0.0)
    if value < 60:
        return f"{value:.1f}s"
    whole = int(value)
    return f"{whole // 60}m{whole % 60:02d}s"

"""Quotes, escapes and ${…} in one text (Dockerfile reference, Environment replacement)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NoReturn

from jettison.dockerfile.mistake import Mistake, shown

Lookup = Callable[[str], str | None]
Pieces = list[tuple[str, bool]]
"""Text with whether blanks in it separate words."""

_NAME = re.compile(r"\d+|[@*#?$!\-]|[^\W\d]\w*")
_DEEPEST = 60
_MOST = 1 << 18
"""Characters that the variables of one text may become: twice what Linux takes as one variable."""
_PLAIN: dict[tuple[str, str | None, bool], re.Pattern[str]] = {}


def _plain(escape: str, stop: str | None, quotes: bool) -> re.Pattern[str]:
    """A run of characters that mean nothing special."""
    found = _PLAIN.get((escape, stop, quotes))
    if found is None:
        special = "$" + escape + (stop or "") + ("'\"" if quotes else "")
        found = _PLAIN[(escape, stop, quotes)] = re.compile(f"[^{re.escape(special)}]+")
    return found


class Substitution:
    """One pass over a text. `quotes` is False in here-documents, where quotes are content."""

    __slots__ = ("at", "depth", "escape", "grown", "lookup", "quotes", "text")

    def __init__(self, text: str, lookup: Lookup, escape: str, quotes: bool = True) -> None:
        self.text = text
        self.lookup = lookup
        self.escape = escape
        self.quotes = quotes
        self.at = 0
        self.depth = 0
        self.grown = 0

    def pieces(self, stop: str | None = None, raw: bool = False) -> Pieces:
        """Read up to `stop`, or all. `raw` keeps escape characters, for patterns. Raises Mistake."""
        text, plain = self.text, _plain(self.escape, stop, self.quotes)
        out: Pieces = []
        while self.at < len(text):
            char = text[self.at]
            if char == stop:
                self.at += 1
                return out
            if char == "$":
                out.append((self._dollar(), True))
            elif char == "'" and self.quotes:
                out.append((self._single(), False))
            elif char == '"' and self.quotes:
                out.append((self._double(raw), False))
            elif char == self.escape:
                self.at += 2
                following = text[self.at - 1 : self.at]
                out.append((char + following if raw else following, False))
            else:
                end = plain.match(text, self.at).end()  # type: ignore[union-attr]
                out.append((text[self.at : end], True))
                self.at = end
        if stop is not None:
            self._missing(stop)
        return out

    def _missing(self, stop: str) -> NoReturn:
        raise Mistake(
            f"syntax error: missing {stop!r} in the substitution {shown(self.text)}", "close every ${ with }"
        )

    def _until(self, stop: str, raw: bool) -> str:
        return "".join(text for text, _ in self.pieces(stop, raw))

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise Mistake(
                f"a single quote is not closed in {shown(self.text)}",
                "close it, or write \\' for the character",
            )
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return inner

    def _double(self, raw: bool) -> str:
        text, plain = self.text, _plain(self.escape, '"', False)
        out: list[str] = []
        self.at += 1
        while self.at < len(text):
            char = text[self.at]
            if char == '"':
                self.at += 1
                return "".join(out)
            if char == "$":
                out.append(self._dollar())
            elif char == self.escape:
                out.append(self._escaped_in_double(raw))
            else:
                end = plain.match(text, self.at).end()  # type: ignore[union-attr]
                out.append(text[self.at : end])
                self.at = end
        raise Mistake(
            f"a double quote is not closed in {shown(text)}", 'close it, or write \\" for the character'
        )

    def _escaped_in_double(self, raw: bool) -> str:
        """Only quotes, dollars and the escape character itself can be escaped between double quotes."""
        self.at += 1
        following = self.text[self.at : self.at + 1]
        kept = self.escape if raw else ""
        if following and following in ('"', "$", self.escape):
            self.at += 1
            return kept + following
        return kept + self.escape if following else kept

    def _name(self) -> str:
        found = _NAME.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        return found.group()

    def _dollar(self) -> str:
        value = self._value()
        self.grown += len(value)
        if self.grown > _MOST:
            raise Mistake(
                f"the values of variables in {shown(self.text)} are longer than {_MOST} characters together",
                "no process can be given a variable of that length; is one made of itself again and again?",
            )
        return value

    def _value(self) -> str:
        self.at += 1
        if not self.text.startswith("{", self.at):
            name = self._name()
            return (self.lookup(name) or "") if name else "$"
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Mistake(f"substitutions are nested deeper than {_DEEPEST} in {shown(self.text)}")
        self.at += 1
        value = self._braced()
        self.depth -= 1
        return value

    def _braced(self) -> str:
        start = self.at
        following = self.text[start : start + 1]
        if not following:
            self._missing("}")
        if following in "{}:":
            raise Mistake(f"syntax error: bad substitution in {shown(self.text)}", "write ${NAME}")
        name = self._name()
        operator = self.text[self.at : self.at + 1]
        self.at += 1
        if operator == "}":
            return self.lookup(name) or ""
        if operator == "/":
            return self._replaced(name)
        colon = operator == ":"
        if colon:
            operator = self.text[self.at : self.at + 1]
            self.at += 1
        if not operator:
            self._missing("}")
        if operator not in "+-?#%":
            raise Mistake(
                f"unsupported modifier ({':' * colon}{operator}) in substitution {shown(self.text)}",
                "use :- - :+ + :? ? # ## % %% / or //",
            )
        word = self._until("}", operator in "#%")
        value = self.lookup(name)
        if operator in "#%":
            return trim(value or "", word, operator)
        missing = value is None or (colon and not value)
        if operator == "-":
            return word if missing else value or ""
        if operator == "+":
            return "" if missing else word
        if missing:
            state = "unset" if value is None else "empty"
            raise Mistake(
                f"{name}: {word or f'is not allowed to be {state}'}",
                f"give {name} a value with ARG, ENV or --build-arg",
            )
        return value or ""

    def _replaced(self, name: str) -> str:
        every = self.text.startswith("/", self.at)
        self.at += every
        pattern = self._until("/", True)
        replacement = self._until("}", True)
        expression = re.compile("".join(atoms(pattern, True)))
        return expression.sub(lambda _: replacement, self.lookup(name) or "", count=0 if every else 1)


def atoms(pattern: str, greedy: bool) -> list[str]:
    """A shell pattern (`*` and `?`, no brackets) as regular expressions, one for each of its characters."""
    star = ".*" if greedy else ".*?"
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append(star)
        elif char == "?":
            out.append(".")
        elif char != "\\":
            out.append(re.escape(char))
        elif pattern[at : at + 1] not in ("}", "/"):
            escaped = pattern[at : at + 1]
            at += 1
            if escaped not in ("*", "?", "\\"):
                raise Mistake(
                    f"invalid escape \\{escaped} in the pattern {shown(pattern)} of a substitution",
                    "only \\* \\? \\\\ \\/ and \\} are escapes in a pattern",
                )
            out.append(re.escape(escaped))
    return out


def trim(value: str, pattern: str, operator: str) -> str:
    """`value` without the start (#) or end (%) that matches; the longest when the operator is doubled."""
    greedy = pattern.startswith(operator)
    parts = atoms(pattern[greedy:], greedy)
    if operator == "#":
        found = re.match("".join(parts), value)
        return value[found.end() :] if found else value
    found = re.match("".join(reversed(parts)), value[::-1])
    return value[: len(value) - found.end()] if found else value

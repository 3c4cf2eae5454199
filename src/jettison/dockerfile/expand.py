"""Variables: in a text, and in every field of an instruction that the reference says is expanded."""

from __future__ import annotations

import re

from jettison.dataclass import replace
from jettison.dockerfile import values
from jettison.dockerfile.instructions import (
    Add,
    Arg,
    Copy,
    Env,
    Expose,
    Heredoc,
    Instruction,
    Label,
    Run,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from jettison.dockerfile.mistake import Mistake
from jettison.dockerfile.mounts import read_mount
from jettison.dockerfile.substitution import Lookup, Pieces, Substitution
from jettison.location import Location

_DEFAULT_ESCAPE = "\\"
_REMOTE = re.compile(r"(?:https?|git|ssh)://|git@|github\.com/|.+\.git(?:#|\Z)")


def expand(text: str, lookup: Lookup, escape: str = "\\", location: Location | None = None) -> str:
    """Replace variables, remove quotes and escapes. Raises DockerfileError.

    `lookup` gives None for names that are not set.
    """
    try:
        return expand_text(text, lookup, escape)
    except Mistake as mistake:
        raise mistake.located(location) from None


def expand_text(text: str, lookup: Lookup, escape: str) -> str:
    """As `expand`, for this room. Raises Mistake."""
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return text
    return "".join(piece for piece, _ in Substitution(text, lookup, escape).pieces())


def expand_words(text: str, lookup: Lookup, escape: str) -> list[str]:
    """As `expand_text`, split into words at blanks that are not quoted, those of values included."""
    if "$" not in text and "'" not in text and '"' not in text and escape not in text:
        return text.split()
    return _words(Substitution(text, lookup, escape).pieces())


def _words(pieces: Pieces) -> list[str]:
    words: list[str] = []
    word = ""
    for text, splits in pieces:
        if not splits:
            word += text
            continue
        parts = text.split()
        if not parts or text[0].isspace():
            words.append(word)
            word = ""
        for part in parts[:-1]:
            words.append(word + part)
            word = ""
        if parts:
            word += parts[-1]
            if text[-1].isspace():
                words.append(word)
                word = ""
    return [found for found in (*words, word) if found]


def expand_content(text: str, lookup: Lookup) -> str:
    """Variables in a here-document: quotes are content, the escape character is always the backslash."""
    if "$" not in text and "\\" not in text:
        return text
    return "".join(piece for piece, _ in Substitution(text, lookup, _DEFAULT_ESCAPE, quotes=False).pieces())


def expand_instruction(instruction: Instruction, lookup: Lookup, escape: str = "\\") -> Instruction:
    """The instruction with its variables replaced and its values checked. Raises DockerfileError.

    Instructions whose arguments are not expanded (CMD, ONBUILD, …) come back as they are; so does FROM,
    which only sees global arguments.
    """
    try:
        expanded = _expanded(instruction, lookup, escape)
        if expanded is not instruction:
            _check(expanded)
    except Mistake as mistake:
        raise mistake.located(instruction.location) from None
    return expanded


def _expanded(instruction: Instruction, lookup: Lookup, escape: str) -> Instruction:
    def one(text: str) -> str:
        return expand_text(text, lookup, escape)

    if isinstance(instruction, Env | Label):
        return replace(instruction, pairs=tuple((one(key), one(value)) for key, value in instruction.pairs))
    if isinstance(instruction, Copy | Add):
        return _expanded_paths(instruction, lookup, escape)
    if isinstance(instruction, Run):
        if not any(mount.pending for mount in instruction.mounts):
            return instruction
        return replace(instruction, mounts=tuple(read_mount(mount.text, one) for mount in instruction.mounts))
    if isinstance(instruction, Arg):
        items = tuple((one(name), None if value is None else one(value)) for name, value in instruction.items)
        return replace(instruction, items=items)
    if isinstance(instruction, Workdir):
        return replace(instruction, path=one(instruction.path))
    if isinstance(instruction, User):
        return replace(instruction, user=one(instruction.user))
    if isinstance(instruction, Volume):
        return replace(instruction, paths=tuple(one(path) for path in instruction.paths))
    if isinstance(instruction, Stopsignal):
        return replace(instruction, signal=one(instruction.signal))
    if isinstance(instruction, Expose):
        words = dict.fromkeys(
            word for text in instruction.ports for word in expand_words(text, lookup, escape)
        )
        return replace(
            instruction, ports=tuple(dict.fromkeys(port for word in words for port in values.ports(word)))
        )
    return instruction


def _expanded_paths(instruction: Copy | Add, lookup: Lookup, escape: str) -> Copy | Add:
    def one(text: str) -> str:
        return expand_text(text, lookup, escape)

    files = tuple(
        Heredoc(item.name, expand_content(item.data, lookup), False) if item.expand else item
        for item in instruction.files
    )
    # A pattern may escape wildcards: its backslashes are left alone unless a variable stands in it.
    exclude = tuple(one(pattern) if "$" in pattern else pattern for pattern in instruction.exclude)
    expanded = replace(
        instruction,
        sources=tuple(one(source) for source in instruction.sources),
        dest=one(instruction.dest),
        files=files,
        chown=one(instruction.chown),
        chmod=one(instruction.chmod),
        exclude=exclude,
    )
    if isinstance(expanded, Add):
        return replace(expanded, checksum=one(expanded.checksum))
    return expanded


def _check(instruction: Instruction) -> None:
    """Values that only make sense once variables are replaced."""
    if isinstance(instruction, Stopsignal):
        values.check_signal(instruction.signal)
    elif isinstance(instruction, Copy | Add):
        if instruction.chmod:
            values.check_mode(instruction.chmod)
        if isinstance(instruction, Add) and instruction.checksum:
            values.check_checksum(instruction.checksum)
            local = [source for source in instruction.sources if not _REMOTE.match(source)]
            if local:
                raise Mistake(
                    f"ADD --checksum is for HTTP(S) and git sources, {local[0]!r} is a local one",
                    "remove the flag or the source",
                )
    elif isinstance(instruction, Env | Label) and any(not key for key, _ in instruction.pairs):
        raise Mistake(f"{instruction.NAME}: a name is blank after its variables are replaced")


def check_instruction(instruction: Instruction, escape: str) -> None:
    """What `expand_instruction` will check, for values without variables: such mistakes show when parsing."""

    def fixed(text: str) -> str:
        return "" if "$" in text else expand_text(text, _unset, escape)

    if isinstance(instruction, Expose):
        for text in instruction.ports:
            if "$" not in text:
                for word in expand_words(text, _unset, escape):
                    values.port_range(word)
    elif isinstance(instruction, Stopsignal):
        if "$" not in instruction.signal:
            values.check_signal(fixed(instruction.signal))
    elif isinstance(instruction, Copy | Add):
        if instruction.chmod and (mode := fixed(instruction.chmod)):
            values.check_mode(mode)
        if (
            isinstance(instruction, Add)
            and instruction.checksum
            and (checksum := fixed(instruction.checksum))
        ):
            values.check_checksum(checksum)


def _unset(name: str) -> str | None:
    return None

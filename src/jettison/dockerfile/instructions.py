"""The instructions of a Dockerfile, typed. Values are as written: `expand` replaces variables.

Equality ignores where an instruction stands: two that say the same are equal.
"""

from __future__ import annotations

import re
from typing import ClassVar

from jettison.dataclass import dataclass, field
from jettison.location import Location

_LEADING_TABS = re.compile(r"^\t+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document. `name` is its word without quotes; `data` is what stands between, line ends included.

    `expand` is False when any part of the word was quoted.
    """

    name: str
    data: str
    expand: bool = True
    strip_tabs: bool = False

    @property
    def content(self) -> str:
        """The data as a file holds it: without leading tabs when the operator was `<<-`."""
        return _LEADING_TABS.sub("", self.data) if self.strip_tabs else self.data

    @property
    def summary(self) -> str:
        """The first line, with dots when there are more; progress shows it."""
        lines = self.data.strip().replace("\r\n", "\n").split("\n")
        return lines[0] + ("..." if len(lines) > 1 else "")


@dataclass(frozen=True, slots=True)
class Command:
    """Shell form: one word, the whole text, for the shell in force. Exec form: the words of a JSON list."""

    shell: bool
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mount:
    """One `RUN --mount`, its defaults filled in; `text` is the flag's value as written.

    When `pending`, a variable stands in it: only `from_` is known until the instruction is expanded.
    """

    text: str
    type: str = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    read_only: bool = True
    id: str = ""
    sharing: str = "shared"
    required: bool = False
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    """Bytes a tmpfs may hold; 0 is no limit."""
    env: str = ""
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Instruction:
    """What all have: the source text in one line (continuations joined, comments dropped) and its lines."""

    NAME: ClassVar[str] = ""
    text: str
    location: Location = field(compare=False)


@dataclass(frozen=True, slots=True)
class From(Instruction):
    NAME: ClassVar[str] = "FROM"
    base: str
    name: str = ""
    """The stage's name in lower case, "" when it has none."""
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    NAME: ClassVar[str] = "ARG"
    items: tuple[tuple[str, str | None], ...]
    """Names with their defaults; None where there is no default."""


@dataclass(frozen=True, slots=True)
class Env(Instruction):
    NAME: ClassVar[str] = "ENV"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Label(Instruction):
    NAME: ClassVar[str] = "LABEL"
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    NAME: ClassVar[str] = "RUN"
    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[Mount, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    script: bool = False
    """The command is nothing but one here-document: run its content, do not feed it to a command."""


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    NAME: ClassVar[str] = "COPY"
    sources: tuple[str, ...]
    dest: str
    files: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Add(Instruction):
    NAME: ClassVar[str] = "ADD"
    sources: tuple[str, ...]
    dest: str
    files: tuple[Heredoc, ...] = ()
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None
    """None: the flag is not given, local archives are unpacked and remote ones are not."""


@dataclass(frozen=True, slots=True)
class Workdir(Instruction):
    NAME: ClassVar[str] = "WORKDIR"
    path: str


@dataclass(frozen=True, slots=True)
class User(Instruction):
    NAME: ClassVar[str] = "USER"
    user: str


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    NAME: ClassVar[str] = "EXPOSE"
    ports: tuple[str, ...]
    """As written; after expansion single ports with their protocol, such as 80/tcp."""


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    NAME: ClassVar[str] = "VOLUME"
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    NAME: ClassVar[str] = "CMD"
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    NAME: ClassVar[str] = "ENTRYPOINT"
    command: Command


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    NAME: ClassVar[str] = "SHELL"
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    """`test` is as the image configuration has it; times are nanoseconds, 0 is "inherit"."""

    NAME: ClassVar[str] = "HEALTHCHECK"
    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Stopsignal(Instruction):
    NAME: ClassVar[str] = "STOPSIGNAL"
    signal: str


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    """`trigger` is what the image records: the text, with its here-documents."""

    NAME: ClassVar[str] = "ONBUILD"
    trigger: str
    instruction: Instruction


@dataclass(frozen=True, slots=True)
class Maintainer(Instruction):
    NAME: ClassVar[str] = "MAINTAINER"
    author: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it. `name` is "" when it has none."""

    index: int
    name: str
    base: str
    platform: str
    location: Location = field(compare=False)
    instructions: tuple[Instruction, ...]
    source: From


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A whole Dockerfile. `global_args` stand before the first FROM."""

    path: str = field(compare=False)
    directives: dict[str, str]
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str

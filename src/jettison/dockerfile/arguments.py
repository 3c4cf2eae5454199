"""An instruction cut into name, flags and arguments, as the readers of each instruction get it."""

from __future__ import annotations

from jettison.dataclass import dataclass
from jettison.dockerfile import flags as flag_specs
from jettison.dockerfile.execform import read_list
from jettison.dockerfile.flags import Flags, Spec, read_flags
from jettison.dockerfile.instructions import Command, Heredoc
from jettison.dockerfile.mistake import Mistake
from jettison.location import Location

EXAMPLES = {
    "ADD": "for example ADD archive.tar.gz /opt/",
    "ARG": "for example ARG VERSION=1.0",
    "COPY": "for example COPY src/ /app/",
    "ENV": 'for example ENV NAME=value OTHER="two words"',
    "EXPOSE": "for example EXPOSE 8080/tcp",
    "HEALTHCHECK": "for example HEALTHCHECK --interval=30s CMD curl -f http://localhost/",
    "LABEL": 'for example LABEL name=value other="two words"',
    "MAINTAINER": 'write LABEL org.opencontainers.image.authors="name" instead: MAINTAINER is deprecated',
    "ONBUILD": "for example ONBUILD COPY . /app",
    "RUN": 'for example RUN ["make", "all"]',
    "SHELL": 'for example SHELL ["/bin/bash", "-c"]',
    "STOPSIGNAL": "for example STOPSIGNAL SIGTERM",
    "USER": "for example USER app",
    "VOLUME": "for example VOLUME /data",
    "WORKDIR": "for example WORKDIR /app",
}


@dataclass(slots=True)
class Request:
    """What a reader of one instruction gets."""

    name: str
    flag_words: list[str]
    rest: str
    text: str
    location: Location
    heredocs: tuple[Heredoc, ...]
    escape: str

    def flags(self, spec: Spec) -> Flags:
        return read_flags(self.name, self.flag_words, spec)

    def some(self) -> None:
        """Refuse an instruction without arguments."""
        if not self.rest:
            raise Mistake(f"{self.name} requires at least one argument", EXAMPLES[self.name])

    def one(self) -> str:
        """The single argument: the rest of the line. For instructions that take no flags."""
        if not self.rest:
            raise Mistake(f"{self.name} requires exactly one argument", EXAMPLES[self.name])
        self.flags(flag_specs.NONE)
        return self.rest

    def command(self) -> Command:
        """Exec form or shell form."""
        words = read_list(self.rest)
        return Command(True, (self.rest,)) if words is None else Command(False, words)

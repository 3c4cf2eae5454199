"""Every error that jettison raises on purpose.

    JettisonError
    ├── UsageError          a flag, an argument or a request that makes no sense
    ├── ConfigError         a configuration file or variable that cannot be used
    ├── DockerfileError     the Dockerfile: one or several problems, each with its lines
    ├── GraphError          stages, targets and their dependencies
    ├── SourceError         what FROM, COPY or ADD should read cannot be had
    │   └── NotFound        it is not there
    ├── RegistryError       a registry refused, failed or could not be reached
    ├── StoreError          the local store: full, unreadable, too new, damaged
    ├── SandboxError        a process could not be started in its sandbox
    ├── StepFailed          a RUN ended with a status other than 0
    ├── ExportError         the result could not be written or handed over
    └── Cancelled           the build was told to stop

Only the command line prints them. Whoever raises one says what was expected and
what to do (`hint`), and where (`location`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.location import Location

if TYPE_CHECKING:
    from jettison.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: what, where, and what to do about it."""

    message: str
    location: Location | None = None
    hint: str | None = None


class JettisonError(Exception):
    """The root of all of them. `temporary` says that trying again may help.

    `dockerfile` is the Dockerfile's text, where `location.path` cannot be read (any more). `others` are
    further errors of the same build, which have nothing to do with this one; `checks` says what came of its
    check stages.
    """

    dockerfile: bytes | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        location: Location | None = None,
        temporary: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.location = location
        self.temporary = temporary
        self.others: tuple[JettisonError, ...] = ()
        self.checks: tuple[Verdict, ...] = ()

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


class UsageError(JettisonError):
    """A flag, an argument or a request that makes no sense."""


class ConfigError(JettisonError):
    """A configuration file or an environment variable that cannot be used."""


class DockerfileError(JettisonError):
    """The Dockerfile cannot be used. `problems` holds all that was found, in order of lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        super().__init__(first.message, hint=first.hint, location=first.location)
        self.problems = problems


class GraphError(JettisonError):
    """Unknown stages or targets, cycles, and other things wrong between stages."""


class SourceError(JettisonError):
    """Something that FROM, COPY or ADD reads cannot be had."""


class NotFound(SourceError):
    """Something that FROM, COPY or ADD reads is not there."""


class RegistryError(JettisonError):
    """A registry refused, failed or could not be reached. `status` is its HTTP status, if it gave one."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        hint: str | None = None,
        location: Location | None = None,
        temporary: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, location=location, temporary=temporary)
        self.status = status


class StoreError(JettisonError):
    """The local store is full, unreadable, too new or damaged."""


class SandboxError(JettisonError):
    """A process could not be started in its sandbox."""


class StepFailed(JettisonError):
    """A RUN ended with another status than 0. `tail` holds the last lines of its output.

    `log` is the file with all of it, "" if it wrote nothing: that of step `number` of the build `build`.
    `state` is the id under which the store keeps the files that it left, "" if it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        step: str,
        exit_code: int,
        tail: tuple[str, ...] = (),
        hint: str | None = None,
        location: Location | None = None,
    ) -> None:
        super().__init__(message, hint=hint, location=location)
        self.step = step
        self.exit_code = exit_code
        self.tail = tail
        self.build = ""
        self.number = 0
        self.log = ""
        self.state = ""


class ExportError(JettisonError):
    """A result could not be written, pushed or handed over."""


class Cancelled(JettisonError):
    """The build was told to stop (Ctrl-C, SIGTERM, or by the program that called it)."""

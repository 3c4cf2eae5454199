"""What a caller asks of a build, and what it gets. The command line and the Python API share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from jettison.dataclass import dataclass, field

if TYPE_CHECKING:
    from jettison.verdict import Verdict


class Reader(Protocol):
    """All that is asked of a stream of bytes."""

    def read(self, size: int, /) -> bytes | None:
        """Up to that many bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class Output:
    """One `--output`. `type` is one of `exporting.TYPES`; `dest` a file or a folder ("-": stdout).

    `attributes` holds the further KEY=VALUE pairs of the flag.
    """

    type: str
    dest: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret: its id and where its value is: a file (`src`) or a variable (`env`) of the caller.

    With `key="content"` another value makes the steps that mount it run again; else it does not count.
    """

    id: str
    src: str = ""
    env: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files to copy out of a stage, built or failed: `path` (absolute, may hold wildcards) into a folder."""

    stage: str
    path: str
    dest: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a step may use: bytes of memory, processes, processors (1.5 is possible), seconds. 0: no limit."""

    memory: int = 0
    pids: int = 0
    cpus: float = 0.0
    seconds: float = 0.0

    def any(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self.memory or self.pids or self.cpus or self.seconds)


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything that can be asked of a build; the defaults are those of `docker build`.

    `context` is a folder, an archive, a URL, a git repository, or "-" with the context (a tar, or a
    Dockerfile) in `context_stream`: bytes, or a stream that is read once. `tags` are NAME[:TAG],
    or STAGE=NAME[:TAG] for one of several targets. `build_args` map to None for "take it from `environment`".
    `no_cache` is () for use it, ("*",) for ignore it, or what to build anew: STAGE, or STAGE:LINE.
    `explain` tells of each step that ran why it did. With `no_cache_mounts` cache mounts start empty;
    `cache_mounts` are folders to use in their place, by id.
    """

    context: str = "."
    context_stream: bytes | Reader | None = None
    file: str = ""
    file_text: str | None = None
    """The Dockerfile's own text, when it is not to be read from a file."""
    tags: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    build_args: dict[str, str | None] = field(default_factory=dict)
    build_contexts: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    """Their stages are built, whether a target needs them or not."""
    checks: tuple[str, ...] = ()
    """Stages that have to be built for the build to succeed, and add nothing to an image; "*" is all."""
    platform: str = ""
    no_cache: tuple[str, ...] = ()
    no_cache_mounts: bool = False
    cache_mounts: dict[str, str] = field(default_factory=dict)
    explain: bool = False
    pull: bool = False
    jobs: int = 0
    """Steps run side by side; 0 is one per core."""
    limits: Limits = field(default_factory=Limits)
    """What each RUN may use."""
    retries: int = 0
    """How often a RUN that failed is tried again, on a clean layer."""
    network: str = "default"
    allow: tuple[str, ...] = ()
    """What RUN of the Dockerfile may ask for: network.host, security.insecure."""
    hosts: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    """The caller's variables: for --build-arg NAME, secrets and SOURCE_DATE_EPOCH."""
    runtime: str = ""
    isolation: str = ""
    """"" is what the configuration says; `sandbox.identity.ISOLATIONS` has the others."""
    push: bool = False
    load: bool = False
    compression: str = ""
    """Of the layers that the build makes: gzip (the default), zstd or none."""
    compression_level: int = 0
    """0 is the default of each compression."""
    max_size: int | None = None
    """Bytes that the blobs of an image may have in all; a larger one is not written anywhere."""
    max_waste: float | None = None
    """Percent of an image's files that later layers may make useless, as docs/size.md defines it."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """One target's image. `image_id` is its configuration's digest; `size` counts compressed bytes."""

    target: str
    image_id: str
    digest: str
    tags: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What was built, in the order of the targets, and how much of it ran."""

    images: tuple[BuiltImage, ...]
    ran: int
    cached: int
    seconds: float
    build: str = ""
    """Its name in the history: `jettison builds show NAME`. "" when nothing was to be done."""
    checks: tuple[Verdict, ...] = ()
    """What came of the check stages, in the order of the Dockerfile."""

"""The options of `jettison build`, as data."""

from __future__ import annotations

from jettison.cli.options import Command, Option

ROOT = Option(("--root",), "folder of the local store", "DIR")
CONFIG = Option(("--config",), "configuration file (TOML)", "FILE")
ISOLATION = Option(
    ("--isolation",),
    "how RUN is kept apart: auto (default: the best there is), root, rootless, single-id, builtin,"
    " chroot or none; jettison doctor tells what this machine has",
    "NAME",
)
LIMITS = (
    Option(("--memory", "-m"), "memory that it may use, swap included: 512MB, 2GiB", "SIZE"),
    Option(("--pids-limit",), "processes and threads that it may have at once", "N"),
    Option(("--cpus",), "processors that it may use: 2, 0.5", "N"),
)
"""What a container may use, or each RUN of a build."""

_OPTIONS = (
    Option(("--file", "-f"), "the Dockerfile (default: PATH/Dockerfile; -: standard input)", "FILE"),
    Option(("--tag", "-t"), "name of the image; STAGE=NAME for one of several targets", "NAME[:TAG]", True),
    Option(("--target",), "stage to build (default: the last one)", "STAGE", True),
    Option(
        ("--build-arg",),
        "value of an ARG; without =VALUE it is taken from the environment",
        "NAME[=VALUE]",
        True,
    ),
    Option(
        ("--build-context",),
        "what FROM NAME and COPY --from=NAME mean: a folder, archive, URL or git repository,"
        " oci-layout://DIR[:TAG|@DIGEST] or docker-image://REF",
        "NAME=VALUE",
        True,
    ),
    Option(("--label",), "label of the image", "KEY=VALUE", True),
    Option(("--annotation",), "annotation of the image's manifest", "KEY=VALUE", True),
    Option(
        ("--secret",),
        "secret for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=NAME;"
        " with key=content another value makes the steps that mount it run again",
        "SPEC",
        True,
    ),
    Option(("--ssh",), "agent socket or keys for RUN --mount=type=ssh: default or ID=SOCKET", "SPEC", True),
    Option(
        ("--output", "-o"),
        "where the result goes: a folder, -, or type=TYPE[,dest=PATH][,KEY=VALUE]"
        " (image, oci, docker, tar, local, registry)",
        "SPEC",
        True,
    ),
    Option(
        ("--artifact",),
        "copy files out of a stage, also when it fails: test reports; PATH is a file, a folder (its content),"
        " or has wildcards",
        "STAGE:PATH=DIR",
        True,
    ),
    Option(
        ("--check-stage",),
        "build further stages, tests for example, that add nothing to the image: when one fails, the build"
        " fails, and nothing is tagged or written",
        "STAGE,...",
        True,
    ),
    Option(("--all-stages",), "--check-stage with every stage of the file"),
    Option(("--push",), "push the image to the registries of its tags"),
    Option(("--load",), "hand the image to the running Docker or Podman"),
    Option(("--compression",), "compression of the layers: gzip (default), zstd or none", "KIND"),
    Option(
        ("--compression-level",),
        "1 to 12 for gzip (1 to 3 are much faster, and larger), 1 to 19 for zstd",
        "N",
    ),
    Option(
        ("--max-size",),
        "fail, and write nothing, when the image's compressed layers have more: 20MB, 1.5GiB",
        "SIZE",
    ),
    Option(
        ("--max-waste",),
        "fail, and write nothing, when more of its files are wasted: 5% (docs/size.md says how it counts)",
        "PERCENT",
    ),
    Option(
        ("--no-cache",),
        "build anew: everything, or the stages or lines named",
        "STAGE[:LINE],...",
        True,
        bare="*",
    ),
    Option(("--no-cache-filter",), "stages to build anew, as buildx spells it", "STAGE,...", True),
    Option(("--no-cache-mounts",), "begin with empty cache mounts; what they held is dropped"),
    Option(
        ("--cache-mount",),
        "keep a cache mount in a folder of yours instead of the store: id=ID,dir=DIR",
        "SPEC",
        True,
    ),
    Option(("--explain",), "tell of each step that ran why it did; later: jettison why"),
    Option(("--pull",), "ask the registry for base images even if they are in the local store"),
    Option(("--platform",), "platform of the image, for example linux/arm64", "PLATFORM", True),
    Option(("--progress",), "how progress is shown: auto, plain, tty, jsonl or quiet", "MODE"),
    Option(
        ("--summary",),
        "table of where time and bytes went: short, full or none (default: short, after 5 seconds or more)",
        "KIND",
    ),
    Option(("--trace",), "write a trace for chrome://tracing or ui.perfetto.dev", "FILE"),
    Option(("--quiet", "-q"), "say nothing, print the image id"),
    Option(("--jobs", "-j"), "steps run side by side (default: one per core)", "N"),
    *LIMITS,
    Option(("--step-timeout",), "end a RUN that takes longer: 90s, 30m, 1h30m", "TIME"),
    Option(("--retry",), "try a RUN that failed up to N times more, each on a clean layer", "N"),
    Option(("--network",), "network of RUN: default, host or none", "MODE"),
    Option(("--allow",), "let RUN have what it asks for: network.host, security.insecure", "NAME", True),
    Option(("--add-host",), "line of /etc/hosts for RUN: NAME:ADDRESS or NAME=ADDRESS", "HOST", True),
    Option(("--iidfile",), "write the image id to a file", "FILE"),
    Option(("--metadata-file",), "write digests and names as JSON, with buildx's keys", "FILE"),
    Option(("--check",), "check the Dockerfile with BuildKit's rules, build nothing"),
    Option(("--all-rules",), "--check with the further rules of jettison lint"),
    Option(("--call",), "build nothing; METHOD is check, targets or outline", "METHOD[,format=FORMAT]"),
    Option(("--format",), "format of --check and --call: text or json", "FORMAT"),
    Option(("--runtime",), "OCI runtime for RUN: crun, runc or a path", "NAME"),
    ISOLATION,
    Option(("--cache-max",), "most that the store may take on the disk: 20G, 15% or none", "SIZE"),
    ROOT,
    CONFIG,
)

_DAEMON = "there is no daemon and no builder to choose"
_IGNORED = (
    Option(("--rm",), note="no containers are left behind in any case"),
    Option(("--force-rm",), note="no containers are left behind in any case"),
    Option(("--compress",), note="the build context is not transferred"),
    Option(("--builder",), metavar="NAME", note=_DAEMON),
    Option(("--disable-content-trust",), note="content trust is not used"),
    Option(("--cache-from",), metavar="SPEC", repeat=True, note="the cache of the local store is used"),
    Option(("--debug", "-D"), note="JETTISON_DEBUG=1 shows tracebacks"),
)

_LIMITS = "limits of RUN"
_REFUSED = (
    Option(("--cache-to",), metavar="SPEC", refuse="exporting the cache"),
    Option(("--provenance",), metavar="SPEC", bare="true", refuse="attestations"),
    Option(("--sbom",), metavar="SPEC", bare="true", refuse="attestations"),
    Option(("--attest",), metavar="SPEC", refuse="attestations"),
    Option(("--squash",), refuse="merging the layers of an image"),
    Option(("--security-opt",), metavar="SPEC", refuse="security options of RUN"),
    Option(("--shm-size",), metavar="SIZE", refuse=_LIMITS),
    Option(("--ulimit",), metavar="SPEC", refuse=_LIMITS),
    Option(("--memory-swap",), metavar="SIZE", refuse=_LIMITS),
    Option(("--cpu-shares", "-c"), metavar="N", refuse=_LIMITS),
    Option(("--cpu-period",), metavar="N", refuse=_LIMITS),
    Option(("--cpu-quota",), metavar="N", refuse=_LIMITS),
    Option(("--cpuset-cpus",), metavar="SPEC", refuse=_LIMITS),
    Option(("--cpuset-mems",), metavar="SPEC", refuse=_LIMITS),
    Option(("--cgroup-parent",), metavar="NAME", refuse=_LIMITS),
)

COMMAND = Command(
    "build",
    "[OPTIONS] PATH|-",
    "build an image from a Dockerfile",
    """
Builds the image that a Dockerfile describes, from the build context in PATH.
Stages that no target needs are left out; steps that are known are not run again.
The image goes to the local store, unless --output says otherwise.

PATH may also be an archive (a tar, also compressed), a URL of one, or a git repository:
https://HOST/PATH.git#REF:FOLDER. With - in place of PATH, standard input holds an archive
or, when it is none, the Dockerfile of a build without context.
""",
    (*_OPTIONS, *_IGNORED, *_REFUSED),
    (
        ("Build ./Dockerfile, name the image", "jettison build -t shop/web ."),
        (
            "Another Dockerfile, a build argument",
            "jettison build -f deploy/Dockerfile --build-arg VERSION=1.2 .",
        ),
        (
            "Two targets in one go, each with its name",
            "jettison build -t web=shop/web:1 -t worker=shop/worker:1 .",
        ),
        ("An OCI archive instead of the local store", "jettison build -o type=oci,dest=image.tar ."),
        ("Only the files: the last stage's root filesystem", "jettison build --target binaries -o out ."),
        ("A token that is in no layer", "jettison build --secret id=token,env=NPM_TOKEN ."),
        (
            "A base image from a folder, no registry asked",
            "jettison build --build-context golang:1.22=oci-layout://bases/go .",
        ),
        ("A folder of a branch of a repository", "jettison build https://git.example/shop.git#main:web"),
        (
            "The image, if the tests pass; their report in any case",
            "jettison build --check-stage tester --artifact tester:/src/reports=reports -t shop/web .",
        ),
        ("Build one stage anew, the rest from the cache", "jettison build --no-cache=tester ."),
        (
            "Run the step in line 12 again, and tell why others ran",
            "jettison build --no-cache=builder:12 --explain .",
        ),
    ),
    least=1,
    most=1,
)

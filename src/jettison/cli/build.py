"""`jettison build`: words of the command line in, a BuildRequest out, progress and results shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from jettison.cli.build_options import COMMAND
from jettison.cli.options import FALSE, TRUE, Parsed, parse
from jettison.cli.outputs import parse_artifact, parse_output, parse_secret
from jettison.cli.unprivileged import enter
from jettison.errors import UsageError
from jettison.request import BuildRequest, Output, Reader

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.cli.watching import Watch
    from jettison.config import Config
    from jettison.progress import Display
    from jettison.request import BuildResult

_LONG = 5.0
"""Seconds after which a build shows where they went."""

_SAME_SHELL = ("isolation", "runtime", "allow", "secret", "ssh", "cache-mount")
"""Options that a shell where a step failed needs as well."""

__all__ = ["COMMAND", "request_of", "run"]


def run(console: Console, argv: list[str]) -> int:
    """Build, and say what came of it. The exit status is 0; whatever goes wrong is raised."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    request = request_of(parsed, console)
    from jettison import config

    method, form = _method(parsed)
    settings = config.load(
        console.environment,
        root=parsed.last("root"),
        runtime=parsed.last("runtime"),
        isolation=parsed.last("isolation"),
        file=parsed.last("config"),
        cache_max=parsed.last("cache-max"),
    )
    enter(console, settings.isolation)
    if method != "build":
        from jettison.cli.checking import call

        console.dockerfile(request.file, request.file_text or _text_of(request.context_stream))
        return call(console, request, method, form, parsed.has("all-rules"), settings)
    return _build(console, parsed, request, settings)


def _build(console: Console, parsed: Parsed, request: BuildRequest, settings: Config) -> int:
    from jettison import progress

    streaming = any(output.dest == "-" for output in request.outputs)
    if streaming and console.stdout.isatty():
        raise UsageError(
            "an image is not written to a terminal", hint="-o type=oci,dest=image.tar, or use a pipe"
        )
    console.dockerfile(request.file, request.file_text or _text_of(request.context_stream))
    mode = "quiet" if parsed.has("quiet") else parsed.last("progress")
    mode = mode or console.environment.get("JETTISON_PROGRESS", "") or "auto"
    events = console.stderr if streaming else console.stdout
    display = progress.choose(mode, console.stderr, events, console.environment)
    if display.verbose:
        for note in parsed.notes:
            console.note(note)
    from jettison.build import build

    watch = _watch(parsed, display)
    console.cancellable = True
    console.store_words = tuple(w for name in ("root", "config") for w in _given(parsed, name))
    console.shell_words = tuple(
        word for name in _SAME_SHELL for value in parsed.all(name) for word in (f"--{name}", value)
    )
    try:
        result = build(request, settings, watch.emit if watch else display.emit, console.cancel)
    finally:
        display.close()
        if watch:
            watch.end(console)
    _write_files(parsed, result)
    if result.checks and display.verbose:
        from jettison.cli.verdicts import table

        console.stderr.write(table(result.checks))
    if not watch and result.build and result.seconds >= _LONG and display.verbose:
        from jettison.cli.watching import summarise

        summarise(console, result, settings.root)
    if parsed.has("quiet") and not streaming:
        for image in result.images:
            console.stdout.write(image.image_id + "\n")
    return 0


def _watch(parsed: Parsed, display: Display) -> Watch | None:
    """Who looks at the events, if that is asked for. Raises UsageError and ExportError."""
    summary, trace = parsed.last("summary"), parsed.last("trace")
    if summary not in ("", "short", "full", "none"):
        raise UsageError(f"--summary {summary!r} is not known", hint="short, full or none")
    if not summary and not trace:
        return None
    from jettison.cli.watching import Watch

    return Watch(display.emit, summary, trace)


def _given(parsed: Parsed, name: str) -> tuple[str, ...]:
    value = parsed.last(name)
    return (f"--{name}", os.path.abspath(value)) if value else ()


def _method(parsed: Parsed) -> tuple[str, str]:
    """What is to be done, and the format that is asked for; nearly always to build."""
    if not (parsed.has("check") or parsed.last("call") or parsed.last("format") or parsed.has("all-rules")):
        return "build", ""
    from jettison.cli.checking import method_of

    return method_of(parsed.last("call") or "check", parsed.last("format"))


def request_of(parsed: Parsed, console: Console) -> BuildRequest:
    """The request that a command line makes. Reads standard input when it says `-`. Raises UsageError."""
    context = parsed.arguments[0]
    file, file_text = parsed.last("file"), None
    stream: bytes | Reader | None = None
    if context == "-" and file == "-":
        raise UsageError("the context and the Dockerfile cannot both come from standard input")
    if context == "-":
        stream = _stdin_context(console)
    else:
        _check_context(context)
    if file == "-":
        file, file_text = "", console.read_stdin("the Dockerfile").decode("utf-8", "surrogateescape")
    elif file and os.path.isdir(context) and not os.path.isabs(file) and not os.path.exists(file):
        inside = os.path.join(context, file)
        file = inside if os.path.exists(inside) else file
    outputs, load = _outputs(parsed)
    return BuildRequest(
        context=context,
        context_stream=stream,
        file=file,
        file_text=file_text,
        tags=tuple(parsed.all("tag")),
        targets=tuple(name for text in parsed.all("target") for name in _split(text)),
        build_args=arguments_of(parsed),
        build_contexts=contexts_of(parsed),
        labels=_pairs(parsed, "label", bare_ok=True),
        annotations=_pairs(parsed, "annotation"),
        secrets=tuple(parse_secret(text, console.environment) for text in parsed.all("secret")),
        ssh=tuple(parsed.all("ssh")),
        outputs=outputs,
        artifacts=tuple(map(parse_artifact, parsed.all("artifact"))),
        checks=_checks(parsed),
        platform=_platform(parsed),
        no_cache=_no_cache(parsed),
        no_cache_mounts=parsed.has("no-cache-mounts"),
        cache_mounts=_cache_mounts(parsed),
        explain=parsed.has("explain"),
        pull=parsed.has("pull"),
        jobs=_jobs(parsed.last("jobs")),
        network=_network(parsed.last("network", "default")),
        allow=tuple(parsed.all("allow")),
        hosts=tuple(map(_host, parsed.all("add-host"))),
        environment=dict(console.environment),
        runtime=parsed.last("runtime"),
        isolation=parsed.last("isolation"),
        push=parsed.has("push"),
        load=load,
        compression=parsed.last("compression"),
        compression_level=_level(parsed.last("compression-level")),
        max_size=_max_size(parsed.last("max-size")),
        max_waste=_max_waste(parsed.last("max-waste")),
        **_limits(parsed),
    )


def _stdin_context(console: Console) -> bytes | Reader:
    """What comes on standard input: a Dockerfile whole, an archive as a stream, however long it is."""
    from jettison.sources.tarball import Peeked, is_archive

    stream = Peeked(console.open_stdin("the build context"))
    return stream if is_archive(stream.head) else stream.read()


def _text_of(stream: bytes | Reader | None) -> str | None:
    """The Dockerfile that standard input holds in place of a context, for excerpts."""
    if not stream or not isinstance(stream, bytes) or b"\0" in stream[:1024]:
        return None
    return stream.decode("utf-8", "replace")


def _check_context(context: str) -> None:
    if os.path.isdir(context):
        return
    from jettison.inputs import kind_of

    if not kind_of(context):
        hint = None
        if "://" in context:
            hint = "a folder, an archive, http:// or https://, or a git repository: https://HOST/PATH.git"
        raise UsageError(f"the build context {context} does not exist", hint=hint)


def _outputs(parsed: Parsed) -> tuple[tuple[Output, ...], bool]:
    """The outputs, and whether the image goes to a daemon: `type=docker` without a file means that."""
    outputs, load = [], parsed.has("load")
    for text in parsed.all("output"):
        output = parse_output(text)
        if output.type == "docker" and not output.dest:
            load = True
        else:
            outputs.append(output)
    if sum(output.dest == "-" for output in outputs) > 1:
        raise UsageError("only one --output can go to standard output")
    return tuple(outputs), load


def _split(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


def arguments_of(parsed: Parsed) -> dict[str, str | None]:
    """The build arguments of a command line. Raises UsageError."""
    return dict(map(_argument, parsed.all("build-arg")))


def contexts_of(parsed: Parsed) -> dict[str, str]:
    """The named contexts of a command line. Raises UsageError."""
    return _pairs(parsed, "build-context")


def _argument(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not name:
        raise UsageError(f"--build-arg {text!r} has no name", hint="--build-arg VERSION=1.2")
    return name, value if equals else None


def _pairs(parsed: Parsed, option: str, bare_ok: bool = False) -> dict[str, str]:
    out: dict[str, str] = {}
    for text in parsed.all(option):
        name, equals, value = text.partition("=")
        if not name or not (equals or bare_ok):
            raise UsageError(f"--{option} {text!r} is not of the form NAME=VALUE")
        out[name] = value
    return out


def _platform(parsed: Parsed) -> str:
    names = list(dict.fromkeys(name for text in parsed.all("platform") for name in _split(text)))
    if len(names) > 1:
        raise UsageError(
            f"several platforms in one build are not supported yet: {', '.join(names)}",
            hint="build one platform after the other",
        )
    return names[0] if names else ""


def _no_cache(parsed: Parsed) -> tuple[str, ...]:
    """`--no-cache[=STAGE,…]` and `--no-cache-filter`: ("*",) for all, or the names of stages."""
    names: list[str] = []
    for text in parsed.all("no-cache"):
        if text.lower() in FALSE:
            names.clear()
        else:
            names += ["*"] if text == "*" or text.lower() in TRUE else _split(text)
    for text in parsed.all("no-cache-filter"):
        names += _split(text)
    return ("*",) if "*" in names else tuple(dict.fromkeys(names))


def _checks(parsed: Parsed) -> tuple[str, ...]:
    """The check stages: ("*",) for all. A list without a name would silently check nothing."""
    names = []
    for text in parsed.all("check-stage"):
        if not (some := _split(text)):
            raise UsageError("--check-stage has no name of a stage", hint="for example --check-stage tester")
        names += some
    return ("*",) if parsed.has("all-stages") else tuple(names)


def _cache_mounts(parsed: Parsed) -> dict[str, str]:
    """The folders of --cache-mount id=ID,dir=DIR, by id."""
    out: dict[str, str] = {}
    for text in parsed.all("cache-mount"):
        values = dict(part.partition("=")[::2] for part in text.split(","))
        if values.keys() != {"id", "dir"} or not all(values.values()):
            raise UsageError(
                f"--cache-mount {text!r} is not of the form id=ID,dir=DIR",
                hint="for example --cache-mount id=go,dir=.ci/go; a mount without an id goes by its target",
            )
        out[values["id"]] = os.path.abspath(values["dir"])
    return out


def _limits(parsed: Parsed) -> dict[str, Any]:
    """What limits RUN; most builds have nothing of that."""
    if not any(map(parsed.last, ("memory", "pids-limit", "cpus", "step-timeout", "retry"))):
        return {}
    from jettison.cli.limits import limits_of, retries_of

    return {"limits": limits_of(parsed), "retries": retries_of(parsed)}


def _jobs(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 10000:
        raise UsageError(f"--jobs {text!r} is not a number of steps", hint="for example --jobs 4")
    return int(text)


def _level(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 100:
        raise UsageError(
            f"--compression-level {text!r} is not a level", hint="1 to 12 for gzip, 1 to 19 for zstd"
        )
    return int(text)


def _max_size(text: str) -> int | None:
    if not text:
        return None
    from jettison.sizes import parse_size

    try:
        if not text.endswith("%"):
            return parse_size(text)
    except ValueError:
        pass
    raise UsageError(f"--max-size {text!r} is not a number of bytes", hint="for example 20MB or 1.5GiB")


def _max_waste(text: str) -> float | None:
    if not text:
        return None
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise UsageError(f"--max-waste {text!r} is not a share of the image", hint="for example 5%")
    return percent


def _network(mode: str) -> str:
    if mode in ("default", "host", "none"):
        return mode
    raise UsageError(f"--network {mode!r} is not supported", hint="default, host or none")


def _host(text: str) -> str:
    """NAME:ADDRESS, of that or of NAME=ADDRESS (IPv6 addresses with or without brackets)."""
    from jettison.sandbox.network import parse_host

    return ":".join(parse_host(text))


def _write_files(parsed: Parsed, result: BuildResult) -> None:
    if path := parsed.last("iidfile"):
        write_file(path, "\n".join(image.image_id for image in result.images))
    if path := parsed.last("metadata-file"):
        import json

        write_file(path, json.dumps(metadata(result), indent=2) + "\n")


def metadata(result: BuildResult) -> dict[str, object]:
    """The document of `--metadata-file`, with buildx's keys; of several targets one object for each."""
    documents = {}
    for image in result.images:
        documents[image.target] = {
            "containerimage.config.digest": image.image_id,
            "containerimage.digest": image.digest,
            **({"image.name": ",".join(image.tags)} if image.tags else {}),
        }
    if len(documents) == 1:
        return dict(next(iter(documents.values())))
    return dict(documents)


def write_file(path: str, text: str) -> None:
    """Write a text to a file. Raises ExportError."""
    from jettison.errors import ExportError

    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error

"""`jettison run`: try an image without Docker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from jettison.cli.build_options import ISOLATION, LIMITS
from jettison.cli.local import STORE_OPTIONS, Local, find, opened, platform_of
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.container import ContainerRequest, Volume
    from jettison.oci.config import ImageConfig

_SHARED = "the container has this machine's network: its ports are this machine's ports"

COMMAND = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND [ARGUMENTS]]",
    "start a container from an image",
    """
Runs the image's command, or the one given, with the same sandbox as RUN and with
this machine's network. What it writes is thrown away at the end. The exit status is
that of the command. Ctrl-C and SIGTERM go to the container's process.
An image that is not in the local store is pulled.
""",
    (
        Option(
            ("--env", "-e"), "variable; without =VALUE it is taken from the environment", "NAME[=VALUE]", True
        ),
        Option(("--env-file",), "file with variables, one NAME=VALUE in a line", "FILE", True),
        Option(
            ("--volume", "-v"), "folder or file of this machine in the container", "SOURCE:TARGET[:ro]", True
        ),
        Option(("--mount",), "the same as type=bind,src=SOURCE,dst=TARGET[,readonly]", "SPEC", True),
        Option(("--tmpfs",), "folder in memory", "TARGET", True),
        Option(("--workdir", "-w"), "working directory", "DIR"),
        Option(("--user", "-u"), "user, as in USER", "USER[:GROUP]"),
        Option(("--entrypoint",), "program in place of the image's entrypoint", "PROGRAM"),
        Option(("--interactive", "-i"), "pass standard input on"),
        Option(("--tty", "-t"), "give the process a terminal"),
        Option(("--network", "--net"), "network: host (default) or none", "MODE"),
        Option(("--add-host",), "line of /etc/hosts: NAME:ADDRESS", "HOST", True),
        Option(("--hostname", "-h"), "host name in the container", "NAME"),
        *LIMITS,
        Option(("--read-only",), "mount the root filesystem read-only"),
        Option(("--privileged",), "all capabilities and devices"),
        Option(("--platform",), "platform of an image that is pulled", "PLATFORM"),
        Option(("--runtime",), "OCI runtime: crun, runc or a path", "NAME"),
        ISOLATION,
        *STORE_OPTIONS,
        Option(("--rm",)),
        Option(("--init",), note="the process is watched by the runtime"),
        Option(("--name",), metavar="NAME", note="containers have no names here"),
        Option(("--publish", "-p"), metavar="PORTS", repeat=True, note=_SHARED),
        Option(("--publish-all", "-P"), note=_SHARED),
        Option(("--detach", "-d"), refuse="use the shell's & to run in the background"),
        Option(("--cap-add",), metavar="NAME", refuse="single capabilities; --privileged gives all"),
        Option(("--cap-drop",), metavar="NAME", refuse="single capabilities"),
        Option(("--security-opt",), metavar="SPEC", refuse="security options"),
        Option(("--restart",), metavar="POLICY", refuse="there is no daemon that would do it"),
        Option(("--volumes-from",), metavar="NAME", refuse="volumes of other containers"),
        Option(("--device",), metavar="DEVICE", refuse="devices; --privileged gives all"),
        Option(("--gpus",), metavar="SPEC", refuse="devices; --privileged gives all"),
    ),
    (
        ("The image's own command", "jettison run shop/web"),
        ("A server on another port", "jettison run -e PORT=9000 shop/web"),
        ("A shell in the image", "jettison run -it --entrypoint sh shop/web"),
        ("A command with this folder at /src", "jettison run -v .:/src -w /src golang:1.22 go test ./..."),
    ),
    least=1,
    stop_at_argument=True,
)


def run(console: Console, argv: list[str]) -> int:
    """Run a container; the exit status is its own."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    request = request_of(parsed, console)
    for note in parsed.notes:
        console.note(note)
    if request.terminal and not console.stdin.isatty():
        raise UsageError(
            "-t needs a terminal as standard input", hint="leave it out in scripts; -i is enough"
        )
    from jettison import container
    from jettison.kernel import private_mounts
    from jettison.sandbox.ladder import choose

    with opened(console, parsed) as local:
        config = _image(local, parsed)
        rung = private_mounts(lambda: choose(local.settings.isolation, local.settings.runtime))
        console.stdout.flush()
        console.stderr.flush()
        if not parsed.has("interactive") and not request.terminal:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        forward = container.forwarder(console.cancel, sent_by_terminal)
        console.on_signal = forward
        return container.run(local.store, config, request, rung.sandbox, console.cancel, console.note)


def sent_by_terminal(number: int) -> bool:
    """Whether Ctrl-C reached the container by itself: a terminal sends it to all processes in front."""
    import signal

    if number != signal.SIGINT:
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _image(local: Local, parsed: Parsed) -> ImageConfig:
    name = parsed.arguments[0]
    record = find(local.store, name)
    if record is not None:
        from jettison.exporters.image import read_image

        return read_image(local.store, record.manifest).config
    from jettison.sources.images import resolve_image

    return resolve_image(local.store, name, platform_of(parsed), pull=False, access=local.access).config


def request_of(parsed: Parsed, console: Console) -> ContainerRequest:
    """What a command line asks for. Raises UsageError."""
    from jettison.cli.limits import limits_of
    from jettison.container import ContainerRequest
    from jettison.sandbox.network import parse_host

    network = parsed.last("network", "host")
    if network not in ("host", "none"):
        raise UsageError(f"--network {network!r} is not supported", hint="host or none")
    mode: Literal["host", "none"] = "none" if network == "none" else "host"
    gateway = "127.0.0.1" if mode == "host" else ""
    entrypoint = parsed.last("entrypoint") if parsed.all("entrypoint") else None
    cwd = parsed.last("workdir")
    if cwd and not cwd.startswith("/"):
        raise UsageError(f"--workdir {cwd!r} is not an absolute path")
    return ContainerRequest(
        command=tuple(parsed.arguments[1:]),
        entrypoint=None if entrypoint is None else tuple(filter(None, [entrypoint])),
        env=_environment(parsed, console),
        volumes=_volumes(parsed),
        cwd=cwd,
        user=parsed.last("user"),
        terminal=parsed.has("tty"),
        network=mode,
        hosts=tuple(":".join(parse_host(text, gateway)) for text in parsed.all("add-host")),
        hostname=parsed.last("hostname"),
        privileged=parsed.has("privileged"),
        read_only=parsed.has("read-only"),
        limits=limits_of(parsed),
    )


def _environment(parsed: Parsed, console: Console) -> tuple[str, ...]:
    texts: list[str] = []
    for path in parsed.all("env-file"):
        try:
            with open(path, encoding="utf-8") as file:
                lines = [line.strip() for line in file]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--env-file {path}: {error}") from error
        texts += [line for line in lines if line and not line.startswith("#")]
    out = []
    for text in (*texts, *parsed.all("env")):
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--env {text!r} has no name", hint="--env NAME=VALUE")
        if equals:
            out.append(text)
        elif name in console.environment:
            value = console.environment[name]
            out.append(f"{name}={value}")
    return tuple(out)


def _volumes(parsed: Parsed) -> tuple[Volume, ...]:
    from jettison.container import Volume

    out = [_volume(text) for text in parsed.all("volume")]
    out += [_mount(text) for text in parsed.all("mount")]
    out += [Volume("", _target(text.partition(":")[0], text)) for text in parsed.all("tmpfs")]
    return tuple(out)


def _volume(text: str) -> Volume:
    from jettison.container import Volume

    parts = text.split(":")
    if len(parts) == 1:
        return Volume("", _target(text, text))
    options = parts[2].split(",") if len(parts) == 3 else []
    if len(parts) > 3 or set(options) - {"ro", "rw", "z", "Z", "cached", "delegated", "consistent"}:
        raise UsageError(f"--volume {text!r} is not understood", hint="--volume SOURCE:TARGET[:ro]")
    return Volume(_source(parts[0], text), _target(parts[1], text), "ro" in options)


def _mount(text: str) -> Volume:
    from jettison.cli.outputs import fields
    from jettison.container import Volume

    got = dict(part.partition("=")[::2] for part in fields(text, "--mount"))
    kind = got.pop("type", "bind")
    target = got.pop("target", "") or got.pop("dst", "") or got.pop("destination", "")
    source = got.pop("source", "") or got.pop("src", "")
    read_only = [got.pop(name, "false") not in ("false", "0") for name in ("readonly", "ro")]
    if kind not in ("bind", "tmpfs") or got or bool(source) != (kind == "bind"):
        raise UsageError(f"--mount {text!r} is not understood", hint="type=bind,src=SOURCE,dst=TARGET")
    return Volume(_source(source, text) if source else "", _target(target, text), any(read_only))


def _source(path: str, text: str) -> str:
    if "/" not in path and path not in (".", ".."):
        raise UsageError(
            f"{text!r}: named volumes are not supported yet",
            hint=f"for the folder of that name write ./{path}",
        )
    path = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(path):
        raise UsageError(f"{text!r}: {path} does not exist")
    return path


def _target(path: str, text: str) -> str:
    if not path.startswith("/") or os.path.normpath(path) == "/":
        raise UsageError(f"{text!r}: the place in the container must be an absolute path below /")
    return os.path.normpath(path)

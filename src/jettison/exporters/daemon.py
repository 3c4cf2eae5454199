"""`--load`: an image handed to a Docker or a Podman that runs on this machine, through its own program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO, cast

from jettison.errors import ExportError
from jettison.exporters.docker import stream_docker_archive
from jettison.exporters.layout import Named
from jettison.store.store import Store

if TYPE_CHECKING:
    from jettison.events import Told

PROGRAMS = ("docker", "podman")
_ANSWER_SECONDS = 30


def load_into_daemon(
    store: Store,
    images: Sequence[Named],
    path: str | None = None,
    programs: Sequence[str] = PROGRAMS,
    told: Told | None = None,
) -> str:
    """Stream a docker archive into `docker load`, or `podman load` where there is no Docker that answers.

    `path` is where programs are looked for (None: as the operating system does). Gives the
    program that took the images; `told` hears of the bytes of layers as they are sent.
    Raises ExportError with what each of them said.
    """
    from shutil import which

    said = []
    for program in programs:
        found = which(program, path=path)
        if found is None:
            said.append(f"{program} is not installed")
            continue
        problem = _unready(found)
        if problem:
            said.append(f"{program}: {problem}")
            continue
        _stream(store, images, program, found, told)
        return program
    raise ExportError(
        f"no running Docker or Podman to load the image into: {'; '.join(said)}",
        hint="start one of them, or write an archive with --output type=docker,dest=image.tar",
    )


def _unready(program: str) -> str:
    """Why a program cannot load images now: `docker` needs its daemon, `podman` only itself.

    `version` asks the daemon too; `info` ends well without one in some versions of Docker.
    """
    import subprocess

    try:
        asked = subprocess.run(
            [program, "version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if asked.returncode == 0 else _last_line(asked.stderr) or f"exit status {asked.returncode}"


def _stream(store: Store, images: Sequence[Named], name: str, program: str, told: Told | None) -> None:
    import subprocess
    from tempfile import TemporaryFile

    with TemporaryFile() as output:
        process = subprocess.Popen(
            [program, "load"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=output
        )
        assert process.stdin is not None
        broken = False
        try:
            with process.stdin as pipe:
                stream_docker_archive(store, images, cast(BinaryIO, pipe), told=told)
        except BrokenPipeError:
            broken = True
        except BaseException:
            process.kill()
            process.wait()
            raise
        status = process.wait()
        if status or broken:
            output.seek(0)
            reason = _last_line(output.read().decode(errors="replace")) or f"exit status {status}"
            raise ExportError(f"{name} load refused the image: {reason}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""

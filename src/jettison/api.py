"""The Python API: `jettison.build(...)`. The command line is a thin layer over the same request and result.

As root a build runs in this process. For an ordinary user, and for root that may not mount, it runs in a
child process inside a user namespace (`jettison.worker`), because the caller's own process must not
change; events, result and errors come back as the same types.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from jettison.events import Emit, Event, ignore
from jettison.request import Artifact, BuildRequest, BuildResult, Limits, Output, Secret

if TYPE_CHECKING:
    from jettison.config import Config

PathLike = str | os.PathLike[str]


def build(
    context: PathLike = ".",
    *,
    tags: str | Iterable[str] = (),
    target: str | Iterable[str] | None = None,
    file: PathLike | None = None,
    dockerfile: str | None = None,
    build_args: Mapping[str, str | None] | None = None,
    build_contexts: Mapping[str, PathLike] | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    secrets: Iterable[Secret] = (),
    ssh: Iterable[str] = (),
    outputs: Output | Iterable[Output] = (),
    artifacts: Iterable[Artifact] = (),
    checks: str | Iterable[str] = (),
    platform: str = "",
    no_cache: bool | Iterable[str] = False,
    no_cache_mounts: bool = False,
    cache_mounts: Mapping[str, PathLike] | None = None,
    explain: bool = False,
    pull: bool = False,
    push: bool = False,
    load: bool = False,
    compression: str = "",
    compression_level: int = 0,
    max_size: int | None = None,
    max_waste: float | None = None,
    jobs: int = 0,
    limits: Limits | None = None,
    retries: int = 0,
    network: str = "default",
    allow: Iterable[str] = (),
    hosts: Iterable[str] = (),
    environment: Mapping[str, str] | None = None,
    runtime: str = "",
    isolation: str = "",
    on_event: Emit | None = None,
    cancel: threading.Event | None = None,
    root: PathLike | None = None,
    config: Config | None = None,
) -> BuildResult:
    """Build an image; the arguments mean what the options of `jettison build` mean.

    `dockerfile` is the Dockerfile's own text. `environment` (default: this process's) is for build arguments
    and secrets. `on_event` is called one at a time, from several threads. Setting `cancel` stops the build.
    `config` wins over `root` and the file. Raises StepFailed when a RUN fails, and others.
    """
    return build_request(BuildRequest(
        context=os.fspath(context), file=os.fspath(file or ""), file_text=dockerfile, tags=_several(tags),
        artifacts=tuple(artifacts), checks=_several(checks), targets=_several(target or ()), explain=explain,
        build_args=dict(build_args or {}), labels=dict(labels or {}), annotations=dict(annotations or {}),
        build_contexts={name: os.fspath(value) for name, value in (build_contexts or {}).items()}, pull=pull,
        secrets=tuple(secrets), outputs=_outputs(outputs), no_cache=_no_cache(no_cache), platform=platform,
        cache_mounts={name: os.path.abspath(folder) for name, folder in (cache_mounts or {}).items()},
        no_cache_mounts=no_cache_mounts, ssh=tuple(ssh), push=push, load=load, jobs=jobs, network=network,
        runtime=runtime, isolation=isolation, compression=compression, max_size=max_size, max_waste=max_waste,
        compression_level=compression_level, environment=_environment(environment), limits=limits or Limits(),
        allow=tuple(allow), retries=retries, hosts=tuple(hosts),
    ), on_event=on_event, cancel=cancel, root=root, config=config)  # fmt: skip


def build_request(
    request: BuildRequest,
    *,
    on_event: Emit | None = None,
    cancel: threading.Event | None = None,
    root: PathLike | None = None,
    config: Config | None = None,
) -> BuildResult:
    """Build what a request asks for. See `build`."""
    if config is None:
        from jettison.config import load

        config = load(
            _environment(request.environment or None),
            root=os.fspath(root) if root is not None else "",
            runtime=request.runtime,
            isolation=request.isolation,
        )
    emit = _one_at_a_time(on_event) if on_event is not None else ignore
    cancel = cancel if cancel is not None else threading.Event()
    from jettison.sandbox import identity

    if not identity.settled(identity.checked(request.isolation or config.isolation)):
        from jettison.worker import build_in_worker

        return build_in_worker(request, config, emit, cancel)
    from jettison.build import build as build_here

    return build_here(request, config, emit, cancel)


async def build_async(context: PathLike = ".", **arguments: object) -> BuildResult:
    """`build` for programs with an event loop: it runs in a thread; a cancelled task stops the build."""
    import asyncio
    from typing import Any, cast

    given = cast(dict[str, Any], arguments)
    cancel = given.setdefault("cancel", None) or threading.Event()
    given["cancel"] = cancel
    work = asyncio.ensure_future(asyncio.to_thread(build, context, **given))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        cancel.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()
        raise


def _several(value: str | Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _outputs(value: Output | Iterable[Output]) -> tuple[Output, ...]:
    return (value,) if isinstance(value, Output) else tuple(value)


def _no_cache(value: bool | Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("*",) if value else ()
    return _several(value)


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    if given is not None:
        return dict(given)
    from jettison.config import variables

    return variables()


def _one_at_a_time(emit: Emit) -> Emit:
    lock = threading.Lock()

    def locked(event: Event) -> None:
        with lock:
            emit(event)

    return locked

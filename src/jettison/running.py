"""What all RUN steps of a build share: sandbox, network, secrets, agents, limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from jettison.events import Emit, Warned
from jettison.executor.network import BuildNetwork
from jettison.graph.ops import RunOp
from jettison.graph.vertex import Vertex
from jettison.inputs import agent_sockets
from jettison.request import BuildRequest
from jettison.sandbox.base import Sandbox

if TYPE_CHECKING:
    from jettison.executor.run import RunSettings
    from jettison.secrets.values import Secrets


def run_settings(
    request: BuildRequest,
    sandbox: Callable[[], Sandbox],
    proxies: Mapping[str, str],
    secrets: Secrets,
    emit: Emit,
    networks: list[BuildNetwork],
    steps: Iterable[Vertex] = (),
) -> RunSettings:
    """The settings that the executor takes; `networks` gets what has to be ended with the build.

    What of the network any of `steps` may want is begun at once.
    """
    warn = _once(emit)
    network = BuildNetwork(proxies, request.hosts, sandbox, warn)
    networks.append(network)
    for mode in {step.op.network for step in steps if isinstance(step.op, RunOp)}:
        network.of(mode)
    # Meanwhile there is a lot to import.
    from jettison.executor.run import CacheMounts, RunSettings

    return RunSettings(
        sandbox=sandbox,
        secrets=secrets,
        proxies=proxies,
        ssh=agent_sockets(request),
        resolv_conf=_resolv_conf(),
        cache_mounts=CacheMounts(request.cache_mounts, request.no_cache_mounts),
        limits=request.limits,
        retries=request.retries,
        warn=warn,
        network=network.of,
    )


def _once(emit: Emit) -> Callable[[str], None]:
    """Warns of what holds for all steps when the first one finds out."""
    lock, said = threading.Lock(), set[str]()

    def warn(text: str) -> None:
        with lock:
            new = text not in said
            said.add(text)
        if new:
            emit(Warned(time.time(), text))

    return warn


def _resolv_conf() -> bytes | None:
    try:
        with open("/etc/resolv.conf", "rb") as file:
            return file.read()
    except OSError:
        return None

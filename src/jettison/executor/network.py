"""The network of one build's steps: made when the first one wants it, shared by all, ended with the build."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from jettison.sandbox.base import PLAIN, Sandbox
from jettison.sandbox.network import HOST, NONE, Network
from jettison.side_by_side import once

if TYPE_CHECKING:
    from jettison.sandbox.isolated import Isolated


class BuildNetwork:
    """Gives each step its network. `proxies` are the variables that steps are given, `hosts` the --add-host.

    `sandbox` gives what steps are run with: in a chroot they have this machine's network. `warn` is told
    when there is a program to isolate steps with, and it fails.
    """

    def __init__(
        self,
        proxies: Mapping[str, str],
        hosts: Sequence[str],
        sandbox: Callable[[], Sandbox],
        warn: Callable[[str], None],
    ) -> None:
        self._sandbox = sandbox
        self._proxies = proxies
        self._named = any(host.endswith("host-gateway") for host in hosts)
        self._warn = warn
        self._lock = threading.Lock()
        self._default = once(self._make)
        self._isolated: Isolated | None = None
        self._ahead: threading.Thread | None = None

    def of(self, mode: str) -> Callable[[], Network]:
        """What a RUN with network `mode` (default, host or none) has: begins to make it, gives what waits."""
        if mode == "none":
            return lambda: NONE
        if mode == "host":
            return lambda: HOST
        with self._lock:
            if self._ahead is None:
                self._ahead = threading.Thread(target=self._begin, name="network of the build")
                self._ahead.start()
        return self._default

    def _begin(self) -> None:
        # What goes wrong, whoever waits for it will find as well.
        with suppress(Exception):
            self._default()

    def _make(self) -> Network:
        self._isolated = self._isolate()
        return self._isolated.network if self._isolated else HOST

    def _isolate(self) -> Isolated | None:
        from jettison.sandbox.isolated import isolate, loopback_proxy, way_out

        program, _ = way_out()
        if not program or loopback_proxy(self._proxies) or self._sandbox().name == PLAIN:
            return None
        try:
            return isolate(program, named=self._named)
        except PermissionError:
            return None  # no namespaces here at all, which is told elsewhere
        except OSError as error:
            self._warn(f"RUN has this machine's network: {error.strerror or error}")
            return None

    def end(self) -> None:
        """End the isolated network, if there is one; `wait` is to follow."""
        if self._ahead is not None:
            self._ahead.join()
        if self._isolated is not None:
            self._isolated.end()

    def wait(self) -> None:
        """Wait for that end."""
        if self._isolated is not None:
            self._isolated.wait()

"""The networks of one build's steps: one for all that run one after the other, ended with the build.

Steps that run at the same time have one each, so that both may listen on the same port.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from jettison.sandbox.base import PLAIN, Sandbox
from jettison.sandbox.network import HOST, NONE, Network
from jettison.side_by_side import once

if TYPE_CHECKING:
    from jettison.sandbox.isolated import Isolated


Lent = Callable[[], AbstractContextManager[Network]]
"""Waits for a network, and gives it for as long as it is used."""


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
        self._first = once(self._make)
        self._made: list[Isolated] = []
        self._idle: list[Isolated] = []
        self._ahead: threading.Thread | None = None

    def of(self, mode: str, privileged: bool = False) -> Lent:
        """What a RUN with network `mode` (default, host or none) has: begins to make it, gives what waits.

        What a `privileged` step may have changed no other step gets.
        """
        if mode == "none":
            return lambda: nullcontext(NONE)
        if mode == "host":
            return lambda: nullcontext(HOST)
        with self._lock:
            if self._ahead is None:
                self._ahead = threading.Thread(target=self._begin, name="network of the build")
                self._ahead.start()
        return lambda: self._lent(privileged)

    def _begin(self) -> None:
        # What goes wrong, whoever waits for it will find as well.
        with suppress(Exception):
            self._first()

    @contextmanager
    def _lent(self, privileged: bool) -> Iterator[Network]:
        isolated = self._taken() if self._first() else None
        yield isolated.network if isolated else HOST
        if isolated and not privileged:
            with self._lock:
                self._idle.append(isolated)

    def _taken(self) -> Isolated | None:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        made = self._isolate()
        if made is not None:
            with self._lock:
                self._made.append(made)
        return made

    def _make(self) -> bool:
        """Make the first one, if there can be any."""
        made = self._taken()
        if made is not None:
            with self._lock:
                self._idle.append(made)
        return made is not None

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
        """End the isolated networks; `wait` is to follow."""
        if self._ahead is not None:
            self._ahead.join()
        for isolated in self._made:
            isolated.end()

    def wait(self) -> None:
        """Wait for that end."""
        while self._made:
            self._made.pop().wait()

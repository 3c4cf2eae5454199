"""A network namespace for the steps of one build, with a way out through slirp4netns.

The program speaks for the namespace as an ordinary program of this machine would: what the machine
reaches is reached, but for the machine's own loopback and its abstract sockets. It is ended with the
build, and the kernel ends it when the builder is killed.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Mapping
from contextlib import suppress

from jettison import kernel
from jettison.dataclass import dataclass
from jettison.sandbox import process
from jettison.sandbox.network import Network
from jettison.sandbox.oci import SEARCH_PATH, find_program

_ADDRESS, _GATEWAY, _RESOLVER = "10.0.2.100", "10.0.2.2", "10.0.2.3"
_START_MS = 5000

_CARD = "tap0"
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TAP, _IFF_NO_PI = 0x2, 0x1000

# Each says 1 on its output when the namespace is ready, and is all that its PID namespace has.
_SLIRP = (
    '"$@" 3>&1 >/dev/null 2>&1; exit',
    "network",
    "slirp4netns",
    "--configure",
    "--mtu=65520",
    "--disable-host-loopback",
    "--netns-type=path",
    "--ready-fd=3",
    process.PROGRAM,
    _CARD,
)
# pasta of 2023, which Debian 12 has, gave a client the same bytes again and again once one side had ended.
_WAYS = (("slirp4netns", _SLIRP),)


@dataclass(frozen=True, slots=True)
class Isolated:
    """A namespace at work: what steps are given, and what is needed to end it."""

    network: Network
    child: process.Child
    descriptor: int

    def end(self) -> None:
        """End the program. The kernel takes its time to take the namespaces apart; `wait` is to follow."""
        process.kill(self.child.pid)

    def wait(self) -> None:
        """Wait for the program's end."""
        stop = threading.Event()
        stop.set()
        process.finish(self.child, lambda stream, data: None, stop, process.kill, lambda data: False)
        os.close(self.descriptor)


def way_out(search_path: str = SEARCH_PATH) -> tuple[str, str]:
    """The program that steps would reach the network through, and its path; or "" and what is missing."""
    for name, _ in _WAYS:
        if path := find_program(name, search_path):
            if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
                return "", f"{name} needs to open /dev/net/tun"
            return name, path
    return "", "slirp4netns is not installed"


def isolate(program: str, *, named: bool = False) -> Isolated:
    """Make a namespace with a way out through `program`, as `way_out` names it. Raises OSError.

    `named` says that steps have a name for this machine, so that its address has to be found out.
    """
    path, setpriv, shell = (find_program(name) for name in (program, "setpriv", "sh"))
    if not path or not setpriv or not shell:
        raise FileNotFoundError(f"{program}, setpriv or sh is not installed")
    script, zero, _, *words = dict(_WAYS)[program]
    argv = [setpriv, "--pdeathsig=KILL", shell, *process.GATE, shell, "-c", script, zero, path, *words]
    descriptor = _namespace()
    try:
        environment = {"PATH": SEARCH_PATH}
        child = process.start(argv, environment, piped=True, own_pids=True, program=descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    here = Network(f"/proc/{os.getpid()}/fd/{descriptor}", _RESOLVER, _own_address() if named else _GATEWAY)
    made = Isolated(here, child, descriptor)
    ready = select.poll()
    ready.register(child.out, select.POLLIN)
    if ready.poll(_START_MS) and os.read(child.out, 1) == b"1":
        return made
    made.wait()
    raise OSError(f"{program} did not get ready")


def _namespace() -> int:
    """A new network namespace, open. It lives as long as it is, or is used."""
    opened: list[int | OSError] = []

    def body() -> None:
        try:
            kernel.unshare(kernel.CLONE_NEWNET)
            _leave_tap()
            own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            opened.append(own)
        except OSError as error:
            opened.append(error)

    thread = threading.Thread(target=body, name="network of the build")
    thread.start()
    thread.join()
    if isinstance(opened[0], OSError):
        raise opened[0]
    return opened[0]


def _leave_tap() -> None:
    """Make the network card of a namespace, the calling thread's, before the program does, if it can.

    One that the program makes goes with its end, for which the kernel takes 20 ms; this one goes with the
    namespace, which nobody waits for.
    """
    import fcntl
    import struct

    with suppress(OSError), open("/dev/net/tun", "r+b", buffering=0) as card:
        fcntl.ioctl(card, _TUNSETIFF, struct.pack("16sH22x", _CARD.encode(), _IFF_TAP | _IFF_NO_PI))
        fcntl.ioctl(card, _TUNSETPERSIST, 1)


def _own_address() -> str:
    """The address that this machine has towards others; nothing is sent. Without any, the way out's own."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked, suppress(OSError):
        asked.connect(("192.0.2.1", 9))
        address: str = asked.getsockname()[0]
        return address
    return _GATEWAY


def loopback_proxy(proxies: Mapping[str, str]) -> str:
    """The name of a proxy variable that leads to this machine's loopback; "" for none."""
    if not proxies:
        return ""
    from urllib.parse import urlsplit

    for name, value in proxies.items():
        if name.lower() == "no_proxy":
            continue
        with suppress(ValueError):
            host = urlsplit(value if "://" in value else f"//{value}").hostname or ""
            if host == "localhost" or host == "::1" or host.startswith("127."):
                return name
    return ""

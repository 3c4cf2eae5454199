"""What a step sees as /etc/hosts and /etc/resolv.conf. Texts only; the caller writes and mounts them."""

from __future__ import annotations

from collections.abc import Sequence

from jettison.dataclass import dataclass
from jettison.errors import UsageError

DEFAULT_HOSTNAME = "buildkitsandbox"
"""The host name of a step where none is asked for: what Dockerfiles written for BuildKit expect to see."""


@dataclass(frozen=True, slots=True)
class Network:
    """What a step has of the network. `namespace` is "host", "none", or the path of one to join.

    `resolver` is the name server to ask in place of this machine's own ones. `gateway` is the address
    of this machine, "" where it cannot be reached.
    """

    namespace: str
    resolver: str = ""
    gateway: str = ""


HOST = Network("host", gateway="127.0.0.1")
NONE = Network("none")


def hosts_text(hostname: str, extra: Sequence[str] = (), network: Network = HOST) -> str:
    """/etc/hosts with `extra` entries as `--add-host` takes them: NAME:IP, NAME=IP, the address in [] or not.

    `host-gateway` stands for this machine, which shares its loopback with the
    step in host network mode. Raises UsageError for an entry that makes no sense.
    """
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines.append(f"127.0.0.1\t{hostname or DEFAULT_HOSTNAME}")
    lines += [f"{address}\t{name}" for name, address in (parse_host(item, network.gateway) for item in extra)]
    return "\n".join(lines) + "\n"


def parse_host(text: str, gateway: str = "host-gateway") -> tuple[str, str]:
    """Split one `--add-host` value into (name, address), of this machine `gateway`. Raises UsageError."""
    separator = "=" if "=" in text else ":"
    name, found, address = text.strip().partition(separator)
    name, address = name.strip(), address.strip()
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not found or not name or any(character.isspace() for character in name):
        raise _bad_host(text)
    if address == "host-gateway":
        if not gateway:
            raise UsageError(
                f"--add-host {text}: a step without network cannot reach this machine",
                hint="leave host-gateway out, or do not use --network=none",
            )
        return name, gateway
    if not _is_address(address):
        raise _bad_host(text)
    return name, address


def _bad_host(text: str) -> UsageError:
    return UsageError(
        f"invalid --add-host value {text!r}",
        hint="write it as NAME:IP, for example db:10.0.0.2 or db:[2001:db8::2]",
    )


def _is_address(text: str) -> bool:
    import socket

    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def resolv_text(own: bytes | None, network: Network = HOST) -> str:
    """/etc/resolv.conf for a step, from the content of this machine's own file (None: it has none).

    It is used as it is, name servers on the loopback included: a step with the host's network reaches them
    as this machine does, and one without network reaches none. Where the network has a name server of
    its own, which asks those, that stands in their place.
    """
    text = (own or b"").decode(errors="replace")
    if network.resolver:
        kept = [line for line in text.splitlines() if line.split()[:1] != ["nameserver"]]
        return "\n".join((*kept, f"nameserver {network.resolver}", ""))
    return text if not text or text.endswith("\n") else text + "\n"

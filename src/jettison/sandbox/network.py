"""What a step sees as /etc/hosts and /etc/resolv.conf. Texts only; the caller writes and mounts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from jettison.errors import UsageError

DEFAULT_HOSTNAME = "buildkitsandbox"
"""The host name of a step where none is asked for: what Dockerfiles written for BuildKit expect to see."""


def hosts_text(hostname: str, extra: Sequence[str] = (), network: Literal["host", "none"] = "host") -> str:
    """/etc/hosts with `extra` entries as `--add-host` takes them: NAME:IP, NAME=IP, the address in [] or not.

    `host-gateway` stands for this machine, which shares its loopback with the
    step in host network mode. Raises UsageError for an entry that makes no sense.
    """
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines.append(f"127.0.0.1\t{hostname or DEFAULT_HOSTNAME}")
    lines += [f"{address}\t{name}" for name, address in (parse_host(item, network) for item in extra)]
    return "\n".join(lines) + "\n"


def parse_host(text: str, network: Literal["host", "none"] = "host") -> tuple[str, str]:
    """Split one `--add-host` value into (name, address). Raises UsageError."""
    separator = "=" if "=" in text else ":"
    name, found, address = text.strip().partition(separator)
    name, address = name.strip(), address.strip()
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if not found or not name or any(character.isspace() for character in name):
        raise _bad_host(text)
    if address == "host-gateway":
        if network == "none":
            raise UsageError(
                f"--add-host {text}: a step without network cannot reach this machine",
                hint="leave host-gateway out, or do not use --network=none",
            )
        return name, "127.0.0.1"
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


def resolv_text(own: bytes | None) -> str:
    """/etc/resolv.conf for a step, from the content of this machine's own file (None: it has none).

    It is used as it is, name servers on the loopback included: a step with
    the host's network reaches them as this machine does, and one without network reaches none.
    """
    text = (own or b"").decode(errors="replace")
    return text if not text or text.endswith("\n") else text + "\n"

"""Whether a machine can be reached at all: an answer within seconds, however many addresses its name has."""

from __future__ import annotations

import errno
import socket
from time import monotonic


def reach(host: str, port: int, seconds: float) -> str:
    """Try to connect to all addresses of a host at once. Gives "" when one accepts, else why none does.

    A connection attempt for one address after the other would take `seconds` for each of them when packets
    are dropped; and a name server that does not answer is not waited for any longer either.
    """
    try:
        addresses = _addresses(host, port, seconds)
    except TimeoutError:
        return f"the name {host} could not be looked up within {seconds:g} s"
    except OSError as error:
        return f"the name {host} could not be looked up: {error.strerror or error}"
    reason = _connect_any(addresses, monotonic() + seconds)
    if reason == errno.ECONNREFUSED:
        return f"connection refused by {host}:{port}"
    if reason == errno.ETIMEDOUT:
        return f"{host}:{port} timed out after {seconds:g} s"
    return f"{host}:{port} cannot be reached: {errno_text(reason)}" if reason else ""


def errno_text(number: int) -> str:
    """The system's words for an error number."""
    from os import strerror

    return strerror(number)


_Address = tuple[socket.AddressFamily, tuple[object, ...]]


def _addresses(host: str, port: int, seconds: float) -> list[_Address]:
    from ipaddress import ip_address
    from threading import Thread

    try:
        number = ip_address(host)
    except ValueError:
        pass
    else:
        return [(socket.AF_INET if number.version == 4 else socket.AF_INET6, (host, port))]
    result: list[list[_Address] | OSError] = []

    def look() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result.append([(item[0], item[4]) for item in found])
        except OSError as error:
            result.append(error)

    # getaddrinfo cannot be told how long it may take; the thread dies with the process at the latest
    thread = Thread(target=look, daemon=True)
    thread.start()
    thread.join(seconds)
    if not result:
        raise TimeoutError
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def _connect_any(addresses: list[_Address], deadline: float) -> int:
    """0 when an address accepts; else the error number that says most."""
    from selectors import EVENT_WRITE, DefaultSelector

    reasons: list[int] = []
    sockets: list[socket.socket] = []
    try:
        with DefaultSelector() as selector:
            for family, address in addresses:
                try:
                    sock = socket.socket(family, socket.SOCK_STREAM)
                    sockets.append(sock)
                    sock.setblocking(False)
                    reason = sock.connect_ex(address)
                except OSError as error:
                    reasons.append(error.errno or errno.EIO)
                    continue
                if reason == 0:
                    return 0
                if reason == errno.EINPROGRESS:
                    selector.register(sock, EVENT_WRITE)
                else:
                    reasons.append(reason)
            while selector.get_map() and (left := deadline - monotonic()) > 0:
                for key, _ in selector.select(left):
                    selector.unregister(key.fileobj)
                    assert isinstance(key.fileobj, socket.socket)
                    reason = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if reason == 0:
                        return 0
                    reasons.append(reason)
            if selector.get_map():
                reasons.append(errno.ETIMEDOUT)
    finally:
        for sock in sockets:
            sock.close()
    for telling in (errno.ETIMEDOUT, errno.ECONNREFUSED):
        if telling in reasons:
            return telling
    return reasons[0] if reasons else errno.EHOSTUNREACH

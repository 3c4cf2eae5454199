from __future__ import annotations

import socket
from contextlib import ExitStack
from time import monotonic

from jettison.oci.registry.reach import reach


def test_a_port_that_listens_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reach("127.0.0.1", port, 5) == ""
        assert reach("localhost", port, 5) == ""


def test_a_port_where_nobody_listens_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert reach("127.0.0.1", port, 5) == f"connection refused by 127.0.0.1:{port}"
    assert reach("localhost", port, 5) == f"connection refused by localhost:{port}"


def test_a_host_that_does_not_answer_is_given_up_in_time() -> None:
    with ExitStack() as stack:
        # once the queue of a listening socket is full, the kernel drops what comes next
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        start = monotonic()
        port = server.getsockname()[1]
        assert reach("127.0.0.1", port, 0.3) == f"127.0.0.1:{port} timed out after 0.3 s"
        assert 0.2 < monotonic() - start < 3


def test_a_name_that_does_not_exist_is_said_to_be_unknown() -> None:
    assert "the name no-such-host.invalid could not be looked up" in reach("no-such-host.invalid", 1, 5)

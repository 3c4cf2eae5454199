"""A terminal for the step: made inside by its first process, passed on to ours by the one that waits.

Part of `inner.py`; only a step that has a terminal loads it.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import termios
import tty


def open_terminal(waiting: int) -> None:
    """Make a terminal of the step's own /dev/pts, give its other end to the waiting process, and use it."""
    outer = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(outer, 0x40045431, struct.pack("i", 0))  # TIOCSPTLCK
    (number,) = struct.unpack("i", fcntl.ioctl(outer, 0x80045430, bytes(4)))  # TIOCGPTN
    inner = os.open(f"/dev/pts/{number}", os.O_RDWR)
    with socket.socket(fileno=waiting) as ours:
        socket.send_fds(ours, [b"t"], [outer])
        ours.recv(1)  # its size is set by then
    fcntl.ioctl(inner, 0x540E, 0)  # TIOCSCTTY
    for descriptor in range(3):
        os.dup2(inner, descriptor)
    os.close(inner)


def relay(waiting: int) -> None:
    """Pass on what the step's terminal and ours say, until nobody has the step's any more."""
    with socket.socket(fileno=waiting) as theirs:
        _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
        if not descriptors:
            return
        outer = descriptors[0]

        def same_size(*_: object) -> None:
            fcntl.ioctl(outer, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))

        ours = termios.tcgetattr(0)
        signal.signal(signal.SIGWINCH, same_size)
        same_size()
        tty.setraw(0)
        theirs.send(b"g")
    try:
        ways = {0: outer, outer: 1}
        while outer in ways:
            for source in select.select(list(ways), [], [])[0]:
                try:
                    data = os.read(source, 1 << 16)
                except OSError:
                    data = b""
                if not data:
                    del ways[source]
                while data:
                    data = data[os.write(ways[source], data) :]
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, ours)

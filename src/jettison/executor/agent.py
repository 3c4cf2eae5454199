"""ssh agents for steps: a socket of the step's own, with the owner and mode that the mount says.

Behind it is the caller's agent, or one that is started for the step and holds the caller's key files.
The step never sees the caller's socket: an agent answers only to its own user and to root, and a
step may be neither.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from contextlib import ExitStack, suppress

from jettison.errors import SandboxError, UsageError

_CHUNK = 1 << 16
_PATIENCE = 10.0
"""Seconds that an agent may take to begin."""


def forward_agent(given: str, folder: str, name: str, stack: ExitStack) -> str:
    """Make a socket in `folder` that leads to an agent, until `stack` is closed; give its path.

    `given` is an agent's socket, or key files with commas between. Raises SandboxError and UsageError.
    """
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    stack.callback(os.close, handle)
    # By way of the handle, as the path of a socket may not be longer than some hundred bytes.
    short = f"/proc/self/fd/{handle}"
    target = given
    if not _is_socket(given):
        agent = f"{name}-agent"
        _start_agent(given.split(","), folder, agent, stack)
        target = f"{short}/{agent}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{short}/{name}")
    listener.listen(16)
    # Closing alone does not wake a thread that waits in accept.
    stack.callback(listener.close)
    stack.callback(_shut, listener)
    threading.Thread(target=_serve, args=(listener, target), daemon=True).start()
    return f"{folder}/{name}"


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _start_agent(keys: list[str], folder: str, name: str, stack: ExitStack) -> None:
    import shutil
    import time
    from subprocess import DEVNULL, PIPE, Popen, run

    if not shutil.which("ssh-agent", path=os.defpath):
        raise SandboxError(
            "ssh-agent is not installed: it has to hold the keys of --ssh",
            hint="install the OpenSSH client, or give the socket of a running agent",
        )
    environment = {"PATH": os.defpath, "SSH_AUTH_SOCK": name, "SSH_ASKPASS_REQUIRE": "never"}
    # The shell ends the agent when its input does, so that it does not outlive a builder that is killed.
    process = Popen(
        ["sh", "-c", 'ssh-agent -D -a "$0" & read -r _; kill $!; wait', name],
        stdin=PIPE,
        stdout=DEVNULL,
        stderr=DEVNULL,
        cwd=folder,
        env=environment,
    )
    stack.callback(process.communicate)
    end = time.monotonic() + _PATIENCE
    while not os.path.exists(f"{folder}/{name}"):
        if time.monotonic() > end:
            raise SandboxError("ssh-agent does not start")
        time.sleep(0.01)
    for key in keys:
        done = run(
            ["ssh-add", "-q", key], stdin=DEVNULL, capture_output=True, text=True, cwd=folder, env=environment
        )
        if done.returncode:
            raise UsageError(
                f"--ssh: {key} is neither an agent's socket nor a usable key: {done.stderr.strip()}",
                hint="keys with a passphrase need a running agent",
            )


def _shut(listener: socket.socket) -> None:
    with suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, target: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, target), daemon=True).start()


def _relay(client: socket.socket, target: str) -> None:
    with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent, suppress(OSError):
        agent.connect(target)
        other = {client: agent, agent: client}
        while True:
            for ready in select.select([client, agent], [], [])[0]:
                data = ready.recv(_CHUNK)
                if not data:
                    return
                other[ready].sendall(data)

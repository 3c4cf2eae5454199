"""A build in a child process: how an ordinary user's program builds without changing its own process.

The child is `python -m jettison.worker`. It reads one JSON document {"request", "config"} from
standard input, enters a user namespace if it has to, and writes JSON lines: the events as in
`--progress jsonl`, and at the end {"result": …} or {"error": …}. SIGTERM stops the build.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from jettison.config import Config, RegistryConfig, variables
from jettison.errors import JettisonError, SandboxError, UsageError
from jettison.events import Emit, Event
from jettison.progress import jsonl, wire
from jettison.request import BuildRequest, BuildResult

_LOOK = 0.2
"""Seconds between two looks at whether the caller wants to stop, or is gone."""


def build_in_worker(
    request: BuildRequest, config: Config, emit: Emit, cancel: threading.Event
) -> BuildResult:
    """Build in a child process. Raises what the build raises there."""
    if any(output.dest == "-" for output in request.outputs):
        raise UsageError("the API does not write to standard output", hint="name a file as dest")
    document = {"request": wire.request_to_json(request), "config": config_to_json(config)}
    child = subprocess.Popen(
        [sys.executable, "-m", "jettison.worker", request.isolation or config.isolation],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**variables(), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert child.stdin is not None and child.stdout is not None
    over = threading.Event()
    watcher = threading.Thread(target=_stop_when_told, args=(child, cancel, over), daemon=True)
    watcher.start()
    try:
        try:
            child.stdin.write(json.dumps(document).encode("ascii") + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass
        return _listen(child, emit)
    finally:
        over.set()
        child.stdin.close()
        if child.poll() is None:
            child.terminate()
        child.wait()
        child.stdout.close()
        watcher.join()


def _listen(child: subprocess.Popen[bytes], emit: Emit) -> BuildResult:
    assert child.stdout is not None
    for line in child.stdout:
        data = json.loads(line)
        if "result" in data:
            return wire.result_from_json(data["result"])
        if "error" in data and "type" not in data:
            raise wire.error_from_json(data["error"])
        emit(jsonl.from_json(data))
    raise SandboxError(
        f"the worker process ended with status {child.wait()} before the build was over",
        hint="its own message is on standard error",
    )


def _stop_when_told(child: subprocess.Popen[bytes], cancel: threading.Event, over: threading.Event) -> None:
    while not over.is_set():
        if cancel.wait(_LOOK):
            if child.poll() is None:
                child.terminate()
            return


def config_to_json(config: Config) -> dict[str, Any]:
    """A configuration as plain data."""
    registries = {name: [list(item.mirrors), item.insecure] for name, item in config.registries.items()}
    return {
        "root": config.root,
        "runtime": config.runtime,
        "registries": registries,
        "ca_bundle": config.ca_bundle,
        "read_timeout": config.read_timeout,
        "cache_max": config.cache_max,
        "isolation": config.isolation,
    }


def config_from_json(data: dict[str, Any]) -> Config:
    """The configuration that `config_to_json` made this of."""
    registries = {
        name: RegistryConfig(tuple(mirrors), insecure)
        for name, (mirrors, insecure) in data["registries"].items()
    }
    return Config(**{**data, "registries": registries})


def main() -> int:
    """The child's part."""
    if status := _enter(sys.argv[1]):
        return status
    # Whatever a library prints must not get between the lines of the protocol.
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    lock = threading.Lock()
    cancel = threading.Event()

    def say(line: str) -> None:
        try:
            with lock:
                out.write(line + "\n")
                out.flush()
        except BrokenPipeError:
            cancel.set()

    def emit(event: Event) -> None:
        say(jsonl.encode(event))

    signal.signal(signal.SIGTERM, lambda number, frame: cancel.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        document = json.loads(sys.stdin.buffer.readline())
        threading.Thread(target=_stop_when_alone, args=(cancel,), daemon=True).start()
        from jettison.build import build

        request, config = wire.request_from_json(document["request"]), config_from_json(document["config"])
        answer: dict[str, Any] = {"result": wire.result_to_json(build(request, config, emit, cancel))}
    except JettisonError as error:
        answer = {"error": wire.error_to_json(error)}
    say(json.dumps(answer))
    return 0


def _enter(isolation: str) -> int:
    """Go on as who can give an isolation. Gives 1 when that cannot be done."""
    from jettison.sandbox import identity

    try:
        identity.become(isolation)
        return 0
    except JettisonError as error:
        sys.stdout.write(json.dumps({"error": wire.error_to_json(error)}) + "\n")
    return 1


def _stop_when_alone(cancel: threading.Event) -> None:
    """The caller keeps standard input open as long as it wants the build."""
    # Not through sys.stdin: its lock must be free when the interpreter ends.
    while os.read(0, 4096):
        pass
    cancel.set()


if __name__ == "__main__":
    raise SystemExit(main())

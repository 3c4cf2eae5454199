"""Builds the examples, starts each image and fetches a page: what `make demo` runs.

The base images come from Docker Hub where it can be reached, else from the stand-ins that
tests/bases makes of Debian, PyPI and npm packages. Everything stays below .cache/.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CACHE = HERE / ".cache"
ENVIRONMENT = {**os.environ, "JETTISON_ROOT": str(CACHE / "demo-store")}
COMMAND = Path(sys.executable).with_name("jettison")
EXAMPLES = {
    "go-web": (("builder",), "/", "Tides at"),
    "react-node": (("frontend", "backend"), "/api/books", "Moby-Dick"),
}
"""By folder: stages to tag as well, a page to fetch, and what it must hold."""


def main() -> None:
    started = time.monotonic()
    get_bases()
    for name, (stages, path, expected) in EXAMPLES.items():
        build(name, stages)
        serve(name, path, expected)
    title("the images: each stage, and what ships")
    jettison("images")
    title("building again: nothing has changed, so nothing runs")
    for name, (stages, _, _) in EXAMPLES.items():
        build(name, stages)
    print(f"\ndone in {time.monotonic() - started:.0f} s; the images are in {ENVIRONMENT['JETTISON_ROOT']}")


def title(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def show(words: list[str]) -> None:
    print("$ jettison " + " ".join(words), flush=True)


def jettison(*words: str) -> None:
    """Run the command, output and all; end the demo when it fails."""
    show(list(words))
    if subprocess.run([COMMAND, *words], env=ENVIRONMENT, cwd=HERE, check=False).returncode:
        sys.exit(f"demo: jettison {words[0]} failed")


def quietly(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *words], env=ENVIRONMENT, cwd=HERE, capture_output=True, text=True, check=False, timeout=300
    )


def base_names() -> list[str]:
    texts = [(HERE / "examples" / name / "Dockerfile").read_text() for name in EXAMPLES]
    return sorted({found for text in texts for found in re.findall(r"^FROM ([\w.-]+:\S+)", text, re.M)})


def get_bases() -> None:
    """Have the base images in the demo's store: pulled, or made here."""
    names = base_names()
    title(f"base images: {', '.join(names)}")
    if all(quietly("inspect", name).returncode == 0 for name in names):
        print("they are in the demo's store already")
        return
    if hub_answers():
        for name in names:
            jettison("pull", name)
        return
    print("making stand-ins from Debian, PyPI and npm packages (some minutes, the first time)", flush=True)
    sys.path.insert(0, str(HERE))
    from tests import bases

    bases.ensure(*names)
    for name in names:
        load_stand_in(name)


def hub_answers() -> bool:
    """Whether Docker Hub gives its smallest image within half a minute."""
    try:
        done = subprocess.run(
            [COMMAND, "pull", "hello-world"],
            env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print("Docker Hub does not answer within 30 seconds")
        return False
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
            done.stderr.strip()
        ]
        print(f"Docker Hub cannot be used here: {reason[0]}")
    return done.returncode == 0


def load_stand_in(name: str) -> None:
    """Put one image of a layout with several tags into the store."""
    from tests import bases

    folder, _ = bases.layout_of(name)
    jettison("load", str(folder), name)


def build(name: str, stages: tuple[str, ...]) -> None:
    title(f"building examples/{name}")
    words = ["build", "--progress", "plain"]
    for stage in stages:
        words += ["-t", f"{stage}={name}:{stage}"]
    jettison(*words, "-t", f"final={name}", f"examples/{name}")


def serve(name: str, path: str, expected: str) -> None:
    """Start the image, fetch a page, print it, stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    title(f"starting {name} on port {port}")
    words = ["run", "-e", f"PORT={port}", name]
    show(words)
    server = subprocess.Popen([COMMAND, *words], env=ENVIRONMENT, start_new_session=True)
    try:
        print(f"$ curl http://127.0.0.1:{port}{path}")
        page = fetch(server, port, path)
        print(page)
        if expected not in page:
            sys.exit(f"demo: the page of {name} lacks {expected!r}")
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            sys.exit(f"demo: {name} did not stop")
    print(f"{name} has stopped")


def fetch(server: subprocess.Popen[bytes], port: int, path: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit("demo: the server does not answer")
            time.sleep(0.1)


if __name__ == "__main__":
    if shutil.which("crun") is None and shutil.which("runc") is None:
        sys.exit("demo: neither crun nor runc is installed; make setup gets them")
    main()

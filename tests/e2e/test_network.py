"""What a RUN reaches: in a network of this test's own, nothing of which leaves the machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Done, Jettison
from tests.storecheck import users_of

PROGRAMS = [name for name in ("slirp4netns",) if shutil.which(name)]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="steps are mounted, which takes root"),
    pytest.mark.skipif(not PROGRAMS, reason="slirp4netns is not installed"),
    pytest.mark.skipif(not shutil.which("ip"), reason="ip (package iproute2) is not installed"),
]

HERE = "192.0.2.77"

MACHINE = f"""
ip link set lo up && ip tuntap add out mode tap && ip addr add {HERE}/24 dev out && ip link set out up &&
ip route add default via 192.0.2.1 dev out && echo nameserver 127.0.0.1 >"$0/resolv.conf" &&
mount --bind "$0/resolv.conf" "$(realpath /etc/resolv.conf)" &&
if [ "$OTHER" ]; then mount --bind /dev/null "$OTHER"; fi &&
if [ "$BROKEN" ]; then mount --bind /dev/null /dev/net/tun; fi && exec "$@"
"""
"""A machine whose name server is on its loopback. It lacks the program in OTHER; BROKEN: tun devices."""

SERVERS = f"""
import os, socket, struct, subprocess, sys, threading

def answer(kind, address, text):
    server = socket.socket(kind)
    server.bind(address)
    server.listen()
    def loop():
        while True:
            with server.accept()[0] as client:
                client.sendall(text)
    threading.Thread(target=loop, daemon=True).start()

def names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        query, client = server.recvfrom(512)
        name = query[12:query.index(0, 12) + 5]
        kind = name[-3]
        data = query[:2] + struct.pack("!HHHHH", 0x8180, 1, int(kind == 1), 0, 0) + name
        if kind == 1:
            data += struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("{HERE}"))
        server.sendto(data, client)

answer(socket.AF_INET, ("127.0.0.1", 7001), b"loopback\\n")
answer(socket.AF_INET, ("{HERE}", 7002), b"outside\\n")
answer(socket.AF_UNIX, "\\0jettison-test", b"abstract\\n")
threading.Thread(target=names, daemon=True).start()
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""

ASK = f"""
ask() {{ heard=$(timeout 2 nc $1 $2 </dev/null 2>/dev/null); echo ${{heard:-nothing}}; }}
echo loopback: $(ask 127.0.0.1 7001); echo outside: $(ask {HERE} 7002); echo named: $(ask other.example 7002)
echo gateway: $(ask me 7002); echo way: $(ask 10.0.2.2 7001)
grep -c jettison-test /proc/net/unix | sed 's/^/abstract: /'
ls /sys/class/net | tr '\\n' ' ' | sed 's/^/links: /'
"""

Build = Callable[..., Done]


@pytest.fixture
def build(jettison: Jettison, tmp_path: Path) -> Iterator[Build]:
    """Builds on such a machine."""

    def call(*words: object, env: dict[str, str] | None = None) -> Done:
        command = [
            "unshare",
            "--net",
            "--mount",
            "sh",
            "-c",
            MACHINE,
            tmp_path,
            sys.executable,
            "-c",
            SERVERS,
        ]
        command += [*COMMAND, "build", "--progress", "plain", "--no-cache", *words]
        environment = {**os.environ, "JETTISON_ROOT": str(jettison.root), **(env or {})}
        done = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, timeout=90
        )
        return Done(done.returncode, done.stdout, done.stderr)

    yield call
    assert users_of(jettison.root) == []


def answers(done: Done) -> dict[str, str]:
    assert done.code == 0, done.err
    return dict(re.findall(r"^#\d+ [\d.]+ (\w+): ?(.*?) *$", done.err, re.MULTILINE))


@pytest.fixture
def folder(project: Callable[..., Path]) -> Path:
    return project({"ask": ASK}, dockerfile="FROM busybox\nRUN --mount=type=bind,target=/c sh /c/ask\n")


@pytest.mark.parametrize("program", PROGRAMS)
def test_isolated(build: Build, folder: Path, program: str) -> None:
    """The step reaches what is outside, by name too, and nothing of this machine's loopback."""
    other = "".join(shutil.which(name) or "" for name in PROGRAMS if name != program)
    done = build("--add-host", "me:host-gateway", folder, env={"OTHER": other})
    heard = answers(done)
    assert heard.pop("links").startswith("lo") and len(heard) == 6
    assert heard == {
        "loopback": "nothing",
        "outside": "outside",
        "named": "outside",
        "gateway": "outside",
        "way": "nothing",
        "abstract": "0",
    }


def test_isolated_in_the_built_in_sandbox(build: Build, folder: Path) -> None:
    heard = answers(build("--isolation", "builtin", folder))
    assert heard["loopback"] == "nothing"
    assert heard["named"] == "outside"
    assert heard["abstract"] == "0"


def test_a_proxy_on_loopback_is_reached(build: Build, folder: Path) -> None:
    heard = answers(build("--build-arg", "http_proxy=http://127.0.0.1:7001", folder))
    assert heard["loopback"] == "loopback"


def test_without_the_right_to_make_a_device(build: Build, folder: Path) -> None:
    """The program is there and fails: it is said once, and the step has this machine's network."""
    done = build(folder, env={"BROKEN": "1"})
    assert answers(done)["loopback"] == "loopback"
    assert done.err.count("RUN has this machine's network") == 1


def test_host(build: Build, folder: Path) -> None:
    heard = answers(build("--network", "host", "--add-host", "me:host-gateway", folder))
    assert heard["loopback"] == "loopback"
    assert heard["outside"] == "outside"
    assert heard["abstract"] == "1"


def test_steps_at_the_same_time_have_a_network_each(build: Build, project: Callable[..., Path]) -> None:
    """Both serve on one port, and wait for each other in a pipe of a cache mount."""
    run = "FROM busybox{}\nRUN --mount=type=cache,target=/m mkfifo /m/pipe; httpd -p 7777 && : {} /m/pipe\n"
    folder = project(
        dockerfile=run.format(" AS one", ">") + run.format("", "<") + "COPY --from=one /etc /etc\n"
    )
    done = build("--jobs", "2", "--step-timeout", "60s", folder)
    assert done.code == 0, done.err


def test_what_a_privileged_step_did_to_its_network_no_other_has(
    build: Build, project: Callable[..., Path]
) -> None:
    look = "echo links: $(ip addr show lo | grep -c 10.9.9.9)"
    folder = project(
        dockerfile=f"FROM busybox\nRUN --security=insecure ip addr add 10.9.9.9/32 dev lo\nRUN {look}\n"
    )
    assert answers(build("--allow", "security.insecure", folder)) == {"links": "0"}

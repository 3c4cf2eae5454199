"""Machines on which only the lower rungs of the ladder are left, made of this one for a single command.

A command is started as root in a mount namespace of its own, in which programs are covered and parts
of /proc masked as containers have it; then it loses capabilities, its user, or system calls.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import make_base
from tests.conftest import Done

SOURCE = Path(__file__).parents[2] / "src"
DENY = Path(__file__).parents[1] / "deny.py"
TOOLS = ("unshare", "setpriv", "mount")
CONTAINER = "chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot"
CONTAINER += " mknod audit_write setfcap"
"""What root has in a container, where nobody said otherwise."""

STRANGER = 54321
"""A user whom /etc/passwd does not know, as in clusters that choose one by themselves."""

RUNTIMES = [path for path in map(shutil.which, ("crun", "runc")) if path]
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_ENTER = """
set -e
place=$1; binds=$2; covered=$3; masked=$4; shift 4
for pair in $binds; do mount --bind "${pair%%=*}" "$place/${pair#*=}"; done
for pair in $covered; do mount --bind "${pair%%=*}" "${pair#*=}"; done
for path in $masked; do mount -t tmpfs -o ro,size=0 masked "$path"; done
exec "$@"
"""


@dataclass(frozen=True)
class Situation:
    """A machine and who works on it. `rung` is the isolation that is left."""

    name: str
    rung: str
    uid: int = 0
    capabilities: str | None = None
    filtered: bool = False
    runtimes: bool = True
    masked: bool = False
    ids: bool = False
    """Whether the user has subordinate ids."""

    def __str__(self) -> str:
        return self.name


ROOT = Situation("root", "root")
UNMASKED = Situation("container-unmasked", "rootless", capabilities=CONTAINER)
UNCONFINED = Situation("container-unconfined", "builtin", capabilities=CONTAINER, masked=True)
SUBORDINATE = Situation("user-with-ids", "rootless", uid=STRANGER, ids=True)
SUBORDINATE_NO_RUNTIME = Situation(
    "user-with-ids-without-runtime", "builtin", uid=STRANGER, ids=True, runtimes=False
)
USER = Situation("user-without-ids", "single-id", uid=STRANGER)
NO_RUNTIME = Situation("root-without-runtime", "builtin", runtimes=False)
CONFINED = Situation("container", "chroot", capabilities=CONTAINER, filtered=True, masked=True)
NOTHING = Situation("user-without-namespaces", "none", uid=STRANGER, filtered=True)


class Machine:
    """Runs jettison in situations. `place` is a folder that everybody may enter."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.chmod(0o755)
        for name in ("python", "src", "site"):
            (place / name).mkdir()

    def home(self, situation: Situation) -> Path:
        """The folder of the one who works there; stores are below it."""
        home = self.place / f"home-{situation}"
        if not home.exists():
            home.mkdir(mode=0o755)
            os.chown(home, situation.uid, situation.uid)
        return home

    def busybox(self) -> Path:
        """The layout of a base image that everybody may read."""
        layout = self.place / "busybox"
        if not layout.exists():
            make_base.make(str(layout))
        return layout

    def jettison(self, situation: Situation, *words: object, timeout: float = 120) -> Done:
        """Run the command to its end."""
        return self.run(
            situation, f"{self.place}/python/bin/python3", "-m", "jettison", *words, timeout=timeout
        )

    def run(self, situation: Situation, *words: object, timeout: float = 120) -> Done:
        """Run any program in a situation."""
        home = self.home(situation)
        environment = {
            "PATH": SEARCH_PATH,
            "HOME": str(home),
            "JETTISON_ROOT": str(home / "store"),
            "PYTHONPATH": f"{self.place}/src:{self.place}/site",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        argv = [*self._entered(situation), *map(str, words)]
        done = subprocess.run(
            argv, env=environment, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout
        )
        return Done(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def doctor(self, situation: Situation, *words: object) -> dict[str, Any]:
        """What `jettison doctor` finds; its exit status must fit."""
        done = self.jettison(situation, "doctor", "--format=json", *words)
        report: dict[str, Any] = json.loads(done.out)
        assert done.code == (report["isolation"] == "none"), done.text
        return report

    def _accounts(self) -> list[Path]:
        """What /etc says where the stranger is known, and has subordinate ids."""
        lines = {"passwd": f"stranger:x:{STRANGER}:{STRANGER}::/:/bin/sh", "group": f"stranger:x:{STRANGER}:"}
        lines |= dict.fromkeys(("subuid", "subgid"), "stranger:3000000:65536")
        paths = [self.place / name for name in lines]
        for path in paths:
            if not path.exists():
                before = Path("/etc", path.name).read_text() if path.name in ("passwd", "group") else ""
                path.write_text(f"{before}{lines[path.name]}\n")
            Path("/etc", path.name).touch()
        return paths

    def _entered(self, situation: Situation) -> list[str]:
        binds = {sys.base_prefix: "python", str(SOURCE): "src", sysconfig.get_path("purelib"): "site"}
        covered = [] if situation.runtimes else [("/dev/null", path) for path in RUNTIMES]
        covered += [(str(path), f"/etc/{path.name}") for path in self._accounts()] if situation.ids else []
        masked = ["/proc/bus", "/proc/fs", "/proc/irq"] if situation.masked else []
        argv = ["unshare", "--mount", "sh", "-c", _ENTER, "enter", str(self.place)]
        pairs = [" ".join("=".join(pair) for pair in some) for some in (binds.items(), covered)]
        argv += [*pairs, " ".join(masked)]
        if situation.filtered:
            argv += [sys.executable, str(DENY)]
        if situation.uid:
            argv += ["setpriv", f"--reuid={situation.uid}", f"--regid={situation.uid}", "--clear-groups"]
        if situation.capabilities is not None:
            bounding = ",".join(["-all", *(f"+{name}" for name in situation.capabilities.split())])
            argv += ["setpriv", f"--bounding-set={bounding}", "--inh-caps=-all"]
        return argv

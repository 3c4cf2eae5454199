"""The config.json of a step (OCI runtime-spec 1.0): what a process may see and do."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from jettison.errors import SandboxError
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.devices import DEVICES, device_mounts
from jettison.sandbox.network import DEFAULT_HOSTNAME
from jettison.sandbox.seccomp import RAW_FILTER, raw_program, rules

_BY_NUMBER = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE"
)
_CAPABILITIES = _BY_NUMBER.split()
"""By number, from 0 on (linux/capability.h)."""

_GIVEN = (
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE "
    "SYS_CHROOT KILL AUDIT_WRITE"
)
_DEFAULT = frozenset(_GIVEN.split())

MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def config_json(
    spec: ProcessSpec,
    *,
    held: int,
    user_namespace: bool,
    seccomp: bool,
    raw_filter: bool = False,
    hook: Sequence[str] = (),
) -> bytes:
    """The config.json for `spec`.

    `held` is the mask of capabilities that this process has itself: more cannot be given.
    `user_namespace` says that this process is root in a user namespace only. `seccomp`
    adds the filter of system calls (never for a privileged process); `raw_filter`
    adds it in crun's ready-made form as well. `hook` is a command that
    runs among the container's mounts before its process. Raises SandboxError for text that is not UTF-8.
    """
    own_network = spec.network != "host"
    namespaces = [{"type": name} for name in ("mount", "pid", "ipc", "uts")]
    if own_network:
        namespaces.append({"type": "network"} | ({"path": spec.network} if spec.network != "none" else {}))
    linux: dict[str, Any] = {"namespaces": namespaces}
    if not spec.privileged:
        linux["maskedPaths"] = list(MASKED)
        # In a user namespace runtimes take the machine's devices, over what `mounts` says of them.
        linux["readonlyPaths"] = [*READ_ONLY, *(DEVICES if user_namespace else ())]
        if seccomp:
            linux["seccomp"] = rules()
    document: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(spec, held),
        "root": {"path": os.path.abspath(spec.rootfs), "readonly": spec.read_only},
        "hostname": spec.hostname or DEFAULT_HOSTNAME,
        "mounts": [
            *_system_mounts(spec, bind_sys=user_namespace and not own_network),
            *([] if spec.privileged or user_namespace else device_mounts()),
            *(_mount(mount, devices=spec.privileged) for mount in spec.mounts),
        ],
        "linux": linux,
    }
    if hook:
        document["hooks"] = {"createContainer": [{"path": hook[0], "args": list(hook)}]}
    if raw_filter and "seccomp" in linux and (program := raw_program()):
        document["annotations"] = {RAW_FILTER: program}
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SandboxError(
            "a word of the command, its environment or its folders is not valid UTF-8",
            hint="OCI runtimes take UTF-8 only; write the bytes in a script instead, for example with printf",
        ) from error


def given_capabilities(spec: ProcessSpec, held: int) -> list[int]:
    """The numbers of the capabilities that root of a step has: those of Docker, or all that are `held`."""
    # Raw sockets in this machine's network would hear what others send, and speak in their name.
    given = _DEFAULT - {"NET_RAW"} if spec.network == "host" else _DEFAULT
    return [
        number
        for number, name in enumerate(_CAPABILITIES)
        if held >> number & 1 and (spec.privileged or name in given)
    ]


def _process(spec: ProcessSpec, held: int) -> dict[str, Any]:
    names = ["CAP_" + _CAPABILITIES[number] for number in given_capabilities(spec, held)]
    own = names if spec.uid == 0 else []
    groups = dict.fromkeys((spec.gid, *spec.groups))
    return {
        "terminal": spec.terminal,
        "user": {"uid": spec.uid, "gid": spec.gid, "additionalGids": list(groups), "umask": 0o22},
        "args": list(spec.args),
        "env": list(spec.env),
        "cwd": spec.cwd or "/",
        "noNewPrivileges": False,
        "capabilities": {
            "bounding": names,
            "effective": own,
            "permitted": own,
            "inheritable": [],
            "ambient": [],
        },
    }


def _system_mounts(spec: ProcessSpec, *, bind_sys: bool) -> list[dict[str, Any]]:
    quiet = ["nosuid", "noexec", "nodev"]
    access = "rw" if spec.privileged else "ro"
    nodev = [] if spec.privileged else ["nodev"]
    if bind_sys:
        # The kernel lets only the owner of the network namespace mount a new sysfs.
        sys_mount = {
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", *quiet, "ro"],
        }
    else:
        sys_mount = {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": [*quiet, access],
        }
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": quiet},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", *nodev, "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*quiet, "mode=1777", "size=65536k"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        sys_mount,
    ]


def _mount(mount: Mount, *, devices: bool) -> dict[str, Any]:
    if mount.type == "bind":
        options = ["rbind", "rprivate", "ro" if mount.read_only else "rw"]
        return {
            "destination": mount.target,
            "type": "bind",
            "source": mount.source,
            "options": options if devices else [*options, "nodev"],
        }
    options = ["nosuid", "nodev", f"mode={mount.mode:o}", "ro" if mount.read_only else "rw"]
    if mount.size:
        options.append(f"size={mount.size}")
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}

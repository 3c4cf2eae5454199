"""The config.json of a step (OCI runtime-spec 1.0): what a process may see and do."""

from __future__ import annotations

import json
import os
from typing import Any

from jettison.errors import SandboxError
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.network import DEFAULT_HOSTNAME

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

_MASKED = (
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
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
    "riscv64": ("SCMP_ARCH_RISCV64",),
    "ppc64le": ("SCMP_ARCH_PPC64LE",),
    "s390x": ("SCMP_ARCH_S390X", "SCMP_ARCH_S390"),
}

_NAMESPACE_FLAGS = 0x7E020000
"""All CLONE_NEW* bits that clone(2) takes, CLONE_NEWNS among them."""

_ENOSYS = 38
_AF_VSOCK = 40


def config_json(spec: ProcessSpec, *, held: int, user_namespace: bool, seccomp: bool) -> bytes:
    """The config.json for `spec`.

    `held` is the mask of capabilities that this process has itself: more cannot be given.
    `user_namespace` says that this process is root in a user namespace only. `seccomp`
    adds the filter of system calls (never for a privileged process). Raises SandboxError
    for text that is not UTF-8.
    """
    own_network = spec.network == "none"
    namespaces = ["mount", "pid", "ipc", "uts"] + (["network"] if own_network else [])
    linux: dict[str, Any] = {"namespaces": [{"type": name} for name in namespaces]}
    if not spec.privileged:
        linux["maskedPaths"] = list(_MASKED)
        linux["readonlyPaths"] = list(_READ_ONLY)
        if seccomp:
            linux["seccomp"] = _seccomp()
    document = {
        "ociVersion": "1.0.2",
        "process": _process(spec, held),
        "root": {"path": os.path.abspath(spec.rootfs), "readonly": spec.read_only},
        "hostname": spec.hostname or DEFAULT_HOSTNAME,
        "mounts": [
            *_system_mounts(spec, bind_sys=user_namespace and not own_network),
            *map(_mount, spec.mounts),
        ],
        "linux": linux,
    }
    try:
        return json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise SandboxError(
            "a word of the command, its environment or its folders is not valid UTF-8",
            hint="OCI runtimes take UTF-8 only; write the bytes in a script instead, for example with printf",
        ) from error


def _process(spec: ProcessSpec, held: int) -> dict[str, Any]:
    names = [
        "CAP_" + name
        for number, name in enumerate(_CAPABILITIES)
        if held >> number & 1 and (spec.privileged or name in _DEFAULT)
    ]
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
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
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


def _mount(mount: Mount) -> dict[str, Any]:
    if mount.type == "bind":
        return {
            "destination": mount.target,
            "type": "bind",
            "source": mount.source,
            "options": ["rbind", "rprivate", "ro" if mount.read_only else "rw"],
        }
    options = ["nosuid", "nodev", f"mode={mount.mode:o}", "ro" if mount.read_only else "rw"]
    if mount.size:
        options.append(f"size={mount.size}")
    return {"destination": mount.target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _seccomp() -> dict[str, Any]:
    """The filter: what seccomp.json lists is allowed, a few calls depend on arguments, the rest is EPERM."""
    with open(os.path.join(os.path.dirname(__file__), "seccomp.json"), "rb") as file:
        data = json.load(file)
    rules: list[dict[str, Any]] = [{"names": data["allow"], "action": "SCMP_ACT_ALLOW"}]
    rules += [_rule("personality", 0, value, "SCMP_CMP_EQ") for value in data["personalities"]]
    rules += [
        _rule("socket", 0, _AF_VSOCK, "SCMP_CMP_NE"),
        # No new namespaces; s390 has the flags in the second argument.
        _rule("clone", int(os.uname().machine == "s390x"), _NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ"),
        # Its flags are out of a filter's sight; the C library falls back to clone.
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS},
    ]
    filter_: dict[str, Any] = {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": rules}
    architectures = _ARCHITECTURES.get(os.uname().machine)
    if architectures:
        filter_["architectures"] = list(architectures)
    return filter_


def _rule(name: str, index: int, value: int, operator: str) -> dict[str, Any]:
    argument = {"index": index, "value": value, "op": operator}
    if operator == "SCMP_CMP_MASKED_EQ":
        argument["valueTwo"] = 0
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]}

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from jettison.errors import SandboxError
from jettison.sandbox.base import Mount, ProcessSpec
from jettison.sandbox.spec import config_json

ALL = (1 << 41) - 1
SPEC = ProcessSpec("/r", ("true",), ("PATH=/bin",))


def config(spec: ProcessSpec, **options: Any) -> dict[str, Any]:
    settings = {"held": ALL, "user_namespace": False, "seccomp": True, **options}
    document: dict[str, Any] = json.loads(config_json(spec, **settings))
    return document


def test_root_has_fourteen_capabilities() -> None:
    apart = ProcessSpec("/r", ("true",), (), network="none")
    capabilities = config(apart)["process"]["capabilities"]
    assert len(capabilities["bounding"]) == 14
    on_the_network_of_all = set(config(SPEC)["process"]["capabilities"]["bounding"])
    assert set(capabilities["bounding"]) - on_the_network_of_all == {"CAP_NET_RAW"}
    assert capabilities["effective"] == capabilities["permitted"] == capabilities["bounding"]
    assert capabilities["inheritable"] == capabilities["ambient"] == []
    assert "CAP_SYS_ADMIN" not in capabilities["bounding"]


def test_capabilities_that_we_lack_are_left_out() -> None:
    mknod = 27
    assert "CAP_MKNOD" not in config(SPEC, held=ALL & ~(1 << mknod))["process"]["capabilities"]["bounding"]


def test_others_have_none_in_effect() -> None:
    spec = ProcessSpec("/r", ("true",), (), uid=5, gid=6, groups=(7, 6))
    process = config(spec)["process"]
    assert process["capabilities"]["effective"] == process["capabilities"]["permitted"] == []
    assert process["capabilities"]["bounding"]
    assert process["user"] == {"uid": 5, "gid": 6, "additionalGids": [6, 7], "umask": 0o22}


def test_privileged() -> None:
    document = config(ProcessSpec("/r", ("true",), (), privileged=True))
    assert "CAP_SYS_ADMIN" in document["process"]["capabilities"]["effective"]
    assert not {"maskedPaths", "readonlyPaths", "seccomp"} & set(document["linux"])


def test_kernel_secrets_are_masked() -> None:
    linux = config(SPEC)["linux"]
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]


def test_namespaces() -> None:
    assert {item["type"] for item in config(SPEC)["linux"]["namespaces"]} == {"mount", "pid", "ipc", "uts"}
    alone = config(ProcessSpec("/r", ("true",), (), network="none"))
    assert {"type": "network"} in alone["linux"]["namespaces"]


def test_sys_is_bound_only_where_it_cannot_be_mounted() -> None:
    def sys_type(document: dict[str, Any]) -> str:
        return next(str(item["type"]) for item in document["mounts"] if item["destination"] == "/sys")

    assert sys_type(config(SPEC)) == "sysfs"
    assert sys_type(config(SPEC, user_namespace=True)) == "none"
    alone = ProcessSpec("/r", ("true",), (), network="none")
    assert sys_type(config(alone, user_namespace=True)) == "sysfs"


def test_mounts_come_last_in_order() -> None:
    mounts = (Mount("bind", "/a", "/host", read_only=True), Mount("tmpfs", "/a/b", size=5, mode=0o700))
    first, second = config(ProcessSpec("/r", ("true",), (), mounts=mounts))["mounts"][-2:]
    assert first["source"] == "/host"
    assert "ro" in first["options"]
    assert {"size=5", "mode=700", "rw"} <= set(second["options"])


def test_odd_bytes_are_refused() -> None:
    with pytest.raises(SandboxError, match="UTF-8"):
        config(ProcessSpec("/r", ("cat", os.fsdecode(b"/o\xff")), ()))


def test_filter() -> None:
    rules = config(SPEC)["linux"]["seccomp"]
    assert rules["defaultAction"] == "SCMP_ACT_ERRNO"
    free = {name for rule in rules["syscalls"] if "args" not in rule for name in rule["names"]}
    assert {"read", "openat", "execve", "chroot", "ptrace", "mknodat", "statx"} <= free
    never = {"mount", "bpf", "kexec_load", "keyctl", "unshare", "setns", "open_by_handle_at", "reboot"}
    assert not never & free
    assert "seccomp" not in config(SPEC, seccomp=False)["linux"]

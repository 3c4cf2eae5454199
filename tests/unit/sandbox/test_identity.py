from __future__ import annotations

import pytest

from jettison.errors import SandboxError, UsageError
from jettison.sandbox import identity, rootless, settings
from jettison.sandbox.settings import Machine

ORDINARY = Machine(False, False, False, False, ())


def test_the_map_of_all_ids_is_never_that_of_no_namespace() -> None:
    assert rootless.same_ids("         0          0 4294967295\n") == "0 0 1\n1 1 4294967294\n"
    assert rootless.same_ids("0 1000 1\n1 100000 65536\n") == "0 0 1\n1 1 1\n2 2 65535\n"


def test_isolations_are_checked() -> None:
    assert identity.checked("") == identity.checked("default") == "auto"
    assert [identity.checked(name) for name in identity.ISOLATIONS] == list(identity.ISOLATIONS)
    with pytest.raises(UsageError, match="'docker' is not known") as caught:
        identity.checked("docker")
    assert "rootless" in str(caught.value.hint)


def test_a_user_is_told_of_everything_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(uid: int, gid: int) -> list[SandboxError]:
        return [SandboxError("no newuidmap", hint="install uidmap"), SandboxError("no ids", hint="usermod")]

    monkeypatch.setattr(rootless, "subordinate_problems", missing)
    assert settings.changes("rootless", "no newuidmap", "install uidmap", ORDINARY) == (
        "install uidmap",
        "usermod",
    )


@pytest.mark.parametrize("rung", ["rootless", "single-id", "builtin"])
def test_sysctls_are_named_where_they_forbid_namespaces(rung: str) -> None:
    machine = Machine(True, False, False, True, ("sysctl -w user.max_user_namespaces=15000",))
    got = settings.changes(rung, "cannot make a user namespace: No space left on device", "", machine)
    assert got == ("sysctl -w user.max_user_namespaces=15000",)


def test_a_rung_that_works_needs_no_change() -> None:
    assert settings.changes("root", "", "a hint", ORDINARY) == ()


def test_a_covered_proc_has_its_own_remedy() -> None:
    got = settings.changes(
        "rootless", "parts of /proc are covered", "", Machine(True, False, False, True, ())
    )
    assert any("procMount: Unmasked" in line for line in got)
    assert not any("seccomp" in line for line in got)

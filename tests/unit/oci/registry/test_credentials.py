from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from jettison.oci.registry.credentials import Credential, find_credential


def write(path: Path, data: object) -> str:
    path.write_text(json.dumps(data))
    return str(path)


def entry(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": b64encode(f"{user}:{password}".encode()).decode()}


def user_for(file: str, registry: str, repository: str = "") -> str | None:
    found = find_credential([file], registry, repository).credential
    return found.user if found else None


def test_the_longest_entry_wins(tmp_path: Path) -> None:
    file = write(
        tmp_path / "auth.json",
        {"auths": {"r.test": entry("all"), "r.test/team": entry("team"), "r.test/team/app": entry("app")}},
    )
    assert user_for(file, "r.test", "other/x") == "all"
    assert user_for(file, "r.test", "team/x") == "team"
    assert user_for(file, "r.test", "team/app") == "app"
    assert user_for(file, "r.test", "team/application") == "team"
    assert user_for(file, "r.test", "teamwork/x") == "all"
    assert user_for(file, "s.test", "team/app") is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io"])
def test_the_default_registry_goes_by_several_names(tmp_path: Path, key: str) -> None:
    file = write(tmp_path / "config.json", {"auths": {key: entry("hub")}})
    assert user_for(file, "docker.io", "library/alpine") == "hub"


def test_entries_may_be_addresses(tmp_path: Path) -> None:
    file = write(tmp_path / "config.json", {"auths": {"https://r.test:5000/v2/": entry("me", "a:b")}})
    assert find_credential([file], "r.test:5000").credential == Credential("me", "a:b")


def test_the_first_file_with_an_entry_wins(tmp_path: Path) -> None:
    files = [
        str(tmp_path / "missing.json"),
        write(tmp_path / "a.json", {"auths": {"s.test": entry("no")}}),
        write(tmp_path / "b.json", {"auths": {"r.test": entry("yes")}}),
        write(tmp_path / "c.json", {"auths": {"r.test/x": entry("late")}}),
    ]
    found = find_credential(files, "r.test", "x").credential
    assert found is not None and found.user == "yes"


def test_an_identity_token_is_kept_as_one(tmp_path: Path) -> None:
    data = {"auths": {"r.test": {**entry("me", ""), "identitytoken": "T"}}}
    found = find_credential([write(tmp_path / "c.json", data)], "r.test").credential
    assert found == Credential("me", "", "T")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"auths": {"r.test": {"auth": "%%%"}}}', "not base64"),
        ('{"auths": 3, "credHelpers": []}', ""),
        ('{"credsStore": "no-such-helper-here"}', "docker-credential-no-such-helper-here is not installed"),
    ],
)
def test_a_file_that_cannot_be_used_stops_nothing(tmp_path: Path, text: str, problem: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    found = find_credential([str(bad)], "r.test")
    assert found.credential is None
    assert problem in found.problem
    assert bool(problem) == bool(found.problem)
    good = write(tmp_path / "good.json", {"auths": {"r.test": entry("me")}})
    assert find_credential([str(bad), good], "r.test").credential == Credential("me", "pw")


def make_helper(folder: Path, name: str, script: str) -> None:
    path = folder / f"docker-credential-{name}"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_helper_is_asked_for_its_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    make_helper(tmp_path, "one", 'read s; echo "{\\"Username\\": \\"one\\", \\"Secret\\": \\"$s\\"}"')
    make_helper(tmp_path, "two", 'echo \'{"Username": "<token>", "Secret": "T"}\'')
    make_helper(tmp_path, "none", "echo 'credentials not found in native keychain'; exit 1")
    data = {"credHelpers": {"r.test": "one", "n.test": "none"}, "credsStore": "two"}
    data["auths"] = {"r.test": entry("written down"), "n.test": entry("fallback")}  # type: ignore[assignment]
    file = write(tmp_path / "config.json", data)
    assert find_credential([file], "r.test").credential == Credential("one", "r.test")
    assert find_credential([file], "other.test").credential == Credential(identity_token="T")
    assert find_credential([file], "n.test").credential == Credential("fallback", "pw")


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(Credential("me", "hush", "hush"))

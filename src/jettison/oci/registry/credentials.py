"""Credentials from docker's config.json and podman's auth.json, and from credential helpers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jettison.dataclass import dataclass

_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = frozenset(("docker.io", "index.docker.io", "registry-1.docker.io"))


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and a password, or an identity token that is exchanged for access tokens."""

    user: str = ""
    password: str = ""
    identity_token: str = ""

    def __repr__(self) -> str:
        return f"Credential(user={self.user!r})"


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a search. `problem` tells why something that was configured could not be used."""

    credential: Credential | None = None
    problem: str = ""


def find_credential(files: Sequence[str], registry: str, repository: str = "") -> Found:
    """The credential for a repository: the longest entry that is a prefix of it wins, file by file.

    Entries may be host names, addresses with a scheme, or HOST/ORGANISATION[/…].
    In one file a helper named for the registry comes before `auths`, and `credsStore` last.
    """
    problems = []
    for path in files:
        data, problem = _read(path)
        if problem:
            problems.append(problem)
        found = _search(data, registry, repository)
        if found.credential is not None:
            return found
        if found.problem:
            problems.append(f"{path}: {found.problem}")
    return Found(None, "; ".join(problems))


def _read(path: str) -> tuple[dict[str, Any], str]:
    from json import loads

    try:
        with open(path, "rb") as file:
            data = loads(file.read(1 << 22))
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror}"
    except ValueError:
        return {}, f"{path} is not JSON"
    return (data, "") if isinstance(data, dict) else ({}, f"{path} is not a JSON object")


def _search(data: dict[str, Any], registry: str, repository: str) -> Found:
    host = "docker.io" if registry in _HUB_NAMES else registry
    names = [host]
    for part in repository.split("/") if repository else ():
        names.append(f"{names[-1]}/{part}")
    problem = ""
    helpers = _table(data, "credHelpers")
    for name in reversed(names):
        for key, helper in helpers.items():
            if _normal(key) == name and isinstance(helper, str):
                found = ask_helper(helper, _server(name, key))
                if found.credential is not None:
                    return found
                problem = found.problem
    by_name = {_normal(key): entry for key, entry in _table(data, "auths").items()}
    for name in reversed(names):
        credential, wrong = _decode(by_name.get(name))
        if credential is not None:
            return Found(credential)
        problem = wrong or problem
    store = data.get("credsStore")
    if isinstance(store, str) and store:
        found = ask_helper(store, _server(host, host))
        return found if found.credential is not None else Found(None, found.problem or problem)
    return Found(None, problem)


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _server(name: str, key: str) -> str:
    return _HUB if name == "docker.io" else key


def _normal(key: str) -> str:
    """An entry's key as HOST[/PATH]: older files hold whole addresses with /v1/ or /v2/ at the end."""
    name = key.partition("://")[2] if "://" in key else key
    name = name.strip("/")
    for suffix in ("/v1", "/v2"):
        name = name.removesuffix(suffix)
    host, slash, rest = name.partition("/")
    if host in _HUB_NAMES:
        host = "docker.io"
    return host + slash + rest


def _decode(entry: Any) -> tuple[Credential | None, str]:
    if not isinstance(entry, dict):
        return None, ""
    token = entry.get("identitytoken")
    user, password = entry.get("username"), entry.get("password")
    if auth := entry.get("auth"):
        from base64 import b64decode
        from binascii import Error

        try:
            text = b64decode(auth, validate=True).decode()
        except (Error, ValueError, TypeError):
            return None, "an entry's auth is not base64"
        user, _, password = text.partition(":")
        # podman pads the password with zero bytes in old files
        password = password.strip("\0")
    if isinstance(token, str) and token:
        return Credential(str(user or ""), "", token), ""
    if user and password is not None:
        return Credential(str(user), str(password)), ""
    return None, ""


def ask_helper(name: str, server: str, seconds: float = 30) -> Found:
    """Ask `docker-credential-NAME get`. That a helper knows nothing, or is missing, is no error."""
    from json import loads
    from subprocess import DEVNULL, PIPE, SubprocessError, run

    command = f"docker-credential-{name}"
    try:
        done = run([command, "get"], input=server.encode(), stdout=PIPE, stderr=DEVNULL, timeout=seconds)
    except FileNotFoundError:
        return Found(None, f"the credential helper {command} is not installed")
    except (OSError, SubprocessError) as error:
        return Found(None, f"the credential helper {command} failed: {type(error).__name__}")
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip().splitlines()
        if said and "not found" in said[0]:
            return Found()
        return Found(None, f"the credential helper {command} ended with status {done.returncode}")
    try:
        answer = loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        return Found(None, f"the credential helper {command} gave no credential")
    if user == "<token>":
        return Found(Credential(identity_token=secret))
    return Found(Credential(user, secret))

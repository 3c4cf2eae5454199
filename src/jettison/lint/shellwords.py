"""What a RUN does, as far as it can be told from its words: simple commands, one after the other."""

from __future__ import annotations

import re

from jettison.dockerfile.instructions import Run

_ENDS = re.compile(r"&&|\|\||[;|\n&(){}]")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_BEFORE = frozenset(("sudo", "env", "exec", "then", "do", "else", "if", "time", "!"))


def script_of(run: Run) -> str:
    """The text that the shell of a RUN reads; of a program in exec form its words."""
    if run.script and run.heredocs:
        return run.heredocs[0].content
    return " ".join(run.command.words)


def commands(run: Run) -> list[list[str]]:
    """The simple commands of a RUN, as words without quotes, assignments before them left out."""
    out = []
    for text in _ENDS.split(script_of(run)):
        words = [word.strip("\"'") for word in text.split()]
        while words and (words[0] in _BEFORE or _ASSIGNMENT.match(words[0])):
            words.pop(0)
        if words:
            out.append([words[0].rpartition("/")[2], *words[1:]])
    return out


def plain(words: list[str]) -> list[str]:
    """The arguments of a command that are no options."""
    return [word for word in words[1:] if not word.startswith("-")]


def cached_at(run: Run, *folders: str) -> bool:
    """Whether something is mounted on one of the folders, or above: nothing stays in the layer then."""
    targets = [mount.target.rstrip("/") for mount in run.mounts if mount.type in ("cache", "tmpfs", "bind")]
    return any(
        folder == target or folder.startswith(f"{target}/") or target.startswith(f"{folder}/")
        for target in targets
        if target
        for folder in folders
    )


def installs(words: list[str]) -> str:
    """The package manager that a command installs dependencies with, or ""."""
    name, rest = words[0], plain(words)
    verb = rest[0] if rest else ""
    if name in ("apt-get", "apt", "dnf", "yum", "microdnf") and "install" in rest:
        return "apt-get" if name == "apt" else name
    if name == "apk" and "add" in rest:
        return "apk"
    if name in ("npm", "pnpm") and (verb == "ci" or (verb in ("install", "i") and len(rest) == 1)):
        return name
    if name == "yarn" and verb in ("", "install"):
        return name
    if name in ("pip", "pip3") and verb == "install" and ("-r" in words or "--requirement" in words):
        return "pip"
    if words[1:4] == ["-m", "pip", "install"] and "-r" in words:
        return "pip"
    pairs = {("poetry", "install"), ("uv", "sync"), ("bundle", "install"), ("composer", "install")}
    if (name, verb) in pairs or rest[:2] == ["mod", "download"] or (name, verb) == ("cargo", "fetch"):
        return name
    if name in ("mvn", "mvnw") and verb.startswith("dependency:"):
        return "mvn"
    return ""

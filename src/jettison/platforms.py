"""Platforms: os/architecture[/variant], in the forms that `--platform` takes.

Follows the OCI image-spec (Image Index: platform) and the normalisation of containerd.
"""

from __future__ import annotations

import os

from jettison.dataclass import dataclass
from jettison.errors import UsageError

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_WORDS = "386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x wasm"
_KNOWN = frozenset(_WORDS.split())
_SYSTEMS = frozenset(["linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "wasi"])


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform, normalised. `variant` is empty where it says nothing (arm64's v8, amd64's v1)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def normalise(system: str, architecture: str, variant: str = "") -> Platform:
    """Bring aliases (x86_64, aarch64, armhf) and redundant variants into one form."""
    architecture, implied = _ARCHITECTURES.get(architecture.lower(), (architecture.lower(), ""))
    variant = variant.lower() or implied
    if (architecture, variant) in (("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")):
        variant = ""
    if architecture == "arm":
        variant = "v" + variant.lstrip("v") if variant else "v7"
    return Platform(system.lower(), architecture, variant)


def parse(text: str) -> Platform:
    """Read `linux/arm64`, `linux/arm/v7`, `arm64` or `linux`. Raises UsageError for anything else."""
    parts = text.strip().split("/")
    here = native()
    problem = UsageError(
        f"invalid platform {text!r}", hint="write it as os/architecture[/variant], for example linux/arm64"
    )
    if len(parts) > 3 or not all(part and part.replace("_", "").replace("-", "").isalnum() for part in parts):
        raise problem
    if len(parts) == 1:
        word = parts[0].lower()
        if word == "local":
            return here
        if word in _SYSTEMS:
            return Platform(word, here.architecture, here.variant)
        parts = [here.os, word]
    platform = normalise(*parts)
    if platform.os not in _SYSTEMS or platform.architecture not in _KNOWN:
        raise problem
    return platform


def native() -> Platform:
    """The platform of this machine."""
    return normalise("linux", os.uname().machine)

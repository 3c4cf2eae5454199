"""References: the names of images, in the grammar of the distribution project.

    reference := [registry "/"] repository [":" tag] ["@" digest]

What is left out is filled in as Docker does: the registry `docker.io`, its
repository prefix `library/`, and the tag `latest` where there is no digest either.
"""

from __future__ import annotations

import re

from jettison.dataclass import dataclass, replace
from jettison.digests import is_digest
from jettison.errors import UsageError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_LIBRARY = "library/"
_LONGEST_REPOSITORY = 255

_HOST_PART = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(rf"(?:{_HOST_PART}(?:\.{_HOST_PART})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?", re.ASCII)
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_BARE_DIGEST = re.compile(r"[a-f0-9]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reference:
    """One name of an image, complete. At least one of `tag` and `digest` is not empty."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def selector(self) -> str:
        """What the manifest is asked for by: the digest if there is one, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return self.name + self._suffix()

    def familiar(self) -> str:
        """The shortest form that means the same: no `docker.io/library/`; the tag stays."""
        name = self.name
        if self.registry == DEFAULT_REGISTRY:
            short = self.repository.removeprefix(_LIBRARY)
            if "/" in short or _BARE_DIGEST.fullmatch(short):
                short = self.repository
            name = self.name if _looks_like_registry(short) else short
        return name + self._suffix()

    def with_digest(self, digest: str) -> Reference:
        """The same repository, pinned to a digest. The tag stays, as a remark."""
        return replace(self, digest=digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Read a reference in any of its forms. Raises UsageError for what is none."""
    if _BARE_DIGEST.fullmatch(text):
        raise _invalid(text, "64 hexadecimal digits are an image ID, not a name")
    rest, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise _invalid(text, "behind the @ there must be a digest, such as sha256:<64 hexadecimal digits>")
    registry, repository = _split_registry(rest)
    repository, colon, tag = repository.partition(":")
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _LIBRARY + repository
    if colon and not _TAG.fullmatch(tag):
        raise _invalid(text, "a tag is made of letters, digits, '_', '.' and '-', at most 128 of them")
    if not _REGISTRY.fullmatch(registry):
        raise _invalid(text, f"{registry!r} is no name of a registry")
    if not _REPOSITORY.fullmatch(repository):
        raise _invalid(text, _why_not_repository(repository))
    if len(repository) > _LONGEST_REPOSITORY:
        raise _invalid(text, f"a repository's name has at most {_LONGEST_REPOSITORY} characters")
    return Reference(registry, repository, tag or ("" if digest else DEFAULT_TAG), digest)


def valid_tag(tag: str) -> bool:
    """Whether a text can be a tag."""
    return _TAG.fullmatch(tag) is not None


def _split_registry(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash or not _looks_like_registry(text):
        return DEFAULT_REGISTRY, text
    return (DEFAULT_REGISTRY if first == "index.docker.io" else first), rest


def _looks_like_registry(text: str) -> bool:
    """Whether what stands before a slash is a host: it has a dot, a colon or a capital, or is localhost."""
    first, slash, _ = text.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())


def _why_not_repository(repository: str) -> str:
    if repository.lower() != repository and _REPOSITORY.fullmatch(repository.lower()):
        return "a repository's name must be in lower case"
    return "a repository's name has lower-case letters and digits, with '.', '_', '-' and '/' between them"


def _invalid(text: str, hint: str) -> UsageError:
    return UsageError(f"invalid reference format: {text!r} is no name of an image", hint=hint)

"""What usually does not belong into an image that ships, as data: where it lies, and how to leave it out."""

from __future__ import annotations

import re
from typing import Literal

from jettison.dataclass import dataclass

Kind = Literal["package cache", "dev dependency", "build file", "source"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing to leave out. `pattern` is a regular expression for the start of a path without leading
    slash; what it matches is the name that the files are reported under.
    """

    kind: Kind
    what: str
    pattern: str
    fix: str


_HOME = r"(?:root|home/[^/]+)"
_LIBRARIES = r"(?:.*/)?(?:node_modules|site-packages|dist-packages|gems|vendor)/"
"""Sources in here are what the language runs."""


def _mount(folder: str) -> str:
    return f"RUN --mount=type=cache,target={folder}"


RULES = (
    Rule(
        "package cache", "apt's lists and packages", r"var/(?:lib/apt/lists|cache/apt)(?=/)",
        "rm -rf /var/lib/apt/lists/* /var/cache/apt/* in the same RUN, or " + _mount("/var/lib/apt/lists"),
    ),
    Rule(
        "package cache", "apk's cache", r"(?:var/cache/apk|etc/apk/cache)(?=/)",
        "apk add --no-cache",
    ),
    Rule(
        "package cache", "dnf's cache", r"var/(?:cache/(?:dnf|yum|libdnf5)|lib/dnf/repos)(?=/)",
        "dnf clean all in the same RUN, or " + _mount("/var/cache/dnf"),
    ),
    Rule(
        "package cache", "cache of pacman or zypper", r"var/cache/(?:pacman/pkg|zypp)(?=/)",
        "remove it in the same RUN",
    ),
    Rule(
        "package cache", "pip's cache", rf"{_HOME}/\.cache/(?:pip|uv|pypoetry)(?=/)",
        "pip install --no-cache-dir, or " + _mount("/root/.cache"),
    ),
    Rule(
        "package cache", "npm's cache", rf"{_HOME}/\.npm/(?:_cacache|_npx|_logs)(?=/)",
        _mount("/root/.npm") + ", or npm cache clean --force in the same RUN",
    ),
    Rule(
        "package cache", "yarn's or pnpm's cache",
        rf"(?:usr/local/share|{_HOME})/\.cache/yarn(?=/)|{_HOME}/\.local/share/pnpm/store(?=/)"
        r"|(?:.*/)?\.pnpm-store(?=/)",
        _mount("/usr/local/share/.cache") + ", or yarn cache clean in the same RUN",
    ),
    Rule(
        "package cache", "Go's module and build cache",
        rf"(?:go|{_HOME}/go)/pkg/mod(?=/)|{_HOME}/\.cache/go-build(?=/)",
        "ship the program from a stage of its own, or " + _mount("/go/pkg/mod"),
    ),
    Rule(
        "package cache", "cargo's registry",
        rf"(?:usr/local/cargo|{_HOME}/\.cargo)/(?:registry|git)(?=/)",
        "ship the program from a stage of its own, or " + _mount("/usr/local/cargo/registry"),
    ),
    Rule(
        "package cache", "Maven's or Gradle's cache",
        rf"{_HOME}/\.(?:m2/repository|gradle/caches|gradle/wrapper)(?=/)",
        "ship the jar from a stage of its own, or " + _mount("/root/.m2"),
    ),
    Rule(
        "package cache", "cache of a package manager",
        rf"{_HOME}/\.(?:nuget/packages|composer/cache|cache/(?:composer|ccache|bazel|node-gyp))(?=/)"
        r"|usr/local/bundle/cache(?=/)|opt/conda/pkgs(?=/)",
        "remove it in the same RUN, or mount a cache on it",
    ),
    Rule(
        "package cache", "temporary files", r"(?:var/)?tmp(?=/)",
        "remove them in the RUN that makes them, or --mount=type=tmpfs,target=/tmp",
    ),
    Rule(
        "dev dependency", "tests' and linters' packages",
        r"(?:.*/)?(?:site|dist)-packages/(?:_?pytest|mypy|pylint|flake8|black|tox|isort|coverage)(?=/)",
        "install without the development requirements",
    ),
    Rule(
        "build file", "a git repository", r"(?:.*/)?\.git(?=/)",
        "write .git into .dockerignore, or clone in a stage of its own",
    ),
    Rule(
        "build file", "a compiler",
        r"usr/(?:local/)?(?:bin/(?:[a-z0-9_]+-linux-[a-z0-9]+-)?(?:gcc|g\+\+|cpp|cc|c\+\+|clang|clang\+\+)(?:-[0-9.]+)?$"
        r"|(?:lib|libexec)/gcc(?=/)|lib/llvm[^/]*/(?:bin|lib/clang)(?=/))"
        rf"|usr/local/go/(?:pkg|src|bin|test)(?=/)|(?:usr/local/rustup|{_HOME}/\.rustup)/toolchains(?=/)",
        "build in a stage of its own, and COPY --from it what was built",
    ),
    Rule(
        "build file", "headers", r"usr/(?:local/)?include(?=/)",
        "build in a stage of its own; ship packages without -dev",
    ),
    Rule(
        "build file", "static libraries and object files",
        rf"(?!{_LIBRARIES})(?:.*/)?[^/]+\.(?:a|o|la)$",
        "build in a stage of its own, and COPY --from it what was built",
    ),
    Rule(
        "build file", "intermediate results of a build",
        r"(?:.*/)?(?:target/(?:debug|release)/(?:deps|build|incremental)|CMakeFiles|\.gradle)(?=/)",
        "build in a stage of its own, and COPY --from it what was built",
    ),
    Rule(
        "source", "source code of compiled languages",
        rf"(?!{_LIBRARIES}|usr/(?:share|lib|src|local/(?:share|lib|go))/)(?:.*/)?[^/]+"
        r"\.(?:c|cc|cpp|cxx|h|hpp|hh|go|rs|java|kt|scala|cs|swift|zig)$",
        "COPY only what was built: --from=STAGE PATH/OF/THE/RESULT",
    ),
)  # fmt: skip
"""In order: a file counts for the first rule that fits."""

TYPESCRIPT = Rule(
    "source", "TypeScript beside what was built of it",
    rf"(?!{_LIBRARIES})(?:.*/)?[^/]+(?<!\.d)\.(?:ts|tsx|mts|cts)$",
    "COPY only what was built: the dist folder, not src",
)  # fmt: skip
"""Some programs run TypeScript as it is, so it counts only beside a folder with built files."""

PACKAGES = Rule(
    "dev dependency", "packages that only development needs", r"(?:.*/)?node_modules(?=/)",
    "npm ci --omit=dev (NODE_ENV=production), in the stage that ships or before COPY --from",
)  # fmt: skip

_ONE = re.compile("|".join(f"(?P<r{at}>{rule.pattern})" for at, rule in enumerate((*RULES, TYPESCRIPT))))


def rule_of(path: str) -> tuple[Rule, str] | None:
    """The rule that a file falls under, and the part of its path that the rule names."""
    found = _ONE.match(path)
    if found is None:
        return None
    assert found.lastgroup is not None
    return (*RULES, TYPESCRIPT)[int(found.lastgroup[1:])], found.group()

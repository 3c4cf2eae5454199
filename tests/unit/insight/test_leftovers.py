"""What need not ship: each kind is seen, and what only looks like it is not."""

from __future__ import annotations

import json
import re

import pytest

from jettison.insight.leftovers import LEAST, leftovers
from jettison.insight.packages import development_only, is_below, manifests
from jettison.insight.rules import PACKAGES, RULES, TYPESCRIPT, rule_of
from jettison.store.store import Store
from tests.unit.insight.images import file, link, measured


@pytest.mark.parametrize(
    ("path", "what", "named"),
    [
        ("var/lib/apt/lists/deb.debian.org_main_Packages", "apt's lists and packages", "var/lib/apt/lists"),
        ("var/cache/apt/archives/a.deb", "apt's lists and packages", "var/cache/apt"),
        ("var/cache/apk/APKINDEX.tar.gz", "apk's cache", "var/cache/apk"),
        ("var/cache/dnf/x.solv", "dnf's cache", "var/cache/dnf"),
        ("root/.cache/pip/http/a", "pip's cache", "root/.cache/pip"),
        ("home/me/.npm/_cacache/a", "npm's cache", "home/me/.npm/_cacache"),
        ("usr/local/share/.cache/yarn/v6/a", "yarn's or pnpm's cache", "usr/local/share/.cache/yarn"),
        ("go/pkg/mod/x/y.go", "Go's module and build cache", "go/pkg/mod"),
        ("root/.cache/go-build/00/a", "Go's module and build cache", "root/.cache/go-build"),
        ("usr/local/cargo/registry/a", "cargo's registry", "usr/local/cargo/registry"),
        ("root/.m2/repository/a.jar", "Maven's or Gradle's cache", "root/.m2/repository"),
        ("tmp/left", "temporary files", "tmp"),
        ("app/.git/objects/a", "a git repository", "app/.git"),
        ("usr/bin/gcc-12", "a compiler", "usr/bin/gcc-12"),
        ("usr/libexec/gcc/x86_64/12/cc1", "a compiler", "usr/libexec/gcc"),
        ("usr/local/go/pkg/tool/a", "a compiler", "usr/local/go/pkg"),
        ("usr/include/stdio.h", "headers", "usr/include"),
        ("app/libx.a", "static libraries and object files", "app/libx.a"),
        ("app/target/release/deps/x", "intermediate results of a build", "app/target/release/deps"),
        ("app/main.go", "source code of compiled languages", "app/main.go"),
        ("usr/lib/python3/site-packages/pytest/x.py", "tests' and linters' packages",
         "usr/lib/python3/site-packages/pytest"),
    ],
)  # fmt: skip
def test_what_is_seen(path: str, what: str, named: str) -> None:
    found = rule_of(path)
    assert found is not None
    assert (found[0].what, found[1]) == (what, named)


@pytest.mark.parametrize(
    "path",
    [
        "app/main.py", "app/server.js", "app/node_modules/x/binding.c", "app/vendor/x/y.go", "usr/bin/gccgo",
        "usr/lib/python3/site-packages/numpy/a.h", "app/types.d.ts", "usr/lib/gitweb/x", "app/tmp/x",
        "var/lib/apt/listsfile", "var/lib/dpkg/status", "lib/apk/db/installed", "usr/share/doc/x/example.c",
        "app/gcc", "root/.cache/ms-playwright/chrome", "app/.github/x", "usr/lib/libc.so",
    ],
)  # fmt: skip
def test_what_is_not(path: str) -> None:
    assert rule_of(path) is None


def test_every_rule_names_a_folder_or_a_file() -> None:
    for rule in (*RULES, TYPESCRIPT, PACKAGES):
        assert re.compile(rule.pattern).groups == 0, f"{rule.what}: groups must be (?:…)"
        assert rule.fix and rule.what


def test_typescript_counts_only_beside_what_was_built_of_it() -> None:
    source = [("app/src/server.ts", 0, LEAST)]
    assert leftovers(source) == ()
    assert leftovers([*source, ("app/node_modules/x/dist/x.js", 0, 9)]) == ()
    [found] = leftovers([*source, ("app/dist/server.js", 0, 9)])
    assert (found.rule, found.path) == (TYPESCRIPT, "app/src/server.ts")


def test_little_is_not_worth_a_word_and_much_is_told_once() -> None:
    assert leftovers([("tmp/a", 0, LEAST - 1)]) == ()
    files = [("app/a/x.c", 1, LEAST), ("app/b/y.c", 1, LEAST), ("app/c.o", 2, LEAST + 1)]
    first, second = leftovers(files)
    assert (first.path, first.layer, first.files, first.size) == ("app", 1, 2, 2 * LEAST)
    assert (second.path, second.layer) == ("app/c.o", 2)


def test_npms_own_list_says_what_is_for_development() -> None:
    lock = {"lockfileVersion": 3, "packages": {
        "node_modules/tsc": {"dev": True}, "node_modules/deep": {"dev": True}, "node_modules/kept": {},
    }}  # fmt: skip
    found = development_only({"app/": json.dumps(lock).encode()})
    assert found == {"app/node_modules/tsc", "app/node_modules/deep"}
    assert is_below("app/node_modules/tsc/node_modules/x/a.js", found)
    assert not is_below("app/node_modules/kept/node_modules/tsc2/a.js", found)
    assert not is_below("app/node_modules/tscx/a.js", found)


def test_package_json_says_it_where_there_is_no_list() -> None:
    package = {"dependencies": {"a": "1"}, "devDependencies": {"a": "1", "@types/node": "1"}}
    found = development_only({"": json.dumps(package).encode(), "x/": b"no json", "y/": b"[]"})
    assert found == {"node_modules/@types/node"}
    assert is_below("node_modules/@types/node/index.d.ts", found)


def test_npms_own_list_wins_over_package_json() -> None:
    paths = ["app/package.json", "app/node_modules/.package-lock.json", "app/node_modules/x/package.json"]
    assert manifests(paths) == {"app/": "app/node_modules/.package-lock.json"}


def test_only_what_the_build_added_and_nothing_later_removed(store: Store) -> None:
    package = json.dumps({"devDependencies": {"tsc": "1"}}).encode()
    layers = [
        ("base", [file("usr/include/stdio.h", 9000)]),
        ("COPY . /app", [file("app/node_modules/tsc/a.js", 9000), file("app/package.json", package)]),
        ("RUN make", [file("tmp/a", 8000), file("tmp/b", 5000), link("usr/b", "tmp/b")]),
    ]
    found = measured(store, layers, 1).leftovers
    assert [(item.rule.what, item.layer, item.size) for item in found] == [
        (PACKAGES.what, 1, 9000),
        ("temporary files", 2, 8000),
    ]

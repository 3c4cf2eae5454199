from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jettison.errors import UsageError
from jettison.oci.reference import Reference, parse

HEX = "0123456789abcdef" * 4
DIGEST = "sha256:" + HEX


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("index.docker.io/user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("docker.io/localhost/app", "docker.io/localhost/app:latest", "docker.io/localhost/app:latest"),
        ("docker.io/a.b/app", "docker.io/a.b/app:latest", "docker.io/a.b/app:latest"),
        ("[::1]:5000/a/b", "[::1]:5000/a/b:latest", "[::1]:5000/a/b:latest"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
        (f"app:v1@{DIGEST}", f"docker.io/library/app:v1@{DIGEST}", f"app:v1@{DIGEST}"),
        ("a--b__c.d_e", "docker.io/library/a--b__c.d_e:latest", "a--b__c.d_e:latest"),
        ("library/" + HEX, f"docker.io/library/{HEX}:latest", f"library/{HEX}:latest"),
    ],
)
def test_forms(text: str, full: str, familiar: str) -> None:
    reference = parse(text)
    assert str(reference) == full
    assert reference.familiar() == familiar


@pytest.mark.parametrize(
    "text",
    [
        "", "Busy*Box", "BusyBox", "a b", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b", "a._b", ":tag",
        "a:", "a:.tag", "a:" + "t" * 129, "a@", "a@sha256:12", f"a@md5:{HEX}", HEX, "a" * 256, "host.:80/a",
        "-h.io/a", "host:port/a", "a:1:2", "é", "a\n", "a:b\n", "docker.io/", "https://host/a", "x/Y",
    ],
)  # fmt: skip
def test_invalid(text: str) -> None:
    with pytest.raises(UsageError, match="invalid reference format"):
        parse(text)


def test_capitals_are_explained() -> None:
    with pytest.raises(UsageError) as caught:
        parse("BusyBox")
    assert "lower case" in (caught.value.hint or "")


_part = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
_registry = st.from_regex(
    r"([a-zA-Z0-9]{1,5}\.[a-z]{2,3}|localhost|\[[0-9a-f]{0,3}:[0-9a-f:]{1,8}\]|[a-z]{1,4}:[0-9]{1,5})",
    fullmatch=True,
)


@given(
    st.one_of(st.just("docker.io"), _registry),
    st.lists(_part, min_size=1, max_size=3),
    st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)),
    st.sampled_from(["", DIGEST, "sha512:" + HEX * 2]),
)
def test_round_trip(registry: str, parts: list[str], tag: str, digest: str) -> None:
    text = "/".join([registry, *parts])
    text += (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    reference = parse(text)
    assert parse(str(reference)) == reference
    assert parse(reference.familiar()) == reference
    assert len(reference.familiar()) <= len(str(reference))


def test_with_digest_keeps_the_tag() -> None:
    assert str(parse("a:v1").with_digest(DIGEST)) == f"docker.io/library/a:v1@{DIGEST}"
    assert Reference("h.io", "a", "v1", DIGEST).selector == DIGEST

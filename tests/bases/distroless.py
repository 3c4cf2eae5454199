"""Images without a shell: accounts and certificates, and a Java runtime."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import re
import shutil
import struct

from tests.bases.layout import EPOCH, entries
from tests.bases.packages import SBIN_PATH
from tests.bases.recipe import (
    CA_BUNDLE,
    LIB,
    accounts,
    drop_docs,
    host_ca_bundle,
    plain_tree,
    recipe,
    symlink,
    write,
    zone_files,
)


@recipe("distroless/static:latest", says="accounts, time zones and the host's CA bundle")
def distroless_static(root, packages):
    plain_tree(root, "bin boot dev etc home/nonroot lib proc root run sbin sys usr var/lib var/log var/tmp")
    accounts(root, "/sbin/nologin", {"nonroot": (65532, "/home/nonroot")}.items())
    (root / "var/tmp").chmod(0o1777)
    (root / "home/nonroot").chmod(0o700)
    os.chown(root / "home/nonroot", 65532, 65532)
    write(
        root / "etc/os-release", 'PRETTY_NAME="Stand-in for Distroless"\nNAME="Debian GNU/Linux"\nID=debian\n'
    )
    host_ca_bundle(root)
    zone_files(root, packages)
    return {"Env": [SBIN_PATH, f"SSL_CERT_FILE={CA_BUNDLE}"], "User": "0", "WorkingDir": "/"}


@recipe("distroless/static:nonroot", parent="distroless/static:latest", says="as latest, for user nonroot")
def distroless_nonroot(root, packages):
    return {"User": "65532", "WorkingDir": "/home/nonroot"}


def java_trust_store():
    """The host's CA bundle as the key store file that Java reads (JKS, its usual password)."""
    certificates = [
        base64.b64decode("".join(body.split()))
        for body in re.findall(
            "-----BEGIN CERTIFICATE-----(.*?)-----END", pathlib.Path(CA_BUNDLE).read_text(), re.S
        )
    ]
    data = struct.pack(">III", 0xFEEDFEED, 2, len(certificates))
    for number, certificate in enumerate(certificates):
        alias, kind = f"ca{number}".encode(), b"X.509"
        data += struct.pack(">IH", 2, len(alias)) + alias + struct.pack(">QH", EPOCH * 1000, len(kind)) + kind
        data += struct.pack(">I", len(certificate)) + certificate
    password = "changeit".encode("utf-16-be")
    return data + hashlib.sha1(password + b"Mighty Aphrodite" + data).digest()


@recipe(
    "distroless/java:11",
    "distroless/java17:latest",
    parent="distroless/static:latest",
    says="Debian's Java runtime and the libraries it loads, no shell",
)
def distroless_java(root, packages):
    packages.extract_debs(
        root,
        packages.known(*(f"openjdk-{n}-jre-headless" for n in (17, 21, 25))),
        packages.known("libjpeg62-turbo", "libjpeg-turbo8"),
        packages.known("libpng16-16", "libpng16-16t64"),
        packages.known("libglib2.0-0", "libglib2.0-0t64"),
        "libc6",
        "libgcc-s1",
        "libstdc++6",
        "zlib1g",
        "liblcms2-2",
        "libfontconfig1",
        "libfreetype6",
        "libharfbuzz0b",
        "libbrotli1",
        "libexpat1",
        "libuuid1",
        "libgraphite2-3",
        "libpcre2-8-0",
    )
    drop_docs(root)
    for extra in (f"usr/lib/{LIB}/gconv", "usr/share/binfmts", "usr/share/apport"):
        shutil.rmtree(root / extra, ignore_errors=True)
    jvm = next((root / "usr/lib/jvm").glob("java-*-openjdk-amd64")).relative_to(root)
    store = root / "etc/ssl/certs/java/cacerts"
    store.parent.mkdir(parents=True)
    store.write_bytes(java_trust_store())
    symlink(root / "usr/bin/java", f"/{jvm}/bin/java")
    version = re.search(r'JAVA_VERSION="(.*)"', (root / jvm / "release").read_text()).group(1)
    shells = [p for p, _ in entries(root) if re.search(r"(^|/)s?bin/(ba|da|a)?sh$", p)]
    if shells:
        raise SystemExit(f"bases: a distroless image must have no shell, but has {shells}")
    return {
        "Env": [SBIN_PATH, f"SSL_CERT_FILE={CA_BUNDLE}", f"JAVA_VERSION={version}", "LANG=C.UTF-8"],
        "Entrypoint": ["/usr/bin/java", "-jar"],
    }

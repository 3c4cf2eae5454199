"""Debian itself and the images that are Debian plus a few of its packages."""

from __future__ import annotations

import pathlib
import re
import shutil
import tempfile

from tests.bases.packages import SBIN_PATH, apt_install, host_sources, host_suite, in_root, tidy_debian
from tests.bases.process import run
from tests.bases.recipe import CA_BUNDLE, host_ca_bundle, recipe, symlink, write


@recipe(
    "debian:bookworm-slim",
    "debian:bookworm",
    "debian:latest",
    says="the release of the machine that made it, minimal, without manuals",
)
def debian(root, packages):
    packages.need("mmdebstrap")
    drop = ("man/*", "locale/*", "info/*", "lintian/*", "doc/*")
    with tempfile.TemporaryDirectory(dir=packages.work) as folder:
        suite = host_suite()
        sources = host_sources(suite, pathlib.Path(folder))
        run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            *(f"--dpkgopt=path-exclude=/usr/share/{d}" for d in drop),
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            suite,
            root,
            *sources,
        )
    tidy_debian(root)
    host_ca_bundle(root)
    # installing ca-certificates writes the bundle anew, and takes what lies here along
    (root / "usr/local/share/ca-certificates").mkdir()
    shutil.copyfile(CA_BUNDLE, root / "usr/local/share/ca-certificates/host-bundle.crt")
    write(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    write(
        root / "etc/apt/apt.conf.d/docker-clean",
        """
        DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
        APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
        Dir::Cache::pkgcache "";
        Dir::Cache::srcpkgcache "";
        Acquire::Languages "none";
    """,
    )
    return {"Env": [SBIN_PATH], "Cmd": ["bash"]}


@recipe(
    "ubuntu:22.04", "ubuntu:latest", parent="debian:bookworm-slim", says="the debian stand-in, not Ubuntu"
)
def ubuntu(root, packages):
    return {"Cmd": ["/bin/bash"]}


@recipe(
    "eclipse-temurin:17",
    "eclipse-temurin:17-jdk",
    parent="debian:bookworm-slim",
    says="Debian with Debian's Java compiler and runtime, without jmods",
)
def temurin(root, packages):
    (root / "usr/share/man/man1").mkdir(
        parents=True
    )  # its alternatives link manuals, which this image leaves out
    apt_install(root, packages, packages.known(*(f"openjdk-{n}-jdk-headless" for n in (17, 21, 25))))
    home = "/" + str(next((root / "usr/lib/jvm").glob("java-*-openjdk-amd64")).relative_to(root))
    shutil.rmtree(root / home[1:] / "jmods", ignore_errors=True)
    symlink(root / "opt/java/openjdk", home)
    version = re.search(r'JAVA_VERSION="(.*)"', (root / home[1:] / "release").read_text()).group(1)
    return {
        "Env": [
            "JAVA_HOME=/opt/java/openjdk",
            SBIN_PATH.replace("=", "=/opt/java/openjdk/bin:"),
            "LANG=C.UTF-8",
            f"JAVA_VERSION=jdk-{version}",
        ],
        "Cmd": ["jshell"],
    }


@recipe(
    "gcc:12", "gcc:latest", parent="debian:bookworm-slim", says="Debian with Debian's gcc (C only) and make"
)
def gcc(root, packages):
    apt_install(root, packages, "gcc", "make", "libc6-dev")
    version = in_root(root, packages, "gcc -dumpfullversion").strip()
    return {"Env": [SBIN_PATH, f"GCC_VERSION={version}"], "Cmd": ["bash"]}


@recipe(
    "nginx:latest",
    "nginx:alpine",
    parent="debian:bookworm-slim",
    says="Debian with Debian's nginx, laid out as the official image (alpine too: no apk)",
)
def nginx(root, packages):
    with open(root / "etc/passwd", "a") as passwd, open(root / "etc/group", "a") as group:
        passwd.write("nginx:x:101:101:nginx user:/nonexistent:/bin/false\n")
        group.write("nginx:x:101:\n")
    apt_install(root, packages, "nginx")
    conf = root / "etc/nginx"
    for extra in ("sites-enabled", "sites-available", "snippets", "modules-enabled", "modules-available"):
        shutil.rmtree(conf / extra, ignore_errors=True)
    write(
        conf / "nginx.conf",
        """
        user  nginx;
        worker_processes  auto;
        error_log  /var/log/nginx/error.log notice;
        pid        /var/run/nginx.pid;

        events {
            worker_connections  1024;
        }

        http {
            include       /etc/nginx/mime.types;
            default_type  application/octet-stream;
            access_log  /var/log/nginx/access.log  combined;
            sendfile        on;
            keepalive_timeout  65;
            include /etc/nginx/conf.d/*.conf;
        }
    """,
    )
    write(
        conf / "conf.d/default.conf",
        """
        server {
            listen       80;
            server_name  localhost;

            location / {
                root   /usr/share/nginx/html;
                index  index.html index.htm;
            }
        }
    """,
    )
    shutil.rmtree(root / "var/www", ignore_errors=True)
    (root / "var/log/nginx").mkdir(exist_ok=True)
    symlink(root / "var/log/nginx/access.log", "/dev/stdout")
    symlink(root / "var/log/nginx/error.log", "/dev/stderr")
    (root / "docker-entrypoint.d").mkdir()
    write(
        root / "docker-entrypoint.sh",
        """
        #!/bin/sh
        set -e
        for script in /docker-entrypoint.d/*.sh; do
            [ ! -x "$script" ] || "$script"
        done
        exec "$@"
    """,
        0o755,
    )
    version = re.search(r"nginx/(\S+)", in_root(root, packages, "nginx -v 2>&1")).group(1)
    return {
        "Env": [SBIN_PATH, f"NGINX_VERSION={version}"],
        "Entrypoint": ["/docker-entrypoint.sh"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGQUIT",
    }

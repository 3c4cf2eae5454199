"""The rules that only jettison has: good practice with several stages."""

from __future__ import annotations

from jettison.lint.table import Rule

RULES = (
    Rule(
        "StageUnnamed",
        "every stage but the last has a name",
        """\
A stage without a name can only be named by its number, which changes when a stage is added. The
name also is what progress, `--target` and error messages show.""",
        """\
FROM golang:1.22
RUN go build -o /server .

FROM scratch
COPY --from=0 /server /
""",
        """\
FROM golang:1.22 AS build
RUN go build -o /server .

FROM scratch
COPY --from=build /server /
""",
        own=True,
    ),
    Rule(
        "CopyFromNumber",
        "--from names a stage, not its number",
        """\
When a stage is added, removed or moved, a number silently means another one. `--fix` puts the
name in its place where the stage has one.""",
        """\
FROM golang:1.22 AS build
RUN go build -o /server .

FROM scratch
COPY --from=0 /server /
""",
        """\
FROM golang:1.22 AS build
RUN go build -o /server .

FROM scratch
COPY --from=build /server /
""",
        fixable=True,
        own=True,
    ),
    Rule(
        "InstallAfterCopy",
        "dependencies are installed before everything is copied",
        """\
A RUN runs again when a file above it has changed. If the list of dependencies is copied and
installed first, a change of the sources leaves the installation in the cache.""",
        """\
FROM node:20.11 AS build
WORKDIR /app
COPY . .
RUN npm ci
RUN npm run build

FROM nginx:1.27
COPY --from=build /app/dist /usr/share/nginx/html
""",
        """\
FROM node:20.11 AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build

FROM nginx:1.27
COPY --from=build /app/dist /usr/share/nginx/html
""",
        own=True,
        ignore="node_modules\n",
    ),
    Rule(
        "BuildToolsShipped",
        "compilers and development dependencies stay out of the image",
        """\
Whatever only the build needs makes the image larger and gives an attacker tools. Build in one
stage and copy the result into another. The rule speaks only of stages that end up in the image:
the target and its bases.""",
        """\
FROM python:3.12-slim
RUN apt-get update && apt-get install -y gcc libpq-dev && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir psycopg2
""",
        """\
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y gcc libpq-dev
RUN pip wheel --wheel-dir /wheels psycopg2

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels pip install --no-cache-dir /wheels/*.whl
""",
        own=True,
    ),
    Rule(
        "DockerignoreMissing",
        "a large build context has a .dockerignore file",
        """\
Without one, `COPY . .` takes `.git`, caches and local results into the image, and any change of
them makes the steps below run again. The rule speaks of more than 50 MB or 2,000 files.""",
        """\
FROM nginx:1.27
COPY . /usr/share/nginx/html
""",
        """\
FROM nginx:1.27
COPY . /usr/share/nginx/html
""",
        own=True,
        mended_ignore=".git\nnode_modules\n",
    ),
    Rule(
        "BaseUnpinned",
        "images are named with a version",
        """\
Without a tag, and with `latest`, a build takes what is newest on its day; the same Dockerfile
fails tomorrow or gives another image. A digest is better still than a tag.""",
        """\
FROM alpine
RUN adduser -D app
""",
        """\
FROM alpine:3.20
RUN adduser -D app
""",
        own=True,
    ),
    Rule(
        "BuildFolderCopied",
        "only the result is copied from a build stage",
        """\
Copying all of the folder that was built in brings sources and intermediate files into the
image; so does a change of any of them make the layer new. Name the program, or the folder of
results.""",
        """\
FROM golang:1.22 AS build
WORKDIR /src
COPY *.go ./
RUN go build -o server .

FROM alpine:3.20
COPY --from=build /src /app
""",
        """\
FROM golang:1.22 AS build
WORKDIR /src
COPY *.go ./
RUN go build -o server .

FROM alpine:3.20
COPY --from=build /src/server /app/
""",
        own=True,
    ),
    Rule(
        "StageUnused",
        "every stage is needed, or says what it is for",
        """\
A stage that nothing needs is skipped, and nobody notices when it stops working. One that is
meant for `--target` has a comment right above it that begins with its name; `--call targets`
shows it.""",
        """\
FROM alpine:3.20 AS tester
RUN run-tests

FROM alpine:3.20
COPY app /app
""",
        """\
# tester runs all tests
FROM alpine:3.20 AS tester
RUN run-tests

FROM alpine:3.20
COPY app /app
""",
        severity="note",
        own=True,
    ),
    Rule(
        "ArgUnconsumed",
        "arguments are used where they are given",
        """\
A `--build-arg` that no ARG declares does nothing, and neither does an ARG above the first FROM
that no FROM uses and no stage declares again. Often the name is misspelt.""",
        """\
ARG VERSOIN=1.2
FROM alpine:3.20
ARG VERSION
RUN fetch $VERSION
""",
        """\
ARG VERSION=1.2
FROM alpine:3.20
ARG VERSION
RUN fetch $VERSION
""",
        own=True,
    ),
    Rule(
        "PackageCacheLeft",
        "package managers leave no caches in the image",
        """\
Indexes and downloads that a package manager keeps stay in the layer, even when a later RUN
removes them. Remove them in the same RUN, or mount a cache there, which makes the next build
faster as well. The rule speaks only of stages that end up in the image.""",
        """\
FROM debian:12
RUN apt-get update && apt-get install -y curl
""",
        """\
FROM debian:12
RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*
""",
        own=True,
    ),
    Rule(
        "OwnershipLayer",
        "owner and mode are set by COPY, not by a later RUN",
        """\
A layer holds whole files: `chown` or `chmod` of what an earlier COPY brought stores all of it
again. The rule speaks only of stages that end up in the image.""",
        """\
FROM alpine:3.20
COPY data /data
RUN chown -R 1000:1000 /data
""",
        """\
FROM alpine:3.20
COPY --chown=1000:1000 data /data
""",
        own=True,
    ),
    Rule(
        "RootUser",
        "the image does not run as root",
        """\
Root in a container is root on the machine as soon as something goes wrong around it. The rule
speaks of the target, if it says what to run; of a base image that is not known, it assumes
root.""",
        """\
FROM alpine:3.20
COPY server /
CMD ["/server"]
""",
        """\
FROM alpine:3.20
COPY server /
USER 1000:1000
CMD ["/server"]
""",
        own=True,
    ),
    Rule(
        "SecretValue",
        "no value looks like a secret or is used as one",
        """\
A secret shows by its form (a token, a private key, an address with a password) or by its use: a
command sends it as a password. ARG and ENV keep it in the image or its history, whatever its
name.""",
        """\
FROM alpine:3.20
ARG LOGIN
RUN wget --header "Authorization: Bearer $LOGIN" example.com/data
""",
        """\
FROM alpine:3.20
RUN --mount=type=secret,id=login,env=LOGIN wget --header "Authorization: Bearer $LOGIN" example.com/data
""",
        own=True,
    ),
)

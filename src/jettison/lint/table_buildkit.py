"""The rules that BuildKit has too, under its names. What they find, and on which lines, is what it finds."""

from __future__ import annotations

from jettison.lint.table import Rule

RULES = (
    Rule(
        "StageNameCasing",
        "names of stages are in lower case",
        """\
Stage names are compared without regard to case, so capitals in them only make two spellings of
one name. In lower case they also differ at sight from instructions.""",
        """\
FROM alpine:3.20 AS Builder
RUN make

FROM scratch
COPY --from=builder /app /app
""",
        """\
FROM alpine:3.20 AS builder
RUN make

FROM scratch
COPY --from=builder /app /app
""",
        fixable=True,
    ),
    Rule(
        "FromAsCasing",
        "FROM and its AS are written in the same case",
        """\
`FROM image as name` mixes two styles in one line. The rule says nothing where FROM itself is of
mixed case: ConsistentInstructionCasing does.""",
        """\
FROM alpine:3.20 as builder
RUN make
""",
        """\
FROM alpine:3.20 AS builder
RUN make
""",
        fixable=True,
    ),
    Rule(
        "NoEmptyContinuation",
        "no empty line interrupts a continued instruction",
        """\
An empty line after a `\\` is skipped today; it reads as if the instruction ended there, and
Docker has announced that it will become an error. A comment may stand there.""",
        """\
FROM alpine:3.20
RUN echo one && \\

    echo two
""",
        """\
FROM alpine:3.20
RUN echo one && \\
    echo two
""",
        fixable=True,
    ),
    Rule(
        "ConsistentInstructionCasing",
        "all instructions are written in the same case",
        """\
Instructions may be written in any case. One case throughout, usually capitals, lets them stand
out from their arguments. The case that most instructions have is taken for the file's.""",
        """\
FROM alpine:3.20
RUN make
copy app /app
""",
        """\
FROM alpine:3.20
RUN make
COPY app /app
""",
        fixable=True,
    ),
    Rule(
        "DuplicateStageName",
        "every stage has a name of its own",
        """\
Of two stages with one name, `COPY --from` and `FROM` mean the nearest one above, and `--target`
the last one. Whoever moves a stage changes what is built.""",
        """\
FROM alpine:3.20 AS builder
RUN make

FROM alpine:3.20 AS builder
RUN make test
""",
        """\
FROM alpine:3.20 AS builder
RUN make

FROM alpine:3.20 AS tester
RUN make test
""",
    ),
    Rule(
        "ReservedStageName",
        "no stage is called scratch or context",
        """\
`scratch` is the empty base, and `context` the build context. A stage of that name cannot be
told from them.""",
        """\
FROM alpine:3.20 AS scratch
RUN make
""",
        """\
FROM alpine:3.20 AS builder
RUN make
""",
    ),
    Rule(
        "JSONArgsRecommended",
        "CMD and ENTRYPOINT are JSON lists",
        """\
In shell form the process is a child of `/bin/sh -c`, which does not pass on SIGTERM: `docker
stop` then waits ten seconds and kills. A shell that a SHELL instruction names is taken to be
wanted.""",
        """\
FROM alpine:3.20
CMD my-server --port 80
""",
        """\
FROM alpine:3.20
CMD ["my-server", "--port", "80"]
""",
    ),
    Rule(
        "MaintainerDeprecated",
        "a label names the author, not MAINTAINER",
        """\
MAINTAINER has been deprecated for years. The label is found by every tool that reads labels.""",
        """\
FROM alpine:3.20
MAINTAINER Ada <ada@example.com>
""",
        """\
FROM alpine:3.20
LABEL org.opencontainers.image.authors="Ada <ada@example.com>"
""",
    ),
    Rule(
        "UndefinedArgInFrom",
        "arguments in FROM are declared before the first FROM",
        """\
FROM sees only the ARGs above the first FROM, and the automatic platform arguments. Anything
else is an empty text: often a misspelt name.""",
        """\
ARG VERSION=3.20
FROM alpine:3.20${VERSOIN}
""",
        """\
ARG VERSION=3.20
FROM alpine:${VERSION}
""",
    ),
    Rule(
        "UndefinedVar",
        "variables are defined before they are used",
        """\
A variable that neither ARG, ENV nor the base image defines is an empty text. An ARG above the
first FROM has no value in a stage until the stage names it again. Where the base image is not
known without asking a registry, only names that resemble a defined one are reported.""",
        """\
ARG VERSION=1
FROM alpine:3.20
LABEL version=$VERSION
""",
        """\
ARG VERSION=1
FROM alpine:3.20
ARG VERSION
LABEL version=$VERSION
""",
    ),
    Rule(
        "MultipleInstructionsDisallowed",
        "one CMD, ENTRYPOINT and HEALTHCHECK for each stage",
        """\
Only the last one of a stage counts. An earlier one misleads whoever reads it.""",
        """\
FROM alpine:3.20
CMD ["one"]
CMD ["two"]
""",
        """\
FROM alpine:3.20
CMD ["two"]
""",
    ),
    Rule(
        "WorkdirRelativePath",
        "the first WORKDIR of a stage is absolute",
        """\
A relative WORKDIR goes on from the base image's, which may be another one in its next version.
After an absolute one in the same file, relative ones are fine.""",
        """\
FROM alpine:3.20
WORKDIR app
""",
        """\
FROM alpine:3.20
WORKDIR /app
""",
    ),
    Rule(
        "SecretsUsedInArgOrEnv",
        "names in ARG and ENV do not look like secrets",
        """\
Values of ENV are in the image's configuration, values of ARG in its history: everyone who can
pull the image can read them. `RUN --mount=type=secret` shows a secret to one command only.""",
        """\
FROM alpine:3.20
ARG API_TOKEN
RUN fetch-data
""",
        """\
FROM alpine:3.20
RUN --mount=type=secret,id=token,env=API_TOKEN fetch-data
""",
    ),
    Rule(
        "InvalidDefaultArgInFrom",
        "FROM names an image even without build arguments",
        """\
When an argument in FROM has no default, a build without --build-arg fails with a confusing
message. A default also says what a usual value looks like.""",
        """\
ARG VERSION
FROM alpine:${VERSION}
""",
        """\
ARG VERSION=3.20
FROM alpine:${VERSION}
""",
    ),
    Rule(
        "FromPlatformFlagConstDisallowed",
        "FROM --platform is no constant",
        """\
A stage with a constant platform is built for it whatever --platform asks for, and the image
then holds programs that do not run. A stage whose name holds the platform is taken to be meant
so.""",
        """\
FROM --platform=linux/amd64 alpine:3.20 AS builder
RUN make
""",
        """\
FROM --platform=$BUILDPLATFORM alpine:3.20 AS builder
RUN make
""",
    ),
    Rule(
        "CopyIgnoredFile",
        "COPY and ADD do not name what the ignore file leaves out",
        """\
A path that .dockerignore leaves out is not in the build context: the build fails, or copies
less than the line says.""",
        """\
FROM scratch
COPY dist/app.js /
""",
        """\
FROM scratch
COPY src/app.js /
""",
        ignore="dist\n",
    ),
    Rule(
        "LegacyKeyValueFormat",
        "ENV and LABEL are written with an equals sign",
        """\
`ENV NAME value` takes the whole rest of the line as the value; a second variable in the same
line silently becomes part of the first one.""",
        """\
FROM alpine:3.20
ENV MODE fast
""",
        """\
FROM alpine:3.20
ENV MODE=fast
""",
        fixable=True,
    ),
    Rule(
        "RedundantTargetPlatform",
        "FROM --platform is not $TARGETPLATFORM",
        """\
That is the default. What is written although it changes nothing makes the reader look for a
reason.""",
        """\
FROM --platform=$TARGETPLATFORM alpine:3.20
RUN make
""",
        """\
FROM alpine:3.20
RUN make
""",
        fixable=True,
    ),
    Rule(
        "ExposeProtoCasing",
        "protocols in EXPOSE are in lower case",
        """\
The image configuration has them in lower case, whatever the Dockerfile says.""",
        """\
FROM alpine:3.20
EXPOSE 53/UDP
""",
        """\
FROM alpine:3.20
EXPOSE 53/udp
""",
        fixable=True,
    ),
    Rule(
        "ExposeInvalidFormat",
        "EXPOSE names ports of the container only",
        """\
An address and a host port are for `docker run -p`. In EXPOSE they are ignored.""",
        """\
FROM alpine:3.20
EXPOSE 127.0.0.1:8080:80
""",
        """\
FROM alpine:3.20
EXPOSE 80
""",
    ),
    Rule(
        "InvalidBaseImagePlatform",
        "the base image is for the platform that is built for",
        """\
A base image for another architecture gives an image whose programs do not run there. The rule
speaks only of images that are known without asking a registry.""",
        """\
FROM example/only-for-arm64:1
RUN make
""",
        """\
FROM example/for-all:1
RUN make
""",
    ),
    Rule(
        "InvalidDefinitionDescription",
        "a comment right above FROM or ARG begins with the name",
        """\
`# NAME text` right above a stage or an argument is its description, which `--call targets` and
`--call outline` show. Other comments are kept apart by an empty line. The rule is experimental:
`# check=experimental=InvalidDefinitionDescription` turns it on.""",
        """\
# check=experimental=InvalidDefinitionDescription

# the version of the tool
ARG VERSION=1
FROM alpine:3.20
ARG VERSION
""",
        """\
# check=experimental=InvalidDefinitionDescription

# VERSION is the version of the tool
ARG VERSION=1
FROM alpine:3.20
ARG VERSION
""",
        experimental=True,
    ),
)
"""In BuildKit's order."""

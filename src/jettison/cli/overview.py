"""The text of `jettison --help`, and the answer to a command that is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jettison.errors import UsageError

EXAMPLES = (
    ("Build the image of this folder's Dockerfile", "jettison build -t shop/web ."),
    ("Try it: the server listens on this machine's port", "jettison run shop/web"),
    ("Write it to a file that every container tool reads", "jettison save -o web.tar shop/web"),
    ("Build and push", "jettison build -t registry.example/shop/web:1 --push ."),
    ("See what a build would need to know", "jettison help build"),
)

VARIABLES = (
    ("JETTISON_ROOT", "folder of the local store, as --root"),
    ("JETTISON_CONFIG", "configuration file, as --config"),
    ("JETTISON_RUNTIME", "OCI runtime, as --runtime"),
    ("JETTISON_PROGRESS", "how builds show progress, as --progress"),
    ("JETTISON_REGISTRY_MIRRORS", "mirrors, as REGISTRY=ADDRESS[,REGISTRY=ADDRESS…]"),
    ("JETTISON_DEBUG", "1: show the traceback of an internal error"),
    ("JETTISON_READ_TIMEOUT", "seconds that a server may be silent (60)"),
    ("JETTISON_CACHE_MAX", "most that the store may take on the disk, as --cache-max"),
    ("SSL_CERT_FILE", "certificates to trust, as one PEM file"),
    ("NO_COLOR", "set: no colours"),
)


def overview(commands: Mapping[str, str]) -> str:
    """The help text of the whole command."""
    lines = [
        "Usage: jettison COMMAND [OPTIONS] [ARGUMENTS]",
        "",
        "Builds container images from multistage Dockerfiles, without a daemon.",
        "",
        "Commands:",
        *(f"  {name:10} {summary}" for name, summary in commands.items()),
        "",
        "Examples:",
    ]
    for what, line in EXAMPLES:
        lines += [f"  # {what}", f"  {line}", ""]
    lines.append("Variables:")
    lines += [f"  {name:26} {what}" for name, what in VARIABLES]
    lines += ["", "jettison COMMAND --help says more about a command; jettison --version shows the version."]
    return "\n".join(lines) + "\n"


def unknown(word: str, commands: Iterable[str]) -> UsageError:
    """The error for a word that is no command, with the nearest that is."""
    from difflib import get_close_matches

    if word.startswith("-"):
        return UsageError(
            f"unknown option {word}", hint=f"options stand behind the command: jettison build {word} …"
        )
    near = get_close_matches(word, list(commands), 1, 0.5)
    hint = f"did you mean jettison {near[0]}?" if near else "jettison --help lists the commands"
    return UsageError(f"jettison has no command {word!r}", hint=hint)

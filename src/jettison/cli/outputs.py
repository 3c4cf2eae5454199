"""The values of `--output` and `--secret`: fields separated by commas, quoted as in CSV."""

from __future__ import annotations

from collections.abc import Mapping

from jettison.errors import UsageError
from jettison.request import Artifact, Output, Secret

TYPES = ("image", "oci", "docker", "tar", "local", "registry")


def fields(text: str, what: str) -> list[str]:
    """Split one CSV record (RFC 4180): a field may stand in double quotes, `""` in it is one quote."""
    out: list[str] = []
    at = 0
    while True:
        if text.startswith('"', at):
            value = ""
            while True:
                end = text.find('"', at + 1)
                if end < 0:
                    raise UsageError(f"{what} {text!r}: a quote is not closed")
                value += text[at + 1 : end]
                at = end + 1
                if not text.startswith('"', at):
                    break
                value += '"'
            if at < len(text) and text[at] != ",":
                raise UsageError(f"{what} {text!r}: a comma is missing behind a quoted field")
        else:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
            value = text[at:end]
            if '"' in value:
                raise UsageError(
                    f"{what} {text!r}: a quote inside a field", hint='quote the whole field: "dest=a,b"'
                )
            at = end
        out.append(value)
        if at >= len(text):
            return out
        at += 1


def parse_output(text: str) -> Output:
    """Read `DIR`, `-` or `type=TYPE[,dest=PATH][,KEY=VALUE…]`. Raises UsageError."""
    parts = fields(text, "--output")
    if parts == [text] and not text.startswith("type="):
        if not text:
            raise UsageError("--output has no value", hint="a folder, or type=oci,dest=image.tar")
        return Output("tar", "-") if text == "-" else Output("local", text)
    kind = dest = ""
    attributes: list[tuple[str, str]] = []
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"--output {text!r}: {part!r} is not KEY=VALUE")
        key = key.strip().lower()
        if key == "type":
            kind = value
        elif key in ("dest", "destination", "output"):
            dest = value
        else:
            attributes.append((key, value))
    if kind not in TYPES:
        from difflib import get_close_matches

        near = get_close_matches(kind, TYPES, 1)
        hint = f"did you mean {near[0]}?" if near else "types: " + ", ".join(TYPES)
        raise UsageError(
            f"--output {text!r}: " + (f"unknown type {kind!r}" if kind else "no type"), hint=hint
        )
    if kind == "local" and not dest:
        raise UsageError(f"--output {text!r}: type=local needs dest=FOLDER")
    if kind in ("oci", "tar") and not dest:
        dest = "-"
    return Output(kind, dest, tuple(attributes))


def parse_artifact(text: str) -> Artifact:
    """Read `STAGE:/PATH=DIR`. Raises UsageError."""
    source, _, dest = text.partition("=")
    stage, _, path = source.partition(":")
    if not stage or not path or not dest:
        raise UsageError(
            f"--artifact {text!r} is not of the form STAGE:/PATH=DIR",
            hint="for example --artifact tester:/src/reports=reports",
        )
    if not path.startswith("/"):
        raise UsageError(
            f"--artifact {text!r}: {path!r} does not begin with /", hint="a path counts from the stage's root"
        )
    return Artifact(stage, path, dest)


def parse_secret(text: str, environment: Mapping[str, str]) -> Secret:
    """Read `id=ID[,src=FILE|,env=NAME][,type=file|env][,key=content]`. Raises UsageError.

    With an id alone the secret is the variable of that name, or else the file.
    """
    got: dict[str, str] = {}
    for part in fields(text, "--secret"):
        key, equals, value = part.partition("=")
        key = {"source": "src"}.get(key.strip().lower(), key.strip().lower())
        if not equals or key not in ("id", "src", "env", "type", "key"):
            raise UsageError(
                f"--secret {text!r}: {part!r} is not understood", hint="--secret id=token,src=token.txt"
            )
        got[key] = value
    name, kind = got.get("id", ""), got.get("type", "")
    if not name:
        raise UsageError(f"--secret {text!r} has no id", hint="--secret id=token,src=token.txt")
    if kind not in ("", "file", "env"):
        raise UsageError(f"--secret {text!r}: type is file or env, not {kind!r}")
    key = got.get("key", "")
    if key not in ("", "content"):
        raise UsageError(
            f"--secret {text!r}: key is content, not {key!r}",
            hint="key=content: another value makes the steps that mount the secret run again",
        )
    src, env = got.get("src", ""), got.get("env", "")
    if kind == "env" and src and not env:
        src, env = "", src
    if src and env:
        raise UsageError(f"--secret {text!r} has both src and env", hint="one of them is enough")
    if not src and not env:
        from_env = kind == "env" or (not kind and name in environment)
        src, env = ("", name) if from_env else (name, "")
    return Secret(name, src, env, key)

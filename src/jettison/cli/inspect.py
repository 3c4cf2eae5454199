"""`jettison inspect`: all about images, as JSON in docker's shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jettison.cli.local import STORE_OPTIONS, familiar, need, opened
from jettison.cli.options import Command, Option, parse
from jettison.errors import UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.oci.reference import Reference
    from jettison.store.images import ImageRecord
    from jettison.store.store import Store

COMMAND = Command(
    "inspect",
    "[OPTIONS] IMAGE...",
    "show all about images, as JSON",
    """
Shows images as a JSON array. --format takes a path as docker's templates write it,
or {{json PATH}}.
""",
    (
        Option(("--format", "-f"), "only one value: {{.Config.User}} or {{json .Config}}", "FORMAT"),
        *STORE_OPTIONS,
        Option(("--type",), metavar="TYPE"),
        Option(("--size", "-s")),
    ),
    (
        ("Everything", "jettison inspect shop/web"),
        ("The command that it runs", "jettison inspect -f '{{json .Config.Cmd}}' shop/web"),
    ),
    least=1,
)


def run(console: Console, argv: list[str]) -> int:
    """Show what is known of each image."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    with opened(console, parsed) as local:
        documents = [document(local.store, need(local.store, name)) for name in parsed.arguments]
    form = parsed.last("format", "json")
    if form == "json":
        console.stdout.write(json.dumps(documents, indent=4, ensure_ascii=False) + "\n")
    else:
        for item in documents:
            console.stdout.write(picked(item, form) + "\n")
    return 0


def document(store: Store, record: ImageRecord) -> dict[str, Any]:
    """One image as `docker image inspect` shows it; Size counts the compressed layers."""
    from jettison.exporters.image import read_image
    from jettison.oci.reference import parse as parse_reference

    image = read_image(store, record.manifest)
    config = image.config
    names = [known.name for known in store.images.list() if known.config == record.config]
    references = [parse_reference(name) for name in names]
    return {
        "Id": image.config_digest,
        "RepoTags": [familiar(name) for name, known in zip(names, references, strict=True) if known.tag],
        "RepoDigests": sorted({_digest_name(known, image.manifest_digest) for known in references}),
        "Created": config.created,
        "Author": config.author,
        "Architecture": config.architecture,
        **({"Variant": config.variant} if config.variant else {}),
        "Os": config.os,
        "Size": image.size,
        "Config": config.config,
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Descriptor": {
            "mediaType": image.manifest.media_type,
            "digest": image.manifest_digest,
            "size": len(image.manifest_bytes),
        },
        "Layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size}
            for layer in image.manifest.layers
        ],
        "Annotations": dict(image.manifest.annotations),
    }


def _digest_name(known: Reference, digest: str) -> str:
    from jettison.oci.reference import Reference

    return Reference(known.registry, known.repository, "", digest).familiar()


def picked(item: dict[str, Any], form: str) -> str:
    """The value that a template like `{{.Config.User}}` or `{{json .Config}}` names. Raises UsageError."""
    text = form.strip()
    if not (text.startswith("{{") and text.endswith("}}")):
        raise UsageError(f"--format {form!r} is not supported", hint="{{.Config.User}} or {{json .Config}}")
    text = text[2:-2].strip()
    as_json = text.startswith("json ")
    path = text.removeprefix("json ").strip()
    if not path.startswith(".") or " " in path:
        raise UsageError(f"--format {form!r} is not supported", hint="{{.Config.User}} or {{json .Config}}")
    value: Any = item
    for name in filter(None, path.split(".")):
        if not isinstance(value, dict):
            raise UsageError(f"--format {form!r}: there is nothing at {path}")
        value = value.get(name)
    if as_json or isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)

"""`jettison images`: what is in the local store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jettison.cli.local import STORE_OPTIONS, opened, short_id
from jettison.cli.options import Command, Option, Parsed, parse
from jettison.errors import JettisonError, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.store.images import ImageRecord
    from jettison.store.store import Store

COMMAND = Command(
    "images",
    "[OPTIONS] [REPOSITORY[:TAG]]",
    "list the images of the local store",
    "Lists the images of the local store. SIZE counts the compressed layers, as a registry would.",
    (
        Option(("--quiet", "-q"), "show image ids only"),
        Option(("--no-trunc",), "show whole ids"),
        Option(("--digests",), "show the manifests' digests"),
        Option(("--format",), "table (default) or json: one object in a line", "FORMAT"),
        *STORE_OPTIONS,
        Option(("--all", "-a")),
    ),
    (
        ("All images", "jettison images"),
        ("The ids of one repository's images", "jettison images -q shop/web"),
        ("For a program", "jettison images --format json"),
    ),
    most=1,
)


def run(console: Console, argv: list[str]) -> int:
    """List images, the newest first."""
    parsed = parse(COMMAND, argv)
    if parsed.help:
        return console.help(COMMAND)
    form = parsed.last("format", "table")
    if form not in ("table", "json"):
        raise UsageError(f"--format {form!r} is not supported", hint="table or json")
    with opened(console, parsed) as local:
        records = [record for record in local.store.images.list() if _wanted(record, parsed)]
        if parsed.has("quiet"):
            ids = dict.fromkeys(_id(record, parsed) for record in records)
            console.stdout.write("".join(line + "\n" for line in ids))
            return 0
        found = [_facts(local.store, record) for record in records]
    found.sort(key=lambda facts: facts["CreatedAt"], reverse=True)
    console.stdout.write(_as_json(found) if form == "json" else _as_table(found, parsed))
    return 0


def _wanted(record: ImageRecord, parsed: Parsed) -> bool:
    if not parsed.arguments:
        return True
    from jettison.oci.reference import parse as parse_reference

    text = parsed.arguments[0]
    wanted, known = parse_reference(text), parse_reference(record.name)
    if (wanted.registry, wanted.repository) != (known.registry, known.repository):
        return False
    return ":" not in text.rpartition("/")[2] or wanted.tag == known.tag


def _id(record: ImageRecord, parsed: Parsed) -> str:
    return record.config if parsed.has("no-trunc") else short_id(record.config)


def _facts(store: Store, record: ImageRecord) -> dict[str, Any]:
    """One image as `docker images --format json` says it, sizes as numbers."""
    from jettison.exporters.image import read_image
    from jettison.oci.reference import parse as parse_reference

    reference = parse_reference(record.name)
    repository = reference.familiar().partition("@")[0]
    if reference.tag:
        repository = repository.removesuffix(":" + reference.tag)
    created, size = "", 0
    try:
        image = read_image(store, record.manifest)
        created, size = image.config.created, image.size
    except JettisonError:
        pass  # a damaged image is listed all the same, so that it can be removed
    return {
        "Repository": repository,
        "Tag": reference.tag or "<none>",
        "ID": record.config,
        "Digest": record.manifest,
        "Platform": record.platform,
        "CreatedAt": created,
        "Size": size,
    }


def _as_json(found: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(facts) + "\n" for facts in found)


def _as_table(found: list[dict[str, Any]], parsed: Parsed) -> str:
    from jettison.cli.table import age, rows, size_text

    digests = parsed.has("digests")
    header = ["REPOSITORY", "TAG", *(["DIGEST"] if digests else []), "IMAGE ID", "CREATED", "SIZE"]
    lines = [
        [
            facts["Repository"],
            facts["Tag"],
            *([facts["Digest"]] if digests else []),
            facts["ID"] if parsed.has("no-trunc") else short_id(facts["ID"]),
            age(facts["CreatedAt"]),
            size_text(facts["Size"]),
        ]
        for facts in found
    ]
    return rows(header, lines)

"""The local store as commands use it: opened with their options, images found by name or id."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jettison.cli.build_options import CONFIG, ROOT
from jettison.cli.options import Parsed
from jettison.cli.unprivileged import enter
from jettison.dataclass import dataclass
from jettison.errors import NotFound, UsageError

if TYPE_CHECKING:
    from jettison.cli.console import Console
    from jettison.config import Config
    from jettison.oci.registry.access import RegistryAccess
    from jettison.platforms import Platform
    from jettison.store.images import ImageRecord
    from jettison.store.store import Store

STORE_OPTIONS = (ROOT, CONFIG)


@dataclass(frozen=True, slots=True)
class Local:
    """An open store, the settings, and how registries are reached."""

    store: Store
    settings: Config
    access: RegistryAccess


@contextmanager
def opened(console: Console, parsed: Parsed) -> Iterator[Local]:
    """The store that --root, --config and the environment name; it fetches layers that it lacks."""
    from jettison import config
    from jettison.oci.registry.access import access_from
    from jettison.sources.fetch import fetch_blob
    from jettison.store.store import Store

    settings = config.load(
        console.environment,
        root=parsed.last("root"),
        runtime=parsed.last("runtime"),
        isolation=parsed.last("isolation"),
        file=parsed.last("config"),
    )
    enter(console, settings.isolation)
    access = access_from(settings, console.environment)
    with Store.open(settings.root) as store:
        store.fetch = lambda blob, origin: fetch_blob(store, blob, origin, access)
        try:
            yield Local(store, settings, access)
        finally:
            access.connections.close()


def find(store: Store, text: str) -> ImageRecord | None:
    """The image of a name, or of the beginning of an id. Raises UsageError when that fits several."""
    try:
        return need(store, text)
    except NotFound:
        return None


def need(store: Store, text: str) -> ImageRecord:
    """As `find`. Raises NotFound with the nearest name."""
    from jettison.exporters.save import find_image

    return find_image(store, text)[0]


def full_name(text: str) -> str:
    """The full reference that a name means. Raises UsageError."""
    from jettison.oci.reference import parse

    return str(parse(text))


def familiar(name: str) -> str:
    """A full reference as people write it."""
    from jettison.oci.reference import parse

    try:
        return parse(name).familiar()
    except UsageError:
        return name


def platform_of(parsed: Parsed) -> Platform:
    """--platform, or this machine's."""
    from jettison.platforms import native
    from jettison.platforms import parse as parse_platform

    text = parsed.last("platform")
    return parse_platform(text) if text else native()


def short_id(digest: str) -> str:
    """The twelve digits that people know images by."""
    return digest.removeprefix("sha256:")[:12]

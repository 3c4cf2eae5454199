"""The KEY=VALUE pairs of `--output`: which there are for each type. Unknown ones are refused."""

from __future__ import annotations

from jettison.errors import StoreError, UsageError
from jettison.request import BuildRequest, Output
from jettison.store.compress import Packing, packing

_PACKING = ("compression", "compression-level")
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "image": frozenset({"name", "push", *_PACKING}),
    "registry": frozenset({"name", *_PACKING}),
    "oci": frozenset({"name", "tar", "oci-mediatypes", *_PACKING}),
    "docker": frozenset({"name", "tar", "oci-mediatypes", *_PACKING}),
    "local": frozenset({"owners"}),
    "tar": frozenset(),
}
_ANNOTATION = ("annotation.", "annotation-manifest.")
_FLAGS = frozenset({"push", "tar", "oci-mediatypes", "owners"})


def check_attributes(output: Output) -> None:
    """Refuse attributes that an output's type has not. Raises UsageError with the nearest one."""
    known = _ATTRIBUTES.get(output.type, frozenset())
    images = "name" in known
    for key, value in output.attributes:
        if images and key.startswith(_ANNOTATION):
            continue
        if key not in known:
            from difflib import get_close_matches

            near = get_close_matches(key, known, 1)
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(
                f"--output type={output.type}: the attribute {key!r} is not supported",
                hint=f"did you mean {near[0]}?" if near else f"it has: {there}",
            )
        if key in _FLAGS and value not in ("true", "false"):
            raise UsageError(f"--output type={output.type}: {key} is true or false, not {value!r}")
    if output.type == "docker" and not flag(output, "tar", True):
        raise UsageError("--output type=docker makes archives only", hint="type=oci,tar=false makes a folder")


def flag(output: Output, key: str, default: bool) -> bool:
    """The value of an attribute that is true or false."""
    return dict(output.attributes).get(key, str(default).lower()) == "true"


def packing_of(request: BuildRequest) -> Packing:
    """How the layers of a build are to be compressed: its own words, or those of its outputs.

    Raises UsageError when there is no such compression, or two outputs want different ones.
    """
    wishes = [(request.compression, str(request.compression_level or ""))]
    for output in request.outputs:
        given = dict(output.attributes)
        wishes.append((given.get("compression", ""), given.get("compression-level", "")))
    wanted = {wish for wish in wishes if any(wish)}
    if len(wanted) > 1:
        raise UsageError(
            "the outputs of one build cannot be compressed in different ways",
            hint="build twice: the second build only compresses again",
        )
    for kind, level in wanted:
        kind = "none" if kind == "uncompressed" else kind or "gzip"
        try:
            return packing(f"{kind}-{level}" if level else kind)
        except StoreError as error:
            raise UsageError(f"--compression: {error.message}", hint=error.hint) from error
    return Packing()


def annotations_of(output: Output) -> dict[str, str]:
    """The annotations of the manifest that an output's attributes ask for."""
    return {
        key.removeprefix(start): value
        for key, value in output.attributes
        for start in _ANNOTATION
        if key.startswith(start)
    }

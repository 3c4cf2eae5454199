"""What to write in the Dockerfile, so that an image carries less."""

from __future__ import annotations

from os.path import basename

from jettison.insight.origins import Step
from jettison.insight.report import Part, Report
from jettison.insight.waste import Waste


def place(step: Step) -> str:
    """Where an instruction stands, without folders: `Dockerfile:12`, or "" when that is not known."""
    at = step.location
    return f"{basename(at.path)}:{at.first_line}" if at is not None else ""


def advice(report: Report, waste: Waste) -> str:
    """How to be rid of some waste."""
    owner, culprit = report.parts[waste.owner], report.parts[waste.culprit]
    if waste.why == "stored again":
        return _stored_again(waste, owner, culprit)
    if waste.why == "duplicate":
        return "keep one of them, and make the other a link to it"
    if owner.base:
        if waste.why == "deleted":
            return "what the base image holds cannot be taken away: choose a smaller base image"
        return "the base image's files stay below: put your own elsewhere, or choose another base image"
    if waste.owner == waste.culprit:
        return "the layer's archive holds files that it replaces or removes itself: make it anew"
    if waste.why == "deleted":
        if _copies(owner):
            return f"{_do(owner)} less: --exclude, .dockerignore, or only the paths that are needed"
        return f"delete them in the same RUN ({_named(owner)}), or make them in a stage that does not ship"
    return f"make them once: {_named(culprit)} hides what {_named(owner)} made"


def _stored_again(waste: Waste, owner: Part, culprit: Part) -> str:
    if not {"owner", "mode"} & set(waste.changes):
        if _copies(culprit):
            return f"copy them once: leave them out of {_named(culprit)} with --exclude"
        return f"{_named(culprit)} writes them anew without a change: leave them as they are"
    if owner.base:
        return "they belong to the base image: change fewer of them, or leave them as they are"
    if not _copies(owner):
        return f"do it in the RUN that makes them ({_named(owner)})"
    flags = []
    if "owner" in waste.changes:
        ids = f"{waste.uid}:{waste.gid}" if waste.uid >= 0 and waste.gid >= 0 else "USER:GROUP"
        flags.append(f"--chown={ids}")
    if "mode" in waste.changes:
        flags.append(f"--chmod={waste.mode:o}" if waste.mode >= 0 else "--chmod=MODE")
    word = owner.step.text.partition(" ")[0].upper()
    return f"{word} {' '.join(flags)} in {_named(owner)}, instead of {_named(culprit)}"


def _copies(part: Part) -> bool:
    return part.step.text.upper().startswith(("COPY ", "ADD "))


def _do(part: Part) -> str:
    word = "copy" if part.step.text.upper().startswith("COPY") else "add"
    where = place(part.step)
    return f"{word} ({where})" if where else word


def _named(part: Part) -> str:
    """A short name for an instruction: its place, or the beginning of its text."""
    return place(part.step) or f"{part.step.text[:30]!r}"

"""For each step that ran: the inputs in which it differs from the nearest earlier step, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jettison.dataclass import dataclass, field, replace
from jettison.store.listings import Listed
from jettison.why.base import Build, Explained, Reason, Step
from jettison.why.files import Ignored, changes
from jettison.why.match import pairs
from jettison.why.ops import differences, printable, short

Listing = Callable[[str], Sequence[Listed] | None]
"""The files behind a content digest, or None."""

_IMAGE = {"image", "platform"}
_NEW = Reason("new", "new step: no earlier build has it")


def explain(
    build: Build, earlier: Sequence[Build], listing: Listing, ignored: Ignored = lambda path: ""
) -> list[Explained]:
    """Why the steps of a build ran, in building order, so that causes come before what they caused.

    `earlier` are the builds to compare with, the nearest first.
    """
    work = _Explaining(build, earlier, listing, ignored)
    for step in build.steps:
        if step.ran:
            work.reasons[step.id] = tuple(replace(r, text=printable(r.text)) for r in work.of(step))
    return [Explained(step, work.reasons[step.id]) for step in build.steps if step.ran]


@dataclass(slots=True)
class _Explaining:
    """One build under comparison; `reasons` of steps that come before are known when they are needed."""

    build: Build
    earlier: Sequence[Build]
    listing: Listing
    ignored: Ignored
    reasons: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    _pairs: dict[int, Mapping[str, Step]] = field(default_factory=dict)

    def of(self, step: Step) -> list[Reason]:
        """The reasons of one step."""
        if step.forced:
            return [Reason("forced", f"forced by {step.forced}")]
        same = [old for old in self.earlier if step.key in old.by_key]
        if same:
            reached = next((old for old in same if old.by_key[step.key].state), same[0])
            return self._same_key(step, reached.by_key[step.key], reached)
        best: list[Reason] | None = None
        for number, old in enumerate(self.earlier):
            if number not in self._pairs:
                self._pairs[number] = pairs(self.build.steps, old.steps)
            other = self._pairs[number].get(step.id)
            if other is not None:
                found = self._compared(step, other, old)
                if best is None or len(found) < len(best):
                    best = found
                if len(best) == 1:
                    break
        return best if best is not None else [_NEW]

    def _same_key(self, step: Step, same: Step, old: Build) -> list[Reason]:
        """All that can be known beforehand was as it is now: what happened to the result?"""
        below = self._inputs(step, same, old)
        if below:
            return below
        if same.state == "failed":
            return [Reason("failed", "it failed the last time")]
        if same.state == "unsure":
            return [Reason("changing", "its files changed while they were copied the last time")]
        if not same.state:
            return [Reason("new", "new step: the build before ended before it was reached")]
        return [Reason("removed", "its record was removed from the cache")]

    def _compared(self, step: Step, other: Step, old: Build) -> list[Reason]:
        values = (self._values(self.build, step), self._values(old, other))
        own = differences(step.op, other.op, (step.text, other.text), values)
        if step.content and other.content and step.content != other.content:
            inside = step.op.get("context") == ""
            files = self._files(other.content, step.content, inside)
            own.append(Reason("file", files or "its files changed (which of them is not known any more)"))
        below = self._inputs(step, other, old)
        # The variables of an image come with it.
        led = _IMAGE & {reason.kind for reason in below} and "command" not in {reason.kind for reason in own}
        found = list(dict.fromkeys(below + own if led else own + below))
        if found:
            return found
        if self.build.generation != old.generation:
            change = f"cache generation {old.generation} → {self.build.generation}"
            return [Reason("generation", f"an earlier jettison made its record ({change})")]
        return [Reason("removed", "its record was removed from the cache")]

    @staticmethod
    def _values(build: Build, step: Step) -> dict[str, tuple[str, str]]:
        everywhere = {name: value for table in build.values.values() for name, value in table.items()}
        return {**everywhere, **build.values.get(step.stage, {})}

    def _files(self, old: str, new: str, inside: bool = False) -> str:
        """Which files differ between two content digests, "" if unknown; `inside`: of the main context."""
        before, now = self.listing(old), self.listing(new)
        if before is None or now is None:
            return ""
        text = changes(before, now, self.ignored if inside else lambda path: "")
        return text or "its files are selected in another way"

    def _inputs(self, step: Step, other: Step, old: Build) -> list[Reason]:
        """What is different below the step: its base first, then what it copies from and mounts."""
        out: list[Reason] = []
        theirs = _roles(other)
        for role, at in _roles(step).items():
            if role not in theirs:
                continue
            mine, its = self.build.by_id[step.inputs[at]], old.by_id[other.inputs[theirs[role]]]
            reason = self._input(mine, its, role)
            if reason is not None and role != "base":
                reason = self._taken(
                    mine, step.read[at : at + 1], other.read[theirs[role] :][:1], role, reason
                )
            if reason is not None:
                out.append(reason)
        return out

    def _taken(
        self, mine: Step, new: Sequence[Any], old: Sequence[Any], role: str, reason: Reason
    ) -> Reason | None:
        """Of what is copied or mounted from another step, the files that differ; None if they don't."""
        if not new or not old or not isinstance(new[0], str) or not isinstance(old[0], str):
            return reason
        if new == old:
            return None
        if reason.kind != "base":
            return replace(reason, text=reason.text.removeprefix("base "))
        files = self._files(old[0], new[0])
        where = "" if role == "source" else f"the mount at {role}: "
        return Reason("file", f"{where}{files} (from the stage {mine.stage})") if files else reason

    def _input(self, mine: Step, its: Step, role: str) -> Reason | None:
        """Why one input is another one, or None where it gives the same result as before."""
        if mine.result and mine.result == its.result:
            return None
        if mine.op["type"] == "source" and its.op["type"] == "source":
            return _image(mine, its)
        if mine.key == its.key and not mine.ran and not its.ran:
            return None
        what = {"base": "its base", "source": "what it copies from"}.get(role, f"the mount at {role}")
        if mine.ran:
            return _ran_again(mine, self.reasons[mine.id][0], what)
        if mine.text != its.text:
            text = f"{what} changed: it is {short(mine.name)}, was {short(its.name)}"
        elif mine.key != its.key:
            text = f"{what} changed: {mine.name} has another result, known from an earlier build"
        else:
            text = f"{what} changed: {mine.name} was built again meanwhile, with another result"
        return Reason("base", text, mine.name)


def _ran_again(mine: Step, first: Reason, what: str) -> Reason:
    """The reason of a step whose input ran, from that one's own: the first cause is passed on."""
    if first.kind in _IMAGE or first.kind == "remote" or mine.op["type"] in ("http", "git"):
        return first
    if mine.stage == "image" and first.kind == "file":
        return replace(first, text=f"{what}: {first.text}", root=mine.name)
    if first.kind == "new":
        return Reason("base", f"{what} changed: {mine.name} is new", mine.name)
    root = first.root if first.kind == "base" and first.root else mine.name
    return Reason("base", f"{what} changed: {root} ran again with another result", root)


def _roles(step: Step) -> dict[str, int]:
    """What each input is to a step: "base", "source", or the target of a mount."""
    op = step.op
    if not step.inputs:
        return {}
    if op["type"] == "run":
        out = {"base": 0} if op.get("has_base", True) else {}
        for mount in op.get("mounts", ()):
            if mount.get("input", -1) >= 0:
                out[mount["target"]] = mount["input"]
        return out
    based = op["type"] == "mkdir" or (op["type"] == "copy" and op.get("has_base", False))
    out = {"base": 0} if based else {}
    if len(step.inputs) > based:
        out["source"] = int(based)
    return out


def _image(mine: Step, its: Step) -> Reason | None:
    """What became of a base image; None where it has the same layers."""
    name, other = mine.text.removeprefix("FROM "), its.text.removeprefix("FROM ")
    if mine.op.get("platform") != its.op.get("platform"):
        return Reason("platform", f"platform {its.op.get('platform')} → {mine.op.get('platform')}")
    if name != other:
        return Reason("image", f"base image changed: {short(other)} → {short(name)}")
    if mine.op["diff_ids"] == its.op["diff_ids"]:
        return None
    if mine.image and its.image and mine.image != its.image:
        return Reason("image", f"base image moved: {name}: {_digest(its.image)} → {_digest(mine.image)}")
    ids = [_digest((step.op["diff_ids"] or ["nothing"])[-1]) for step in (its, mine)]
    return Reason("image", f"base image moved: {name}: layer {ids[0]} → {ids[1]}")


def _digest(text: str) -> str:
    return text[:19] + "…" if len(text) > 19 else text

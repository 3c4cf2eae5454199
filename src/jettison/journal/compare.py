"""Two builds side by side, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jettison.dataclass import dataclass
from jettison.journal.base import PastBuild, PastStep
from jettison.why.match import pairs

if TYPE_CHECKING:
    from jettison.store.store import Store

_FEW_SECONDS = 0.2
_SHARE = 0.1
"""Times of a step that differ by less than both are the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """A step of the newer build beside the same one of the older; None where one has it not.

    `reasons` say why the newer build ran it, as `jettison why` does.
    """

    new: PastStep | None
    old: PastStep | None
    reasons: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How much longer it took."""
        return (self.new.seconds if self.new else 0.0) - (self.old.seconds if self.old else 0.0)

    @property
    def size(self) -> int:
        """How many bytes more it added."""
        return (self.new.size if self.new else 0) - (self.old.size if self.old else 0)

    @property
    def matters(self) -> bool:
        """Whether anything differs that is worth a line."""
        if self.new is None or self.old is None:
            return True
        slower = abs(self.seconds) >= max(_FEW_SECONDS, _SHARE * self.old.seconds)
        return self.new.state != self.old.state or self.size != 0 or slower


def compare(store: Store, new: PastBuild, old: PastBuild) -> list[Change]:
    """Every step of the newer build in its order, then those that only the older one has."""
    reasons = _reasons(store, new, old)
    same = pairs(new.steps, old.steps)
    out = [Change(step, same.get(step.id), reasons.get(step.id, ())) for step in new.steps]
    paired = {step.id for step in same.values()}
    return [*out, *(Change(None, step) for step in old.steps if step.id not in paired)]


def _reasons(store: Store, new: PastBuild, old: PastBuild) -> dict[str, tuple[str, ...]]:
    """Why steps of the newer build ran, by short id; as far as it is known what both were made of."""
    from jettison.graph.vertex import short_id
    from jettison.why import record
    from jettison.why.telling import explained

    found = record.read_some(store.db, [new.why, old.why])
    if new.why not in found:
        return {}
    mine = found[new.why]
    # An older build that has nothing to say ran nothing that this one could be compared with.
    earlier = [found[old.why]] if old.why in found else record.before(store.db, mine, new.why)
    return {
        short_id(item.step.id): tuple(reason.text for reason in item.reasons)
        for item in explained(store, mine, earlier)
    }

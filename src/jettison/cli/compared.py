"""Two builds side by side, as text."""

from __future__ import annotations

from jettison.cli.summary import cut, time_of
from jettison.cli.table import rows, size_text
from jettison.journal.base import PastBuild
from jettison.journal.compare import Change
from jettison.progress.lines import duration


def text(new: PastBuild, old: PastBuild, shown: list[Change], same: int) -> str:
    """The builds, then the steps that differ, each with the first reason why it ran."""
    out = (
        f"{old.name} → {new.name}: {duration(old.seconds)} → {duration(new.seconds)}"
        f" ({_signed(new.seconds - old.seconds)}), {old.ran} → {new.ran} run,"
        f" {old.cached} → {new.cached} cached\n"
    )
    if old.folder != new.folder:
        out += f"{old.name} is of {old.folder or 'elsewhere'}, {new.name} of {new.folder or 'elsewhere'}\n"
    if shown:
        header = ["STEP", old.name, new.name, "TIME", "BYTES", "WHY"]
        out += rows(header, [_line(one, new.state == "done") for one in shown])
    if same:
        out += f"{same} step{'' if same == 1 else 's'} as before\n"
    return out


def _line(one: Change, ended: bool) -> list[str]:
    step = one.new or one.old
    assert step is not None
    # What is in the cache takes no time; that is said already.
    both = one.new is not None and one.old is not None
    size = f"{'+' if one.size > 0 else '-'}{size_text(abs(one.size))}" if one.size else ""
    return [
        cut(step.name),
        time_of(one.old) if one.old else "-",
        time_of(one.new) if one.new else "-",
        _signed(one.seconds) if both and round(one.seconds, 1) else "",
        size,
        _why(one, ended),
    ]


def _why(one: Change, ended: bool) -> str:
    if one.new is None:
        return "not in this build" if ended else "not reached"
    if not one.reasons:
        return ""
    more = f" (and {len(one.reasons) - 1} more)" if len(one.reasons) > 1 else ""
    return one.reasons[0] + more


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '-'}{duration(abs(seconds))}"

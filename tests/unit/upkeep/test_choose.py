"""Which items go, in which order, and what that frees. Pure."""

from __future__ import annotations

from jettison.upkeep.choose import Plan, Wanted, choose
from jettison.upkeep.survey import FOREVER, Item, Survey


def step(name: str, used: float, *stack: str, stage: str = "") -> Item:
    """A step that made the last layer of a stack."""
    needs = frozenset(f"{kind}:{layer}" for layer in stack for kind in ("row", "tree"))
    return Item("step", name, used, needs, (name,), stage, depth=len(stack))


def survey(*items: Item, touched: dict[str, float] | None = None) -> Survey:
    """A store in which every tree, blob and folder takes ten bytes, and a row none."""
    things = {thing for item in items for thing in item.needs}
    disk = {thing: 0 if thing.startswith("row:") else 10 for thing in things}
    return Survey(items, disk, touched or {}, sum(disk.values()))


def gone(plan: Plan) -> list[str]:
    return [one.item.id for one in plan.doomed]


def test_nothing_goes_from_a_store_that_fits() -> None:
    plan = choose(survey(step("a", 1, "A"), step("b", 2, "B")), Wanted(most=20))
    assert (plan.doomed, plan.things, plan.before, plan.after) == ((), frozenset(), 20, 20)


def test_the_least_recently_used_goes_until_it_fits() -> None:
    items = (step("new", 3, "N"), step("old", 1, "O"), step("middle", 2, "M"))
    plan = choose(survey(*items), Wanted(most=15))
    assert gone(plan) == ["old", "middle"] and plan.after == 10
    assert plan.things == {"row:O", "tree:O", "row:M", "tree:M"}


def test_of_a_stack_the_uppermost_layer_goes_first() -> None:
    items = (step("first", 5, "A"), step("third", 5, "A", "B", "C"), step("second", 5, "A", "B"))
    plan = choose(survey(*items), Wanted(most=20))
    assert gone(plan) == ["third"] and plan.things == {"row:C", "tree:C"}


def test_what_another_item_needs_is_not_freed() -> None:
    plan = choose(survey(step("old", 1, "A", "B"), step("new", 2, "A", "C")), Wanted(most=20))
    assert gone(plan) == ["old"] and plan.things == {"row:B", "tree:B"}
    assert [one.freed for one in plan.doomed] == [10]


def test_a_tagged_image_stays_whatever_is_asked_for() -> None:
    tagged = Item("image", "docker.io/library/a:1", 0, frozenset({"blob:a", "row:A"}))
    untagged = Item("image", "docker.io/library/untagged@sha256:0", 9, frozenset({"blob:b", "row:A"}))
    plan = choose(survey(tagged, untagged), Wanted())
    assert gone(plan) == [untagged.id] and plan.things == {"blob:b"}


def test_orphans_go_before_all_that_is_of_use() -> None:
    orphan = Item("orphan", "sha256:x", 99, frozenset({"blob:x"}))
    assert gone(choose(survey(step("old", 1, "A"), orphan), Wanted(most=10))) == ["sha256:x"]


def test_what_others_may_be_using_stays() -> None:
    old, new = step("old", 10, "A", "B"), step("new", 20, "A", "C")
    plan = choose(survey(old, new), Wanted(), since=20)
    assert gone(plan) == ["old"] and plan.things == {"row:B", "tree:B"}
    touched = {"tree:B": 25.0, "row:B": 25.0}
    plan = choose(survey(old, new, touched=touched), Wanted(), since=20)
    assert plan.things == set()
    assert gone(choose(survey(step("mine", FOREVER, "A")), Wanted())) == []


def test_a_layer_that_nobody_knows_any_more_leaves_no_files() -> None:
    untagged = Item("image", "untagged@sha256:0", 1, frozenset({"row:A"}))
    tree = Item("tree", "A", 2, frozenset({"tree:A"}))
    plan = choose(survey(untagged, tree), Wanted())
    assert plan.things == {"row:A", "tree:A"} and plan.after == 0 and plan.before == 10


def test_filters() -> None:
    mount = Item("cache-mount", "/root/.cache", 5, frozenset({"cache-mounts/x"}), ("/root/.cache",))
    builder, final = step("0123abcd", 10, "A", stage="builder"), step("sha256:77", 20, "B", stage="final")
    found = survey(mount, builder, final)
    assert gone(choose(found, Wanted(kinds=frozenset({"cache-mount"})))) == ["/root/.cache"]
    assert gone(choose(found, Wanted(stages=frozenset({"builder"})))) == ["0123abcd"]
    assert gone(choose(found, Wanted(ids=("0123", "7")))) == ["0123abcd", "sha256:77"]
    assert gone(choose(found, Wanted(unused_since=10))) == ["/root/.cache"]
    assert gone(choose(found, Wanted(ids=("",)))) == []

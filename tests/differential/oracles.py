"""What must hold for every case: the oracles of the fuzzer."""

from __future__ import annotations

import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.conformance import imagetree
from tests.differential.archives import archive_facts
from tests.differential.builds import Outcome, build, new_store
from tests.differential.case import Case, Change, State, rewrite, write


@dataclass(frozen=True)
class Find:
    """An oracle that was not met. `kind` names it; `detail` says what was seen."""

    kind: str
    detail: str


class Bench:
    """A working folder and the store that others are copied from. Counts its builds."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self.template = template
        self.builds = 0
        self.failed = 0
        self.late = 0

    def build(self, root: Path, context: Path, state: State, **options: Any) -> Outcome:
        self.builds += 1
        done = build(root, context, state, **options)
        self.failed += done.status == "error"
        self.late += done.status == "late" and "seconds" not in options
        return done

    def store(self, name: str) -> Path:
        return new_store(self.template, self.folder / name)

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


def check(case: Case, bench: Bench) -> Find | None:
    """Build a case in all ways and give the first thing that is not as it should be."""
    bench.clear()
    context = bench.folder / "context"
    write(case.state, context)
    warm_root = bench.store("warm")
    before = case.state
    for number, (state, change) in enumerate(case.states()):
        if change is not None:
            rewrite(context, before, state)
        before = state
        find = _check_state(case, state, change, number, bench, context, warm_root)
        if find is not None:
            return Find(find.kind, f"at change {number}: {find.detail}" if number else find.detail)
    return None


def repaired(case: Case, bench: Bench, most: int = 8) -> Case:
    """The case without the instructions that fail, so that there is something to compare."""
    for _ in range(most):
        bench.clear()
        write(case.state, bench.folder / "context")
        done = bench.build(bench.store("root"), bench.folder / "context", case.state, epoch=True)
        at, lines = 0, case.state.dockerfile
        while at < len(lines) and done.line > "\n".join(lines[: at + 1]).count("\n") + 1:
            at += 1
        if not done.line or at >= len(lines) or lines[at].startswith("FROM"):
            break
        case = replace(case, state=replace(case.state, dockerfile=lines[:at] + lines[at + 1 :]))
    return case


def _check_state(
    case: Case, state: State, change: Change | None, number: int, bench: Bench, context: Path, warm_root: Path
) -> Find | None:
    def place(name: str) -> Path:
        return bench.folder / f"{name}{number}"

    if case.variant & 1:
        _warm_up(case, state, number, bench, context, warm_root)
    if case.variant & 8:
        # A build that is cancelled on its way must leave nothing wrong behind.
        bench.build(warm_root, context, state, epoch=case.epoch, seconds=(case.variant % 7 + number) * 0.02)
    if case.variant & 16 and not number:
        find = _side_by_side(case, state, bench, context, warm_root)
        if find is not None:
            return find
    warm = bench.build(warm_root, context, state, epoch=case.epoch, layout=place("warm"))
    cold_root = bench.store(f"cold-root{number}")
    cold = bench.build(cold_root, context, state, epoch=case.epoch, layout=place("cold"))
    find = _internal(warm, cold) or compare("cached", cold, warm, case.epoch)
    if find is not None or cold.status != "ok" or warm.status != "ok":
        return find
    again = bench.build(warm_root, context, state, epoch=case.epoch, layout=place("again"))
    if again.status == "late":
        return None
    if steps := _real(again):
        return Find("rerun", f"a build of the unchanged ran {', '.join(steps)}")
    if again.digest != warm.digest:
        return Find("again", f"an unchanged build has another digest\n{difference(warm, again)}")
    if _is_touch(state, change) and not case.variant & 9 and _real(warm):
        return Find("touched", f"a change that means nothing ran {', '.join(warm.steps)}")
    if case.variant & 32:
        anew = bench.build(
            warm_root, context, state, epoch=case.epoch, layout=place("anew"), no_cache=True, jobs=2
        )
        find = _internal(anew) or compare("no-cache", cold, anew, case.epoch)
        if find is not None:
            return find
    if number == len(case.changes):
        other = place("context")
        write(state, other, backwards=True)
        second = bench.build(
            bench.store(f"second-root{number}"),
            other,
            state,
            epoch=case.epoch,
            jobs=4,
            layout=place("second"),
        )
        find = _internal(second) or compare("clean", cold, second, case.epoch)
        if find is None and case.variant & 2 and second.status == "ok":
            find = _archive(bench, cold_root, context, state, cold, place("out"), case.epoch)
    return find


def _warm_up(case: Case, state: State, number: int, bench: Bench, context: Path, root: Path) -> None:
    """Leave other renderings of the layers in the store than the build itself would."""
    target = replace(state, target="s0" if case.variant & 4 else state.target)
    if number % 2:
        bench.build(root, context, target, epoch=not case.epoch)
    else:
        bench.build(root, context, target, epoch=case.epoch, export=("local", bench.folder / f"up{number}"))


def _real(done: Outcome) -> list[str]:
    """The steps that ran. A FROM that is the target itself only sees that its blobs are there."""
    return [step for step in done.steps if "] FROM " not in step]


def _is_touch(state: State, change: Change | None) -> bool:
    """Whether a change is one of a file's time only, or a remark in the Dockerfile."""
    if not change:
        return False
    remark = not state.inside and change.get("new") == ["# a remark", change.get("old")]
    return remark or list(change.get("entry", ())) == ["mtime"]


def _side_by_side(case: Case, state: State, bench: Bench, context: Path, root: Path) -> Find | None:
    """Two builds of the same thing at the same time in one store."""
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(
                bench.build, root, context, state, epoch=case.epoch, layout=bench.folder / f"side{number}"
            )
            for number in range(2)
        ]
        one, other = (item.result() for item in running)
    return _internal(one, other) or compare("side", one, other, case.epoch)


def _internal(*outcomes: Outcome) -> Find | None:
    for done in outcomes:
        if done.status == "internal":
            return Find("internal", done.text)
        if done.status == "error" and any(mark in done.text for mark in ("ROOT", "[Errno", "Traceback")):
            return Find("unclean", f"a message for developers, or with paths of the store: {done.text}")
    return None


def compare(kind: str, one: Outcome, other: Outcome, exact: bool) -> Find | None:
    """Two builds of the same thing: `one` is the reference. `exact` asks for the same bytes."""
    if "late" in (one.status, other.status):
        return None
    if one.status == other.status == "error" and one.line != other.line:
        return None  # Of several stages that fail, the one that has less left to do is the first.
    if one.status != other.status or one.text != other.text:
        return Find(f"{kind}-error", f"{one.status} {one.text!r}\nbut {other.status} {other.text!r}")
    if one.status != "ok" or (exact and one.digest == other.digest):
        return None
    text = difference(one, other, exact, times=kind != "cached")
    return Find(kind, text) if text else None


def difference(one: Outcome, other: Outcome, exact: bool = True, times: bool = True) -> str:
    """How two images differ. What was copied from files that only differ in time is not copied anew."""
    a, b = one.facts(), other.facts()
    found = imagetree.diff(a, b)
    if exact and not found:
        found = _headers(one, other, times)
        if found or times:
            found = ["the facts are equal, the bytes are not", *found]
    return "\n".join(found[:20])


def _headers(one: Outcome, other: Outcome, times: bool) -> list[str]:
    """Where the layers of two images differ, entry by entry."""
    found = []
    for number, (a, b) in enumerate(zip(_layers(one, times), _layers(other, times), strict=False)):
        for path in sorted({*a, *b}):
            if a.get(path) != b.get(path):
                found.append(f"layer {number}: {path}: {a.get(path)} != {b.get(path)}")
        if list(a) != list(b):
            found.append(f"layer {number}: another order of entries")
    return found


def _layers(done: Outcome, times: bool) -> list[dict[str, Any]]:
    layout = imagetree.Layout(str(done.layout))
    manifest, _ = imagetree.pick_manifest(layout)
    out = []
    for layer in manifest["layers"]:
        import io

        with tarfile.open(fileobj=io.BytesIO(imagetree.decompress(layout.blob(layer)))) as tar:
            out.append({member.name: _header(member, times) for member in tar})
    return out


def _header(member: tarfile.TarInfo, times: bool) -> dict[str, Any]:
    told = {**member.get_info(), **member.pax_headers}
    return told if times else {name: value for name, value in told.items() if name != "mtime"}


def _archive(
    bench: Bench, root: Path, context: Path, state: State, image: Outcome, out: Path, epoch: bool
) -> Find | None:
    """The exported archive of the root filesystem holds what the image's layers amount to."""
    done = bench.build(root, context, state, epoch=epoch, export=("tar", out))
    find = _internal(done)
    if find is not None:
        return find
    if done.status != "ok":
        return Find("archive", f"the image can be built, the archive cannot: {done.text}")
    if _real(done):
        return Find("archive", f"the export of a built image ran {', '.join(done.steps)}")
    try:
        facts = image.facts()
    except imagetree.BadImage as error:
        return Find("bad-image", str(error))
    packed = out.with_suffix(".docker")
    done = bench.build(root, context, state, epoch=epoch, export=("docker", packed))
    if done.status != "ok":
        return Find("archive", f"the image can be built, its docker archive cannot: {done.text}")
    tree = imagetree.apply_layer({}, out.read_bytes())
    tree.pop("/", None)
    for other in (tree, archive_facts(packed)["tree"]):
        found = imagetree.diff({**facts, "tree": _loose(facts["tree"])}, {**facts, "tree": _loose(other)})
        if found:
            return Find("archive", "\n".join(found[:20]))
    return None


def _loose(tree: dict[str, Any]) -> dict[str, Any]:
    """Entries without the names that they share a file with."""
    return {
        path: {key: value for key, value in entry.items() if key != "same_as"} for path, entry in tree.items()
    }

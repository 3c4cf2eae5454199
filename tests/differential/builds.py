"""Builds in this process: stores to build in, and what came of a build."""

from __future__ import annotations

import os
import re
import shutil
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance import imagetree
from tests.differential.case import State

EPOCH = "1600000000"
LONGEST = 15.0
"""Seconds that a build may take: a command that waits for a fifo's other end never comes back."""


@dataclass(frozen=True)
class Outcome:
    """What came of a build: `status` is ok, error (a clean one), late or internal; `text` is the message."""

    status: str
    text: str = ""
    digest: str = ""
    ran: int = 0
    layout: Path | None = None
    steps: tuple[str, ...] = ()
    line: int = 0
    """Of the Dockerfile, where the error is."""

    def facts(self) -> dict[str, Any]:
        assert self.layout is not None
        return dict(imagetree.facts(str(self.layout)))


def prepare_store(folder: Path, busybox: Path) -> Path:
    """A store that holds busybox, unpacked: what other stores are copies of."""
    from jettison.sources.load import load
    from jettison.store.store import Store

    root = folder / "template"
    with Store.open(str(root)) as store:
        load(store, str(busybox), "busybox")
    context = folder / "template-context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    done = build(root, context, State(()), epoch=True, layout=folder / "template-image")
    assert done.status == "ok", done.text
    return root


def new_store(template: Path, root: Path) -> Path:
    """A copy of a store. Files that a store never writes to again are hard links."""
    for folder, _, names in os.walk(template):
        inside = os.path.relpath(folder, template)
        if inside.split(os.sep)[0] in ("tmp", "locks", "memo"):
            (root / inside).mkdir(parents=True, exist_ok=True)
            continue
        made = root / inside
        made.mkdir(parents=True, exist_ok=True)
        for name in names:
            path = os.path.join(folder, name)
            if inside == "." and not os.path.islink(path):
                shutil.copy2(path, made / name)
            else:
                os.link(path, made / name, follow_symlinks=False)
        shutil.copystat(folder, made)
    return root


def build(
    root: Path,
    context: Path,
    state: State,
    *,
    epoch: bool,
    jobs: int = 1,
    layout: Path | None = None,
    export: tuple[str, Path] | None = None,
    seconds: float = LONGEST,
    no_cache: bool = False,
) -> Outcome:
    """Build the context; the image goes into a layout, or something else to where `export` says.

    A build that takes longer than `seconds` is cancelled.
    """
    import jettison
    from jettison.cli.failure import as_ours
    from jettison.errors import DockerfileError
    from jettison.events import Event, StepFinished
    from jettison.request import Output

    outputs = []
    if layout is not None:
        outputs.append(Output("oci", str(layout), (("tar", "false"),)))
    if export is not None:
        outputs.append(Output(export[0], str(export[1])))
    steps: list[str] = []

    def heard(event: Event) -> None:
        if isinstance(event, StepFinished) and not event.cached:
            steps.append(event.name)

    environment = {"PATH": os.environ.get("PATH", "")}
    if epoch:
        environment["SOURCE_DATE_EPOCH"] = EPOCH
    cancel = threading.Event()
    timer = threading.Timer(seconds, cancel.set)
    timer.daemon = True
    timer.start()
    try:
        result = jettison.build(
            context,
            target=state.target or None,
            dockerfile=None if state.inside else state.text(),
            build_args=dict(state.args),
            build_contexts={"extra": context},
            environment=environment,
            outputs=outputs,
            jobs=jobs,
            no_cache=no_cache,
            root=root,
            on_event=heard,
            cancel=cancel,
        )
    except Exception as error:
        if cancel.is_set() and type(error).__name__ == "Cancelled":
            return Outcome("late", "took too long")
        known = as_ours(error)
        if known is None:
            return Outcome("internal", "".join(traceback.format_exception(error)))
        text = f"{type(known).__name__}: {known}"
        line = known.location.first_line if known.location else 0
        if isinstance(known, DockerfileError):
            text = "\n".join(f"{problem.location}: {problem.message}" for problem in known.problems)
        return Outcome("error", _plain(text, root, context), steps=tuple(steps), line=line)
    finally:
        timer.cancel()
    digest = result.images[0].digest if result.images else ""
    return Outcome("ok", "", digest, result.ran, layout, tuple(steps))


def _plain(text: str, root: Path, context: Path) -> str:
    """A message without what may differ: where the context and the store are."""
    text = text.replace(str(context), "CONTEXT").replace(str(root), "ROOT")
    return re.sub(r"ROOT/(tmp|layers)/[^\s:]+", "ROOT/SOMEWHERE", text)

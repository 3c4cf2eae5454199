"""WORKDIR: the layer with the directory, if it isn't there yet."""

from __future__ import annotations

from jettison.executor.owner import resolve_owner
from jettison.executor.place import Fresh, Plan
from jettison.graph.ops import MkdirOp
from jettison.store.base import FileTree, LayerWriter
from jettison.store.resolve import resolve


def run_mkdir(op: MkdirOp, base: FileTree, writer: LayerWriter, now_ns: int) -> None:
    """Write the entries of a WORKDIR's layer, but commit nothing; none when the directory exists.

    Every directory that is made belongs to the user in force. Raises SourceError
    when something else is in the way, or the user is unknown.
    """
    path = resolve(base, op.path.strip("/"))
    node = base.lookup(path)
    if node is not None and node.kind == "dir":
        return
    uid, gid = resolve_owner(op.owner, base)
    plan = Plan(base, Fresh(now_ns, uid, gid))
    plan.make_dirs(path)
    plan.write(writer)

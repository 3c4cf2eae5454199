"""What the results of vertices are needed for: a folder that can be mounted, a blob, or neither."""

from __future__ import annotations

from jettison.graph.ops import CopyOp, RunOp
from jettison.graph.vertex import BuildGraph


def wanted_as_tree(graph: BuildGraph) -> frozenset[str]:
    """Vertices whose layers some step mounts or reads files from; the others' can go straight into blobs.

    A COPY or WORKDIR on top only looks paths up, which needs no folder.
    """
    consumers = graph.consumers()
    wanted: set[str] = set()
    for vertex in reversed(list(graph.vertices.values())):
        for name in consumers[vertex.id]:
            reader = graph.vertices[name]
            stacked = reader.base == vertex.id
            copied_from = isinstance(reader.op, CopyOp) and vertex.id in reader.inputs[reader.op.has_base :]
            if isinstance(reader.op, RunOp) or copied_from or (stacked and name in wanted):
                wanted.add(vertex.id)
    return frozenset(wanted)


def exported_vertices(graph: BuildGraph) -> frozenset[str]:
    """Vertices whose layers become part of an image."""
    out: set[str] = set()
    for target in graph.targets:
        name = target.vertex
        while name:
            out.add(name)
            name = graph.vertices[name].base
    return frozenset(out)

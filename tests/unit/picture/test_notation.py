"""Pictures for Graphviz, Mermaid and programs; above all: names that try to be more than names."""

from __future__ import annotations

import json
import re

from jettison.picture.notation import document, dot, mermaid
from tests.unit.picture.drawn import SHOP, drawn, shop

HOSTILE = 'FROM "];x->y[label="\\\\ AS a\nFROM <b>&lt;`*#quot; AS b\nCOPY --from=a ["/\\"end|\\\\N", "/"]\n'

MERMAID = """\
flowchart TB
  base0(["x:1"])
  stage0["a"]
  stage1["b<br/>target, from scratch"]
  base0 --> stage0
  stage0 -->|"/p<br/>/q"| stage1
  classDef look0 stroke-width:3px
  class stage1 look0
"""

DOT = """\
digraph stages {
  label="Dockerfile: b"; labelloc=t; fontname=monospace;
  node [shape=box, style=rounded, fontname=monospace, color="#59636e"];
  edge [fontname=monospace, fontsize=11, color="#818b98"];
  base0 [label="x:1", tooltip="base image x:1", shape=oval];
  stage0 [label="a", tooltip="stage a, line 1, 0 steps"];
  stage1 [label="b\\ntarget, from scratch", tooltip="stage b, line 2, 1 step, from scratch", penwidth=2.5];
  base0 -> stage0;
  stage0 -> stage1 [label="/p\\n/q", tooltip="/p → /r/\\n/q → /r/"];
}
"""

SMALL = "FROM x:1 AS a\nFROM scratch AS b\nCOPY --from=a /p /q /r/\n"


def test_small_ones() -> None:
    assert mermaid(drawn(SMALL)) == MERMAID
    assert dot(drawn(SMALL)) == DOT


def test_strings_of_dot_end_where_they_should() -> None:
    text = dot(drawn(HOSTILE))
    # Without its strings nothing is left of the names; within them every backslash is one of ours.
    strings = re.findall(r'"(?:[^"\\]|\\.)*"', text)
    rest = re.sub(r'"(?:[^"\\]|\\.)*"', '""', text)
    assert '"' not in rest.replace('""', "")
    assert "->y" not in rest and "x" not in re.sub(r"[a-z]*box", "", rest)
    assert not re.search(r'\\[^\\"n]', "".join(strings).replace("\\\\", ""))
    assert "&amp;lt;" in text and "&lt;" not in text


def test_mermaid_sees_only_numbers_of_what_it_could_obey() -> None:
    lines = mermaid(drawn(HOSTILE)).splitlines()
    for line in lines:
        for label in re.findall(r'"([^"]*)"', line):
            assert re.fullmatch(r"[\w ./:,*=()@+-]*", re.sub(r"#\d+;|<br/>", "", label))
        assert line.count('"') % 2 == 0
    assert "#60;b#62;#38;lt#59;#96;*#35;quot#59;" in "\n".join(lines)


def test_the_critical_path_and_states_have_colours() -> None:
    for text in (dot(shop()), mermaid(shop())):
        assert "#bc4c00" in text
    assert "linkStyle 2,4,5 stroke" in mermaid(shop())
    assert 'fillcolor="#dafbe1"' in dot(shop()) and "fillcolor" not in dot(drawn(SHOP))
    assert "fill:#dafbe1,color:#1f2328,stroke:#bc4c00" in mermaid(shop())


def test_json_has_all_of_it() -> None:
    value = json.loads(document(shop()))
    assert value["targets"] == ["stage4"] and value["left_out"] == ["stage1"]
    assert value["critical_path"] == ["stage0", "stage2", "stage3", "stage4"]
    assert value["last_build"] == "2026-11-18T11:06:40+00:00"
    assert value["nodes"][0] == {"id": "base0", "kind": "image", "name": "node:18", "needed": True}
    assert value["nodes"][1] == {
        "id": "stage0",
        "kind": "stage",
        "name": "deps",
        "needed": True,
        "line": 1,
        "steps": 1,
        "scratch": False,
        "target": False,
        "state": "cached",
        "bytes": 90_000_000,
        "critical": True,
        "seconds": 12.0,
    }
    assert value["edges"][6] == {
        "from": "stage2",
        "to": "stage4",
        "kind": "copy",
        "needed": True,
        "critical": False,
        "paths": [
            {"path": "/dist", "destination": "/public"},
            {"path": "/licences", "destination": "/public/licences"},
        ],
    }

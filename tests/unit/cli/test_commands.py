"""The commands around the local store, called as the command line calls them."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from jettison.cli.main import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tmp_path: Path, busybox_layout: Path) -> Call:
    environment = {
        "HOME": str(tmp_path),
        "JETTISON_ROOT": str(tmp_path / "store"),
        "JETTISON_CONFIG": os.devnull,
    }

    def run(*argv: str) -> tuple[int, str, str]:
        out, err = io.TextIOWrapper(io.BytesIO(), newline=""), io.StringIO()
        status = main(list(argv), environment, io.StringIO(), out, err)
        out.flush()
        data: bytes = out.buffer.getvalue()  # type: ignore[attr-defined]
        return status, data.decode("latin-1"), err.getvalue()

    assert run("load", str(busybox_layout), "busybox:1") == (0, "Loaded image: busybox:1\n", "")
    return run


def test_images_has_dockers_columns(call: Call) -> None:
    _, out, _ = call("images")
    header, line = out.splitlines()
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert line.split()[:2] == ["busybox", "1"]


def test_images_for_programs(call: Call) -> None:
    _, out, _ = call("images", "--format", "json")
    facts = json.loads(out)
    assert (facts["Repository"], facts["Tag"]) == ("busybox", "1")
    assert call("images", "-q", "--no-trunc")[1] == facts["ID"] + "\n"
    assert call("images", "-q")[1] == facts["ID"][7:19] + "\n"
    assert call("images", "-q", "other")[1] == ""
    assert call("images", "-q", "busybox:2")[1] == ""
    assert call("images", "-q", "busybox")[1] != ""


def test_inspect_is_a_json_array_as_dockers(call: Call) -> None:
    _, out, _ = call("inspect", "busybox:1")
    (facts,) = json.loads(out)
    assert facts["RepoTags"] == ["busybox:1"]
    assert facts["RepoDigests"] == [f"busybox@{facts['Descriptor']['digest']}"]
    assert facts["Config"]["Cmd"] == ["sh"]
    assert len(facts["RootFS"]["Layers"]) == len(facts["Layers"])
    assert call("inspect", facts["Id"][7:15])[1] == out


def test_inspect_picks_a_value(call: Call) -> None:
    assert call("inspect", "-f", "{{json .Config.Cmd}}", "busybox:1")[1] == '["sh"]\n'
    assert call("inspect", "-f", "{{.Architecture}}", "busybox:1")[1].strip() in ("amd64", "arm64")
    assert call("inspect", "-f", "{{range .X}}", "busybox:1")[0] == 2
    assert call("inspect", "-f", "{{.Config.Cmd.Nothing}}", "busybox:1")[0] == 2


def test_history(call: Call) -> None:
    _, out, _ = call("history", "--format", "json", "busybox:1")
    steps = [json.loads(line) for line in out.splitlines()]
    assert steps[0]["ID"].startswith("sha256:")
    assert sum(step["Size"] for step in steps) > 100_000
    header = call("history", "busybox:1")[1].splitlines()[0]
    assert header.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]


def test_tag_and_rmi(call: Call) -> None:
    assert call("tag", "busybox:1", "localhost:5000/x/y:2") == (0, "", "")
    image_id = call("images", "-q", "--no-trunc", "busybox")[1].strip()
    assert call("rmi", image_id)[0] == 2
    assert call("rmi", "busybox:1") == (0, "Untagged: busybox:1\n", "")
    assert call("rmi", image_id[:20]) == (
        0,
        f"Untagged: localhost:5000/x/y:2\nDeleted: {image_id}\n",
        "",
    )
    assert call("images", "-q")[1] == ""


def test_rmi_by_force_takes_all_names(call: Call) -> None:
    call("tag", "busybox:1", "other")
    image_id = call("images", "-q")[1].strip()
    status, out, _ = call("rmi", "-f", image_id)
    assert (status, out.count("Untagged:")) == (0, 2)


def test_rmi_goes_on_after_what_is_not_there(call: Call) -> None:
    status, out, err = call("rmi", "nothing", "busybox:1")
    assert status == 1 and "Untagged: busybox:1" in out and "nothing" in err
    assert call("rmi", "-f", "nothing")[0] == 0


@pytest.mark.parametrize("command", ["inspect", "history", "rmi", "save", "push"])
def test_an_image_that_is_not_there_is_named_with_the_nearest(call: Call, command: str) -> None:
    status, _, err = call(command, "busybox:2")
    assert status == 1
    assert "no image busybox:2" in err and "did you mean busybox:1?" in err


@pytest.mark.parametrize("form", ["docker", "oci", "oci-dir"])
def test_what_was_saved_can_be_loaded(call: Call, tmp_path: Path, form: str) -> None:
    before = call("images", "-q", "--no-trunc")[1]
    dest = str(tmp_path / "saved")
    assert call("save", "--format", form, "-o", dest, "busybox:1") == (0, "", "")
    call("rmi", "busybox:1")
    assert call("load", "-i", dest) == (0, "Loaded image: busybox:1\n", "")
    assert call("images", "-q", "--no-trunc")[1] == before


def test_save_streams_an_archive(call: Call) -> None:
    _, out, _ = call("save", "busybox:1")
    with tarfile.open(fileobj=io.BytesIO(out.encode("latin-1"))) as archive:
        assert {"manifest.json", "oci-layout", "index.json"} <= set(archive.getnames())


def test_save_to_a_folder_needs_one(call: Call) -> None:
    assert call("save", "--format", "oci-dir", "busybox:1")[0] == 2
    assert call("save", "--format", "zip", "busybox:1")[0] == 2


def test_a_file_that_holds_no_image(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"\x00noise" * 1000)
    status, _, err = call("load", str(path))
    assert status == 1 and str(path) in err and "Traceback" not in err
    status, _, err = call("load", str(tmp_path / "nowhere"))
    assert status == 1 and "nowhere" in err


def test_a_registry_that_is_down_is_told(call: Call) -> None:
    status, _, err = call("pull", "localhost:1/x")
    assert status == 1 and "localhost:1" in err and "Traceback" not in err
    status, _, err = call("push", "busybox:1", "localhost:1/x")
    assert status == 1 and "localhost:1" in err

from __future__ import annotations

import pytest

from jettison.cli.options import Command, Option, help_text, parse
from jettison.errors import UsageError

COMMAND = Command(
    "try",
    "[OPTIONS] THING",
    "try things",
    "Tries things.",
    (
        Option(("--file", "-f"), "a file", "FILE"),
        Option(("--tag", "-t"), "a name", "NAME", repeat=True),
        Option(("--no-cache",), "build anew", "STAGE", bare="*"),
        Option(("--interactive", "-i"), "keep open"),
        Option(("--tty", "-y"), "a terminal"),
        Option(("--rm",), note="nothing to remove"),
        Option(("--squash",), refuse="merging layers"),
    ),
    (("Like this", "jettison try x"),),
    least=1,
    most=1,
)


@pytest.mark.parametrize(
    "line", ["-f a x", "x -f a", "-fa x", "-f=a x", "--file=a x", "--file a -- x", "-f b -f a x"]
)
def test_a_value_comes_in_every_spelling_and_order(line: str) -> None:
    parsed = parse(COMMAND, line.split())
    assert parsed.last("file") == "a"
    assert parsed.arguments == ["x"]


def test_a_value_may_look_like_an_option_and_may_be_empty() -> None:
    assert parse(COMMAND, ["-f", "-", "x"]).last("file") == "-"
    assert parse(COMMAND, ["--file=", "x"]).values["file"] == [""]
    assert parse(COMMAND, ["--file=a=b", "x"]).last("file") == "a=b"


def test_an_optional_value_does_not_swallow_the_argument() -> None:
    parsed = parse(COMMAND, ["--no-cache", "x"])
    assert (parsed.last("no-cache"), parsed.arguments) == ("*", ["x"])
    assert parse(COMMAND, ["--no-cache=test", "x"]).last("no-cache") == "test"


def test_switches_cluster_and_can_be_turned_off() -> None:
    parsed = parse(COMMAND, ["-iy", "x"])
    assert parsed.has("interactive") and parsed.has("tty")
    assert not parse(COMMAND, ["-i", "--interactive=false", "x"]).has("interactive")
    assert parse(COMMAND, ["-iyf", "a", "x"]).last("file") == "a"


def test_repeated_values_keep_their_order() -> None:
    assert parse(COMMAND, ["-t", "a", "x", "--tag=b"]).all("tag") == ["a", "b"]


def test_a_dash_is_an_argument() -> None:
    assert parse(COMMAND, ["-"]).arguments == ["-"]


def test_notes_are_said_once_and_not_for_false() -> None:
    assert parse(COMMAND, ["--rm", "--rm=true", "x"]).notes == ["--rm is ignored: nothing to remove"]
    assert parse(COMMAND, ["--rm=false", "x"]).notes == []


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--fiel", "a", "x"], "no option --fiel", "did you mean --file?"),
        (["--qqqq", "x"], "no option --qqqq", "lists the options"),
        (["-z", "x"], "no option -z", "lists the options"),
        (["x", "--file"], "--file needs a value", "FILE"),
        (["--tty=perhaps", "x"], "'perhaps' is neither", None),
        (["--squash", "x"], "--squash is not supported yet", None),
        ([], "needs an argument", "usage: jettison try [OPTIONS] THING"),
        (["x", "y"], "one argument too many: 'y'", "usage"),
    ],
)
def test_what_is_wrong_is_named(argv: list[str], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse(COMMAND, argv)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_refused_switch_given_as_false_is_fine() -> None:
    assert parse(COMMAND, ["--squash=false", "x"]).arguments == ["x"]


def test_all_behind_the_first_argument_can_be_left_alone() -> None:
    command = Command("run", "", "", "", COMMAND.options, (), least=1, stop_at_argument=True)
    parsed = parse(command, ["-i", "image", "sh", "-c", "echo --file"])
    assert parsed.arguments == ["image", "sh", "-c", "echo --file"]


def test_help_shows_every_option_but_the_refused_ones() -> None:
    text = help_text(COMMAND)
    assert "-f, --file FILE" in text
    assert "--no-cache[=STAGE]" in text
    assert "(may be repeated)" in text
    assert "jettison try x" in text
    assert "--squash" not in text
    assert max(map(len, text.splitlines())) <= 110

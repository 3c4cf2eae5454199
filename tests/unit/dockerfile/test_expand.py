from __future__ import annotations

import pytest

from jettison.dockerfile import parse
from jettison.dockerfile.expand import expand, expand_instruction
from jettison.dockerfile.instructions import Add, Arg, Cmd, Copy, Env, Expose, Onbuild, Stopsignal
from jettison.errors import DockerfileError

VALUES = {
    "A": "val",
    "EMPTY": "",
    "P": "usr/local/lib/x.tar.gz",
    "S": "one.two.one.two",
    "Q": "x*y?z",
    "D": "a/b/c",
    "W": "two words",
    "_a1": "u",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$A ${A} $A-b $A_b ${A}_b", "val val val-b  val_b"),
        ("$_a1", "u"),
        ("$1A $@ $? $$x", "A   x"),
        ("5$ $ $% ${A}$", "5$ $ $% val$"),
        ("'$A' \"$A\" \"'$A'\" '\"$A\"'", "$A val 'val' \"$A\""),
        (r"\$A \${A} \\$A \x", r"$A ${A} \val x"),
        (r'"\$A" "\\$A" "\"" "\n" "a\b"', '$A \\val " \\n a\\b'),
        (r"e\ \ f mix'ed q'uotes", "e  f mixed quotes"),
        ("end\\", "end"),
        ("${NONE:-d} ${EMPTY:-d} ${A:-d}", "d d val"),
        ("${NONE-d} [${EMPTY-d}] ${A-d}", "d [] val"),
        ("[${NONE:+w}] [${EMPTY:+w}] [${A:+w}]", "[] [] [w]"),
        ("[${NONE+w}] [${EMPTY+w}] [${A+w}]", "[] [w] [w]"),
        ("${A:?no} ${A?no} [${EMPTY?no}]", "val val []"),
        ("${NONE:-${ALSO:-${A}}} ${A:+<$A>}", "val <val>"),
        ("${NONE:-'a } b'} ${NONE:-\"c } d\"}", "a } b c } d"),
        (r"${NONE:-a\}b}", "a}b"),
        ("${P#*/} ${P##*/} ${P#no}", "local/lib/x.tar.gz x.tar.gz usr/local/lib/x.tar.gz"),
        ("${P%/*} ${P%%/*} ${P%.*} ${P%%.*}", "usr/local/lib usr usr/local/lib/x.tar usr/local/lib/x"),
        ("[${S#*}] [${S##*}] [${S%*}] [${S%%*}]", "[one.two.one.two] [] [one.two.one.two] []"),
        ("${S#?n} ${S%t?o}", "e.two.one.two one.two.one."),
        ("${S/one/1} ${S//one/1} ${S/./-} ${S//t*o/X}", "1.two.one.two 1.two.1.two one-two.one.two one.X"),
        (r"${D/\//-} ${D//\//-} ${Q/\*/S} ${Q/\?/Q} ${Q#x\*}", "a-b/c a-b-c xSy?z x*yQz y?z"),
        ("${S//one/$A}", "val.two.val.two"),
        ("${NONE#x}${NONE/x/y}", ""),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, VALUES.get) == expected


def test_the_backtick_escapes_when_it_is_the_escape_character() -> None:
    assert expand('`$A c:\\x "`$A"', VALUES.get, "`") == "$A c:\\x $A"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("${A:*x}", "modifier"),
        ("${A,x}", "modifier"),
        ("${A", "}"),
        ("${A:-x", "}"),
        ("${A/x", "/"),
        ("${", "}"),
        ("${}", "bad substitution"),
        ("${:x}", "bad substitution"),
        ("'a", "single quote"),
        ('"a', "double quote"),
        ("${NONE:?must be given}", "NONE: must be given"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${NONE?}", "NONE: is not allowed to be unset"),
        (r"${A#\q}", "escape"),
        ("${a:-" * 5000, "nested"),
    ],
)
def test_mistakes(text: str, word: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        expand(text, VALUES.get)
    assert word in caught.value.message


def first(source: str, **values: str):  # type: ignore[no-untyped-def]
    instruction = parse(f"FROM x\n{source}".encode()).stages[0].instructions[0]
    return expand_instruction(instruction, (VALUES | values).get)


def test_pairs_see_the_values_from_before() -> None:
    env = first("ENV A=new B=$A \"$A.k\"='$A'")
    assert isinstance(env, Env)
    assert env.pairs == (("A", "new"), ("B", "val"), ("val.k", "$A"))


def test_arguments() -> None:
    arg = first("ARG X=$A Y Z='q'")
    assert isinstance(arg, Arg)
    assert arg.items == (("X", "val"), ("Y", None), ("Z", "q"))


def test_copy_paths_and_flags() -> None:
    copy = first('COPY --chown=$A --chmod=$M --exclude=*.$A --exclude=\\\\* $W "/d/${A}"', M="640")
    assert isinstance(copy, Copy)
    assert (copy.sources, copy.dest, copy.chown, copy.chmod) == (("two words",), "/d/val", "val", "640")
    assert copy.exclude == ("*.val", "\\*")


def test_heredoc_files_keep_quotes() -> None:
    copy = first("COPY <<E <<'F' /d/\n$A ${B:-n} \\$A \"$A\" '$A'\nE\n$A \\$A\nF")
    assert isinstance(copy, Copy)
    assert copy.files[0].content == "val n $A \"val\" 'val'\n"
    assert copy.files[1].content == "$A \\$A\n"


def test_expansion_never_strips_tabs_of_values() -> None:
    copy = first("COPY <<-E /d\n\t$T\n\tE", T="\tkept")
    assert isinstance(copy, Copy)
    assert copy.files[0].content == "\tkept\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("80 443/tcp 80", ("80/tcp", "443/tcp")),
        ("$PORTS", ("80/tcp", "443/tcp")),
        ("1$N/$PROTO", ("18/udp",)),
        ("8000-8002 6/UDP 5/sctp", ("8000/tcp", "8001/tcp", "8002/tcp", "6/udp", "5/sctp")),
        ("8080:80 127.0.0.1:1:2", ("80/tcp", "2/tcp")),
        ('"90"', ("90/tcp",)),
        ("$NONE", ()),
    ],
)
def test_ports(words: str, expected: tuple[str, ...]) -> None:
    expose = first(f"EXPOSE {words}", PORTS=" 80\t443 ", N="8", PROTO="udp")
    assert isinstance(expose, Expose)
    assert expose.ports == expected


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("EXPOSE $A", "val"),
        ("STOPSIGNAL $A", "val"),
        ("COPY --chmod=$A a b", "val"),
        ("ADD --checksum=$A http://x/y b", "val"),
        (f"ADD --checksum=sha256:{'0' * 64} a b", "local"),
        ("ENV $NONE=x", "blank"),
        ("WORKDIR 'a", "quote"),
    ],
)
def test_values_are_checked_after_expansion(source: str, word: str) -> None:
    with pytest.raises(DockerfileError, match=word) as caught:
        first(source)
    assert caught.value.location and caught.value.location.first_line == 2


@pytest.mark.parametrize("signal", ["SIGTERM", "quit", "9", "RTMIN+3", "SIGRTMAX-14", "sigkill"])
def test_signals(signal: str) -> None:
    found = first(f"STOPSIGNAL {signal}")
    assert isinstance(found, Stopsignal) and found.signal == signal


def test_checksum_of_remote_sources() -> None:
    assert isinstance(first(f"ADD --checksum=sha256:{'a' * 64} https://h/f /f"), Add)
    assert isinstance(first(f"ADD --checksum={'a' * 40} https://h/f.git /f"), Add)
    assert isinstance(first("ADD --checksum=b https://h/f.git /f"), Add)


def test_commands_and_triggers_are_left_alone() -> None:
    assert first("CMD echo $A") == Cmd(
        "CMD echo $A", parse(b"FROM x").stages[0].location, first("CMD echo $A").command
    )
    assert first("CMD echo $A").command.words == ("echo $A",)
    onbuild = first("ONBUILD ENV B=$A")
    assert isinstance(onbuild, Onbuild) and onbuild.trigger == "ENV B=$A"

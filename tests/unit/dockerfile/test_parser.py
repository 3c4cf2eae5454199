from __future__ import annotations

from typing import Any

import pytest

from jettison.dockerfile import parse, parse_trigger
from jettison.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from jettison.errors import DockerfileError
from jettison.location import Location

SECOND = 1_000_000_000


def one(source: str) -> Instruction:
    (instruction,) = parse(f"FROM x\n{source}".encode()).stages[0].instructions
    return instruction


def problem(source: str) -> tuple[str, str]:
    with pytest.raises(DockerfileError) as caught:
        parse(source.encode())
    (found,) = caught.value.problems
    return found.message, found.hint or ""


@pytest.mark.parametrize(
    ("source", "kind", "fields"),
    [
        ("ARG A", Arg, {"items": (("A", None),)}),
        ('ARG A=1 B="x y" C=', Arg, {"items": (("A", "1"), ("B", '"x y"'), ("C", ""))}),
        ("ENV A=1 B=e\\ f", Env, {"pairs": (("A", "1"), ("B", "e\\ f"))}),
        ("ENV A   b  c=d ", Env, {"pairs": (("A", "b  c=d"),)}),
        ("ENV A==b", Env, {"pairs": (("A", "=b"),)}),
        ("ENV A=b\\", Env, {"pairs": (("A", "b"),)}),
        ('LABEL "a.b"="c d" e=', Label, {"pairs": (('"a.b"', '"c d"'), ("e", ""))}),
        ("run make  all", Run, {"command": Command(True, ("make  all",)), "network": "default"}),
        ('RUN ["a", "b c"]', Run, {"command": Command(False, ("a", "b c"))}),
        ("RUN ['a']", Run, {"command": Command(True, ("['a']",))}),
        ("RUN --network=host --security=insecure x", Run, {"network": "host", "security": "insecure"}),
        ("RUN -- --x", Run, {"command": Command(True, ("--x",))}),
        ("RUN", Run, {"command": Command(True, ("",))}),
        ("COPY a b /c/", Copy, {"sources": ("a", "b"), "dest": "/c/", "files": ()}),
        ('COPY ["a b", "/c"]', Copy, {"sources": ("a b",), "dest": "/c"}),
        (
            "COPY --from=s --chown=1:2 --chmod=u+x --link --parents --exclude=*.o --exclude=b a /c",
            Copy,
            {
                "from_": "s",
                "chown": "1:2",
                "chmod": "u+x",
                "link": True,
                "parents": True,
                "exclude": ("*.o", "b"),
            },
        ),
        ("COPY --link=FALSE a b", Copy, {"link": False}),
        ("ADD a b", Add, {"unpack": None, "keep_git_dir": False, "checksum": ""}),
        ("ADD --unpack=false --keep-git-dir a b", Add, {"unpack": False, "keep_git_dir": True}),
        ("WORKDIR /a b", Workdir, {"path": "/a b"}),
        ("USER $U:g", User, {"user": "$U:g"}),
        ("EXPOSE 80 $P 8000-8002/udp", Expose, {"ports": ("80", "$P", "8000-8002/udp")}),
        ("VOLUME /a  /b", Volume, {"paths": ("/a", "/b")}),
        ('VOLUME ["/a b"]', Volume, {"paths": ("/a b",)}),
        ("CMD echo $A", Cmd, {"command": Command(True, ("echo $A",))}),
        ("CMD []", Cmd, {"command": Command(False, ())}),
        ('CMD [ "caf\\u00e9", "\\ud800" ]', Cmd, {"command": Command(False, ("café", "\ufffd"))}),
        ('CMD ["a", NaN]', Cmd, {"command": Command(True, ('["a", NaN]',))}),
        ('ENTRYPOINT ["a"] b', Entrypoint, {"command": Command(True, ('["a"] b',))}),
        ('SHELL ["sh", "-c"]', Shell, {"words": ("sh", "-c")}),
        ("STOPSIGNAL 9", Stopsignal, {"signal": "9"}),
        ("MAINTAINER a b", Maintainer, {"author": "a b"}),
        ("HEALTHCHECK none", Healthcheck, {"test": ("NONE",)}),
        (
            'HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=0 --retries=3 CMD ["a"]',
            Healthcheck,
            {"test": ("CMD", "a"), "interval_ns": 90 * SECOND, "timeout_ns": 3 * SECOND // 2, "retries": 3},
        ),
        ("HEALTHCHECK --start-interval=250ms CMD a  b", Healthcheck, {"test": ("CMD-SHELL", "a  b")}),
    ],
)
def test_instructions(source: str, kind: type[Instruction], fields: dict[str, Any]) -> None:
    instruction = one(source)
    assert type(instruction) is kind
    assert {name: getattr(instruction, name) for name in fields} == fields


def test_text_is_one_line_with_flags() -> None:
    assert one("RUN --network=none make \\\n# no\n  all").text == "RUN --network=none make   all"


def test_flags_are_unquoted() -> None:
    instruction = one("""COPY --chown='a b' --exclude="c\\"d" --exclude=e\\ f x /y""")
    assert isinstance(instruction, Copy)
    assert (instruction.chown, instruction.exclude) == ("a b", ('c"d', "e f"))


def test_stages() -> None:
    source = "ARG V=1\nFROM --platform=$P a:$V As Base\nRUN x\nfrom base\n"
    dockerfile = parse(source.encode(), "d/f")
    assert [argument.items for argument in dockerfile.global_args] == [(("V", "1"),)]
    first, second = dockerfile.stages
    assert (first.index, first.name, first.base, first.platform) == (0, "base", "a:$V", "$P")
    assert len(first.instructions) == 1 and first.location == Location("d/f", 2, 2)
    assert (second.index, second.name, second.base, second.instructions) == (1, "", "base", ())


def test_copy_heredocs_become_files() -> None:
    instruction = one("COPY a <<-B <<'C' /d/\n\tb\nB\nc\nC")
    assert isinstance(instruction, Copy)
    assert instruction.sources == ("a",)
    assert [(item.name, item.content, item.expand) for item in instruction.files] == [
        ("B", "b\n", True),
        ("C", "c\n", False),
    ]


def test_onbuild_keeps_the_trigger_with_its_heredoc() -> None:
    instruction = one("onbuild COPY <<E /f\nx\nE")
    assert isinstance(instruction, Onbuild)
    assert instruction.trigger == "COPY <<E /f\nx\nE"
    again = parse_trigger(instruction.trigger, "\\", Location("Dockerfile", 1, 1))
    assert again == instruction.instruction
    assert isinstance(again, Copy) and again.files[0].data == "x\n"


@pytest.mark.parametrize("text", ["FROM x", "ONBUILD RUN y", "", "RUN a\nRUN b", "NOPE"])
def test_bad_triggers_of_a_base_image(text: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_trigger(text, "\\", Location("Dockerfile", 7, 7))
    assert caught.value.location == Location("Dockerfile", 7, 7)


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        ("", "no instructions", "FROM"),
        ("ARG A", "no build stage", "FROM"),
        ("RUN x\nFROM y", "RUN: expected FROM", "ARG"),
        ("FROM x\nRUNN y", "unknown instruction: RUNN", "RUN"),
        ("FROM x\njust text", "unknown instruction: just", ""),
        ("FROM", "one or three", ""),
        ("FROM a b", "one or three", ""),
        ("FROM a IS b", "one or three", ""),
        ("FROM a AS 1b", "1b", "letter"),
        ("FROM a AS b/c", "b/c", "letter"),
        ("FROM --colour=x a", "--colour of FROM", "--platform"),
        ("FROM x\nCOPY --form=a b c", "--form of COPY", "--from"),
        ("FROM x\nCOPY --from a b", "--from of COPY needs a value", "--from=VALUE"),
        ("FROM x\nCOPY --link=maybe a b", "boolean", "--link=true"),
        ("FROM x\nCOPY --chown=1 --chown=2 a b", "duplicate flag --chown", "once"),
        ("FROM x\nCOPY --from=$A a b", "variable", "alias"),
        ("FROM x\nRUN --mount=from=$A,target=/b c", "define an alias stage instead", "FROM"),
        ("FROM x\nCOPY a", "destination", ""),
        ("FROM x\nCOPY <<E\nE", "destination", ""),
        ("FROM x\nCOPY a <<E\nE", "destination", ""),
        ("FROM x\nCOPY --chmod=9x9 a b", "mode '9x9'", "644"),
        ("FROM x\nCOPY --chmod=17777 a b", "mode", ""),
        ("FROM x\nADD --from=a b c", "--from of ADD", ""),
        ("FROM x\nADD --checksum=md5:zz http://h/a b", "digest algorithm", "sha256"),
        ("FROM x\nCMD --a", "--a of CMD", "no flags"),
        ("FROM x\nCMD [1]", "only strings", "quotes"),
        ("FROM x\nRUN []", "no program", ""),
        ("FROM x\nENV A", "two arguments", "ENV"),
        ("FROM x\nENV A=1 B", "'B'", "quote"),
        ("FROM x\nENV =1", "blank", ""),
        ("FROM x\nARG =1", "blank", ""),
        ("FROM x\nSHELL sh -c", "JSON", "SHELL"),
        ("FROM x\nSHELL []", "at least one", ""),
        ('FROM x\nVOLUME [" "]', "empty", ""),
        ("FROM x\nEXPOSE 70000", "70000", "PORT"),
        ("FROM x\nEXPOSE http", "http", "PORT"),
        ("FROM x\nEXPOSE 80/icmp", "icmp", "tcp"),
        ("FROM x\nEXPOSE 90-80", "range", ""),
        ("FROM x\nSTOPSIGNAL SIGNOSUCH", "SIGNOSUCH", ""),
        ("FROM x\nSTOPSIGNAL SIGTERMM", "SIGTERMM", "SIGTERM"),
        ("FROM x\nSTOPSIGNAL 0", "signal", ""),
        ("FROM x\nHEALTHCHECK TEST x", "TEST", "HEALTHCHECK"),
        ("FROM x\nHEALTHCHECK CMD", "missing command", ""),
        ("FROM x\nHEALTHCHECK NONE x", "takes no arguments", ""),
        ("FROM x\nHEALTHCHECK --interval=soon CMD x", "duration 'soon'", "30s"),
        ("FROM x\nHEALTHCHECK --interval=1us CMD x", "less than 1ms", ""),
        ("FROM x\nHEALTHCHECK --retries=-1 CMD x", "negative", ""),
        ("FROM x\nONBUILD FROM y", "FROM isn't allowed", ""),
        ("FROM x\nONBUILD ONBUILD RUN y", "ONBUILD ONBUILD", ""),
        ("FROM x\nONBUILD", "at least one", ""),
        ("FROM x\nRUN --network=moon y", "moon", "host"),
        ("FROM x\nWORKDIR", "exactly one", ""),
    ],
)
def test_problems_are_named(source: str, message: str, hint: str) -> None:
    found, advice = problem(source)
    assert message in found
    assert hint in advice


def test_all_problems_of_a_file_come_together() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"FROM x\nRUNN a\nRUN ok\nENV B \nUSER\n")
    assert [str(found.location) for found in caught.value.problems] == [
        "Dockerfile:2",
        "Dockerfile:4",
        "Dockerfile:5",
    ]


def test_noise_gives_few_short_problems() -> None:
    with pytest.raises(DockerfileError) as caught:
        parse(b"\xff\x01junk\n" * 100_000)
    assert len(caught.value.problems) == 20
    with pytest.raises(DockerfileError) as caught:
        parse(b"x" * 1_000_000)
    assert len(caught.value.message) < 200


def test_deep_json_is_shell_form() -> None:
    assert one("CMD " + "[" * 100_000) == Cmd(
        "CMD " + "[" * 100_000, Location("", 1, 1), Command(True, ("[" * 100_000,))
    )

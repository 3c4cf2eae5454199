"""Values with a syntax of their own: durations, ports, signals, modes, checksums, sizes.

Each function raises Mistake. They run when parsing if the value has no variable, else after expansion.
"""

from __future__ import annotations

import re

from jettison.dockerfile.mistake import Mistake, nearest, shown

# Most files need none of these patterns: they are strings, compiled when first used.
_DURATION = r"[-+]?(?:(?:[0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+\Z"
_DURATION_PART = r"([0-9]*)(?:\.([0-9]*))?([a-zµμ]+)"
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_MILLISECOND = 1_000_000


def duration(flag: str, text: str) -> int:
    """Nanoseconds of a HEALTHCHECK duration such as 1m30s; "" and 0 are 0."""
    if text in ("", "0", "+0", "-0"):
        return 0
    if not re.match(_DURATION, text):
        raise Mistake(
            f"invalid duration {shown(text)} for --{flag}", "write it with units, for example 30s or 1m30s"
        )
    total = 0
    for whole, fraction, unit in re.findall(_DURATION_PART, text.lstrip("+-")):
        factor = _UNITS[unit]
        total += int(whole or 0) * factor
        if fraction:
            total += int(fraction[:18]) * factor // 10 ** len(fraction[:18])
    if total >= 1 << 63:
        raise Mistake(f"invalid duration {shown(text)} for --{flag}: it is too long", "use a shorter one")
    if total == 0:
        return 0
    if text[0] == "-" or total < _MILLISECOND:
        raise Mistake(
            f"--{flag} cannot be less than 1ms, it is {text}", "use 1ms or more, or 0 for the default"
        )
    return total


def retries(text: str) -> int:
    """The number of --retries; 0 is the default."""
    if not text:
        return 0
    if not re.match(r"[-+]?\d{1,10}\Z", text, re.ASCII) or abs(int(text)) >= 1 << 31:
        raise Mistake(f"--retries expects a whole number, not {shown(text)}")
    if int(text) < 0:
        raise Mistake(f"--retries cannot be negative ({text})", "use 0 for the default")
    return int(text)


_PROTOCOLS = ("tcp", "udp", "sctp")
_PORT = r"[0-9]{1,5}\Z"


def ports(word: str) -> tuple[str, ...]:
    """The single ports, with protocol, of one EXPOSE word."""
    low, high, protocol = port_range(word)
    return tuple(f"{number}/{protocol}" for number in range(low, high + 1))


def port_range(word: str) -> tuple[int, int, str]:
    """First and last port and protocol of one EXPOSE word: 80, 80/udp, 8000-8010/tcp; HOST:CONTAINER."""
    spec, slash, protocol = word.partition("/")
    protocol = protocol.lower() if slash and protocol else "tcp"
    if protocol not in _PROTOCOLS:
        raise Mistake(f"invalid protocol {shown(protocol)} in EXPOSE {word[:60]}", "use tcp, udp or sctp")
    spec = spec.rpartition(":")[2]
    first, dash, last = spec.partition("-")
    low = _port(first, word)
    high = _port(last, word) if dash else low
    if high < low:
        raise Mistake(f"invalid port range {shown(word)} in EXPOSE: it ends before it starts")
    return low, high, protocol


def _port(text: str, word: str) -> int:
    if not re.match(_PORT, text) or int(text) > 65535:
        raise Mistake(
            f"invalid port {shown(word)} in EXPOSE: expected a number up to 65535",
            "write PORT, PORT/PROTOCOL or FIRST-LAST, for example 8080/tcp",
        )
    return int(text)


_SIGNALS = frozenset(
    [
        "ABRT",
        "ALRM",
        "BUS",
        "CHLD",
        "CLD",
        "CONT",
        "FPE",
        "HUP",
        "ILL",
        "INT",
        "IO",
        "IOT",
        "KILL",
        "PIPE",
        "POLL",
        "PROF",
        "PWR",
        "QUIT",
        "SEGV",
        "STKFLT",
        "STOP",
        "SYS",
        "TERM",
        "TRAP",
        "TSTP",
        "TTIN",
        "TTOU",
        "UNUSED",
        "URG",
        "USR1",
        "USR2",
        "VTALRM",
        "WINCH",
        "XCPU",
        "XFSZ",
        "RTMIN",
        "RTMAX",
    ]
)
_REAL_TIME = r"RTMIN\+(?:[1-9]|1[0-5])\Z|RTMAX-(?:[1-9]|1[0-4])\Z"


def check_signal(text: str) -> None:
    """A signal for STOPSIGNAL: a number other than 0, or a name with or without SIG."""
    if re.match(r"[-+]?\d{1,9}\Z", text, re.ASCII):
        if int(text):
            return
    else:
        name = text.upper().removeprefix("SIG")
        if name in _SIGNALS or re.match(_REAL_TIME, name):
            return
    meant = nearest(text.upper().removeprefix("SIG"), _SIGNALS)
    raise Mistake(
        f"invalid signal {shown(text)} in STOPSIGNAL",
        f"did you mean SIG{meant}?" if meant else "use a name such as SIGTERM, or a number",
    )


_SYMBOLIC_MODE = r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+(?:,[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+)*\Z"


def check_mode(text: str) -> None:
    """The value of --chmod: octal up to 7777, or symbolic as in chmod(1)."""
    if re.match(r"[0-7]+\Z", text, re.ASCII) and len(text.lstrip("0")) <= 4:
        return
    if not re.match(_SYMBOLIC_MODE, text):
        raise Mistake(
            f"invalid mode {shown(text)} for --chmod: expected an octal number up to 7777 or a symbolic mode",
            "for example --chmod=644 or --chmod=u=rwX,go=rX",
        )


_CHECKSUM_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_COMMIT = r"[0-9a-fA-F]{1,64}\Z"


def check_checksum(text: str) -> None:
    """The value of ADD --checksum: ALGORITHM:HEX, or the beginning of a git commit."""
    algorithm, colon, value = text.partition(":")
    if colon:
        length = _CHECKSUM_LENGTH.get(algorithm)
        if length and len(value) == length and re.match(r"[0-9a-f]+\Z", value):
            return
        what = "digest" if length else "digest algorithm"
    elif re.match(_COMMIT, text):
        return
    else:
        what = "digest"
    raise Mistake(
        f"invalid {what} in ADD --checksum={text[:140]}",
        "write sha256: and 64 hexadecimal digits, or a git commit",
    )


_SIZE = r"([0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9}) ?([kmgtpKMGTP]?)(?:[iI]?[bB])?\Z"


def size(text: str) -> int:
    """Bytes of a size such as 64m or 1.5GiB; all units are powers of 1024."""
    found = re.match(_SIZE, text)
    if not found:
        raise Mistake(f"invalid size {shown(text)}", "write a number with a unit, for example 64m")
    factor: int = 1024 ** (" kmgtp".index(found[2].lower() or " "))
    whole, _, fraction = found[1].partition(".")
    return int(whole or 0) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)


_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def boolean(key: str, text: str) -> bool:
    """The value of a boolean `--mount` option."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise Mistake(f"invalid value {shown(text)} for {key}: expected true or false")

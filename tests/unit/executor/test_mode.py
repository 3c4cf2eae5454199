from __future__ import annotations

import pytest

from jettison.errors import SourceError
from jettison.executor.mode import parse_mode


@pytest.mark.parametrize(
    ("text", "before", "is_dir", "after"),
    [
        ("640", 0o4755, False, 0o640),
        ("0755", 0o600, True, 0o755),
        ("4711", 0o644, False, 0o4711),
        ("u=rwX,go=rX", 0o750, True, 0o755),
        ("u=rwX,go=rX", 0o1777, True, 0o1755),
        ("u=rwX,go=rX", 0, False, 0o644),
        ("u=rwX,go=rX", 0o1644, False, 0o1644),
        ("u=rwX,go=rX", 0o2755, False, 0o755),
        ("u=rwX,go=rX", 0o4755, False, 0o755),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("+x", 0o644, False, 0o755),
        ("g=u", 0o600, False, 0o660),
        ("a-w", 0o755, False, 0o555),
        ("u+s,o=", 0o755, False, 0o4750),
        ("go-rwx", 0o644, False, 0o600),
        ("a=r,u+w", 0, False, 0o644),
        ("u=rw,g=u-w", 0o700, False, 0o640),
        ("+t", 0o755, True, 0o1755),
        ("g+s", 0o755, True, 0o2755),
    ],
)
def test_modes(text: str, before: int, is_dir: bool, after: int) -> None:
    assert oct(parse_mode(text)(before, is_dir)) == oct(after)


@pytest.mark.parametrize("text", ["9x9", "10000", "u", "u=rw,", "+q", "", "0o755", "-1", "٧٥٥"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(SourceError, match="chmod"):
        parse_mode(text)

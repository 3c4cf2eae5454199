"""What is remembered of folders: kept between builds, bounded, and no harm when damaged."""

from __future__ import annotations

from pathlib import Path

from jettison.sources.seen import Found, Seen, is_settled

ONE = Found("f" * 64, True, "sha256:" + "0" * 64, 3, "layer")


def test_what_was_found_is_known_to_the_next_build(tmp_path: Path) -> None:
    path = str(tmp_path / "seen")
    seen = Seen(path)
    assert seen.get("a") is None
    seen.put("a", ONE)
    seen.save()
    assert Seen(path).get("a") == ONE and Seen(path).get("b") is None
    assert (tmp_path / "seen").stat().st_mode & 0o777 == 0o600


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "seen")
    seen = Seen(path)
    for number in range(1000):
        seen.put(str(number), ONE)
    seen.save()
    again = Seen(path)
    assert again.get("0") is None and again.get("999") == ONE


def test_a_damaged_file_is_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "seen"
    seen = Seen(str(file))
    seen.put("a", ONE)
    seen.save()
    good = file.read_bytes()
    other = good.replace(b"layer", b"other")
    for bad in (b"", good[:-1], other, b"\xff" + good, good.replace(b"1", b"2", 1)):
        file.write_bytes(bad)
        assert Seen(str(file)).get("a") is None


def test_nothing_is_kept_of_a_context_that_goes_away(tmp_path: Path) -> None:
    seen = Seen()
    seen.put("a", ONE)
    seen.save()
    assert seen.get("a") == ONE and Seen().get("a") is None


def test_what_changed_a_moment_ago_is_not_settled() -> None:
    now = 10**18
    assert not is_settled(now, now) and not is_settled(now - 10**9, now)
    assert is_settled(now - 3 * 10**9, now)

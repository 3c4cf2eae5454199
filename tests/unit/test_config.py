from __future__ import annotations

from pathlib import Path

import pytest

from jettison.config import Config, RegistryConfig, load, variables
from jettison.errors import ConfigError


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config"), **more}


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return str(path)


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'root = "/file"\nruntime = "file"\n')
    assert load(environment(tmp_path), file=path).root == "/file"
    set_ = environment(tmp_path, JETTISON_ROOT="/variable", JETTISON_RUNTIME="variable")
    assert (load(set_, file=path).root, load(set_, file=path).runtime) == ("/variable", "variable")
    assert load(set_, file=path, root="/flag", runtime="flag") == Config("/flag", "flag")


def test_how_large_the_store_may_be(tmp_path: Path) -> None:
    assert load(environment(tmp_path)).cache_max == ""
    path = written(tmp_path, 'cache_max = "15%"')
    assert load(environment(tmp_path), file=path).cache_max == "15%"
    assert load(environment(tmp_path, JETTISON_CACHE_MAX="none"), file=path).cache_max == "none"
    assert load(environment(tmp_path, JETTISON_CACHE_MAX="1G"), file=path, cache_max="2G").cache_max == "2G"
    for text in ("much", "-1G", "1X", "200%"):
        with pytest.raises(ConfigError, match="--cache-max"):
            load(environment(tmp_path), cache_max=text)
    with pytest.raises(ConfigError, match="cache_max"):
        load(environment(tmp_path), file=written(tmp_path, "cache_max = []"))


def test_how_long_a_server_may_be_silent(tmp_path: Path) -> None:
    assert load(environment(tmp_path)).read_timeout == 60
    path = written(tmp_path, "read_timeout = 5")
    assert load(environment(tmp_path), file=path).read_timeout == 5
    assert load(environment(tmp_path, JETTISON_READ_TIMEOUT="0.5"), file=path).read_timeout == 0.5
    for text in ("0", "-1", "soon", "nan", "inf"):
        with pytest.raises(ConfigError, match="JETTISON_READ_TIMEOUT"):
            load(environment(tmp_path, JETTISON_READ_TIMEOUT=text))
    with pytest.raises(ConfigError, match="read_timeout"):
        load(environment(tmp_path), file=written(tmp_path, "read_timeout = []"))


def test_the_file_is_found_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "jettison"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('root = "/found"')
    assert load(environment(tmp_path)).root == "/found"
    other = written(tmp_path, 'root = "/other"')
    assert load(environment(tmp_path, JETTISON_CONFIG=other)).root == "/other"


def test_registries_and_mirrors(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[registry."docker.io"]\nmirrors = ["http://one"]\n[registry."local:5000"]\ninsecure = true\n',
    )
    config = load(
        environment(tmp_path, JETTISON_REGISTRY_MIRRORS="docker.io=http://two, gcr.io=http://three"),
        file=path,
    )
    assert config.registries == {
        "docker.io": RegistryConfig(("http://one", "http://two")),
        "local:5000": RegistryConfig((), True),
        "gcr.io": RegistryConfig(("http://three",)),
    }


def test_a_relative_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environment(tmp_path), root="store").root == str(tmp_path / "store")


def test_a_user_has_a_store_at_home(tmp_path: Path) -> None:
    own = environment(tmp_path, JETTISON_ROOTLESS="1")
    assert load(own).root == str(tmp_path / ".local/share/jettison")
    assert load(own | {"XDG_DATA_HOME": "/data"}).root == "/data/jettison"


@pytest.mark.parametrize(
    "text",
    [
        "root = 5",
        "colour = 'red'",
        "root = ",
        "[registry.x]\nmirrors = 'http://one'",
        "[registry.x]\nmirrors = [1]",
        "[registry.x]\ninsecure = 'yes'",
        "[registry.x]\nother = 1",
        "registry = 1",
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(environment(tmp_path), file=path)
    assert path in caught.value.message


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load(environment(tmp_path), file=str(tmp_path / "nowhere"))
    path = tmp_path / "noise"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="noise"):
        load(environment(tmp_path), file=str(path))


def test_bad_mirrors_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="JETTISON_REGISTRY_MIRRORS"):
        load(environment(tmp_path, JETTISON_REGISTRY_MIRRORS="http://one"))


def test_the_callers_variables_are_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JETTISON_TEST_VARIABLE", "1")
    got = variables()
    got["JETTISON_TEST_VARIABLE"] = "2"
    assert variables()["JETTISON_TEST_VARIABLE"] == "1"

"""The configuration: defaults < file < environment < flags, in one frozen `Config`.

Only `build`, the API and the command line read it; everything below gets plain values.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from jettison.dataclass import dataclass, field, replace
from jettison.errors import ConfigError


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """How one registry is reached. `mirrors` are base addresses, tried before the registry itself."""

    mirrors: tuple[str, ...] = ()
    insecure: bool = False
    """Speak plain http, and accept any certificate. Loopback addresses are always tried with http too."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. `root` is the store's folder; `runtime` an OCI runtime by name or path ("": find one)."""

    root: str
    runtime: str = ""
    registries: Mapping[str, RegistryConfig] = field(default_factory=dict)
    ca_bundle: str = ""
    read_timeout: float = 60.0
    """Seconds that a server may be silent before it is given up."""
    cache_max: str = ""
    """What the store may take on the disk: "20G", "15%" of its file system, "none"; "": the default."""
    isolation: str = ""
    """How RUN is kept apart, as --isolation takes it; "": the best way that there is."""


def load(
    environment: Mapping[str, str],
    *,
    root: str = "",
    runtime: str = "",
    isolation: str = "",
    file: str = "",
    cache_max: str = "",
) -> Config:
    """Read the configuration file and the environment; flags given here win.

    The file is JETTISON_CONFIG, else `jettison/config.toml` below XDG_CONFIG_HOME
    (~/.config), else /etc/jettison/config.toml. Raises ConfigError with the file's name.
    """
    config = Config(root=_default_root(environment))
    path = file or environment.get("JETTISON_CONFIG", "")
    for candidate in [path] if path else _candidates(environment):
        if path or os.path.exists(candidate):
            config = _from_file(config, candidate)
            break
    if value := environment.get("JETTISON_ROOT"):
        config = replace(config, root=value)
    if value := environment.get("JETTISON_RUNTIME"):
        config = replace(config, runtime=value)
    if value := environment.get("JETTISON_ISOLATION"):
        config = replace(config, isolation=value)
    if value := environment.get("SSL_CERT_FILE"):
        config = replace(config, ca_bundle=value)
    if value := environment.get("JETTISON_READ_TIMEOUT"):
        config = replace(config, read_timeout=_seconds("JETTISON_READ_TIMEOUT", value))
    if value := environment.get("JETTISON_CACHE_MAX"):
        config = replace(config, cache_max=_size("JETTISON_CACHE_MAX", value))
    if value := environment.get("JETTISON_REGISTRY_MIRRORS"):
        config = replace(config, registries=_with_mirrors(config.registries, value))
    return replace(
        config,
        root=os.path.abspath(os.path.expanduser(root or config.root)),
        runtime=runtime or config.runtime,
        isolation=isolation or config.isolation,
        cache_max=_size("--cache-max", cache_max) if cache_max else config.cache_max,
    )


def variables() -> dict[str, str]:
    """This process's environment, for callers of the API that give none of their own."""
    return dict(os.environ)


def _default_root(environment: Mapping[str, str]) -> str:
    if os.geteuid() == 0 and "JETTISON_ROOTLESS" not in environment:
        return "/var/lib/jettison"
    data = environment.get("XDG_DATA_HOME") or os.path.join(environment.get("HOME", "/"), ".local", "share")
    return os.path.join(data, "jettison")


def _candidates(environment: Mapping[str, str]) -> list[str]:
    home = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    return [os.path.join(home, "jettison", "config.toml"), "/etc/jettison/config.toml"]


def _from_file(config: Config, path: str) -> Config:
    import tomllib

    try:
        with open(path, "rb") as file:
            data = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="the configuration is TOML") from error
    for key, value in data.items():
        if key == "root" and isinstance(value, str):
            config = replace(config, root=value)
        elif key == "runtime" and isinstance(value, str):
            config = replace(config, runtime=value)
        elif key == "isolation" and isinstance(value, str):
            config = replace(config, isolation=value)
        elif key == "ca_bundle" and isinstance(value, str):
            config = replace(config, ca_bundle=value)
        elif key == "read_timeout":
            config = replace(config, read_timeout=_seconds(f"{path}: read_timeout", value))
        elif key == "cache_max":
            config = replace(config, cache_max=_size(f"{path}: cache_max", value))
        elif key == "registry" and isinstance(value, dict):
            registries = {name: _registry(path, name, table) for name, table in value.items()}
            config = replace(config, registries=registries)
        else:
            raise ConfigError(
                f"{path}: {key!r} is no setting, or has the wrong type",
                hint="settings: root, runtime, isolation, ca_bundle, read_timeout, cache_max;"
                " [registry.NAME]: mirrors, insecure",
            )
    return config


def _seconds(what: str, value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise ConfigError(f"{what} is {value!r}", hint="it is a number of seconds, for example 60")
    return seconds


def _size(what: str, value: Any) -> str:
    from jettison.sizes import parse_size

    try:
        if str(value) != "none":
            parse_size(str(value))
    except ValueError as error:
        raise ConfigError(
            f"{what} is {str(value)!r}, which is no amount", hint="for example 20G, 512MiB, 15% or none"
        ) from error
    return str(value)


def _registry(path: str, name: str, table: Any) -> RegistryConfig:
    wrong = ConfigError(
        f'{path}: [registry."{name}"] holds mirrors (a list of addresses) and insecure (true or false)'
    )
    if not isinstance(table, dict) or set(table) - {"mirrors", "insecure"}:
        raise wrong
    mirrors, insecure = table.get("mirrors", []), table.get("insecure", False)
    if not isinstance(insecure, bool) or not isinstance(mirrors, list):
        raise wrong
    if not all(isinstance(mirror, str) for mirror in mirrors):
        raise wrong
    return RegistryConfig(tuple(mirrors), insecure)


def _with_mirrors(registries: Mapping[str, RegistryConfig], text: str) -> dict[str, RegistryConfig]:
    out = dict(registries)
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, address = item.partition("=")
        if not (name and equals and address):
            raise ConfigError(
                f"JETTISON_REGISTRY_MIRRORS: {item!r} is not REGISTRY=ADDRESS",
                hint="for example docker.io=http://127.0.0.1:5000",
            )
        old = out.get(name, RegistryConfig())
        out[name] = replace(old, mirrors=(*old.mirrors, address))
    return out

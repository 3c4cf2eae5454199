"""Lowering of the instructions that only change the image's configuration and the stage's variables."""

from __future__ import annotations

from typing import Any

from jettison.dockerfile.expand import expand_instruction
from jettison.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    Stopsignal,
    User,
    Volume,
)
from jettison.graph.history import quoted
from jettison.graph.state import Lowering, StageState


def apply_metadata(work: Lowering, state: StageState, instruction: Instruction) -> None:
    """Carry out one instruction that makes no layer."""
    if isinstance(instruction, Arg):
        _arg(work, state, instruction)
        return
    done = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    config = state.config
    match done:
        case Env():
            state.scope.env.update(done.pairs)
            config["Env"] = [f"{name}={value}" for name, value in state.scope.env.items()]
            state.record("ENV " + " ".join(f"{name}={value}" for name, value in done.pairs))
        case Label():
            config["Labels"] = {**(config.get("Labels") or {}), **dict(done.pairs)}
            state.record("LABEL " + " ".join(f"{name}={value}" for name, value in done.pairs))
        case Cmd():
            config["Cmd"] = _words(state, done.command)
            state.own_cmd = True
            state.record("CMD " + quoted(config["Cmd"]))
        case Entrypoint():
            config["Entrypoint"] = _words(state, done.command)
            if not state.own_cmd:
                config.pop("Cmd", None)
            state.record("ENTRYPOINT " + quoted(config["Entrypoint"]))
        case Expose():
            config["ExposedPorts"] = {
                **(config.get("ExposedPorts") or {}),
                **{port: {} for port in done.ports},
            }
            state.record(f"EXPOSE [{' '.join(done.ports)}]")
        case Volume():
            config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in done.paths}}
            state.record(f"VOLUME [{' '.join(done.paths)}]")
        case User():
            config["User"] = done.user
            state.record(f"USER {done.user}")
        case Stopsignal():
            config["StopSignal"] = done.signal
            state.record(f"STOPSIGNAL {done.signal}")
        case Shell():
            config["Shell"] = list(done.words)
            state.record(f"SHELL [{' '.join(done.words)}]")
        case Healthcheck():
            config["Healthcheck"] = _healthcheck(state, done)
            state.record(f"HEALTHCHECK {done.text.partition(' ')[2].strip()}")
        case Onbuild():
            config["OnBuild"] = [*(config.get("OnBuild") or ()), done.trigger]
        case Maintainer():
            state.author = done.author
            state.record(f"MAINTAINER {done.author}")
        case _:
            raise AssertionError(f"no lowering for {type(done).__name__}")


def _arg(work: Lowering, state: StageState, instruction: Arg) -> None:
    arg = expand_instruction(instruction, state.scope.lookup, work.settings.escape)
    assert isinstance(arg, Arg)
    parts: list[str] = []
    for name, default in arg.items:
        value = work.settings.globals.for_stage(name, default)
        if value is None:
            state.scope.args.pop(name, None)
            state.arguments.pop(name, None)
            parts.append(name)
        else:
            state.scope.args[name] = state.arguments[name] = value
            parts.append(f"{name}={value}")
    state.record("ARG " + " ".join(parts))


def _words(state: StageState, command: Command) -> list[str]:
    return [*state.shell, *command.words] if command.shell else list(command.words)


def _healthcheck(state: StageState, check: Healthcheck) -> dict[str, Any]:
    out: dict[str, Any] = {"Test": list(check.test)}
    numbers = {
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "StartInterval": check.start_interval_ns,
        "Retries": check.retries,
    }
    out.update({name: value for name, value in numbers.items() if value})
    return out

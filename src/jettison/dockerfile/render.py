"""A Dockerfile as text again: one line for each instruction, without comments."""

from __future__ import annotations

from jettison.dockerfile.instructions import Add, Copy, Dockerfile, Heredoc, Instruction, Onbuild, Run


def render(dockerfile: Dockerfile) -> str:
    """Text that parses to an equal Dockerfile."""
    lines = [f"# {key}={value}" for key, value in dockerfile.directives.items()]
    for argument in dockerfile.global_args:
        lines.append(_line(argument, dockerfile.escape))
    for stage in dockerfile.stages:
        for instruction in (stage.source, *stage.instructions):
            lines.append(_line(instruction, dockerfile.escape))
    return "\n".join(lines) + "\n"


def _line(instruction: Instruction, escape: str) -> str:
    text = instruction.text
    if text.endswith(escape) and not text.endswith(escape * 2):
        # This line ended a file. The form feed keeps it from being continued, and is trimmed.
        text += "\f"
    return text + "".join(f"\n{document.data}{document.name}" for document in _heredocs(instruction))


def _heredocs(instruction: Instruction) -> tuple[Heredoc, ...]:
    if isinstance(instruction, Onbuild):
        return _heredocs(instruction.instruction)
    if isinstance(instruction, Run):
        return instruction.heredocs
    if isinstance(instruction, Copy | Add):
        return instruction.files
    return ()

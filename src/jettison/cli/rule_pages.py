"""Writes the pages of the rules: `python -m jettison.cli.rule_pages docs/lint`."""

from __future__ import annotations

import os
import sys

from jettison.lint.pages import pages


def write(folder: str) -> None:
    """Write all pages, and remove those of rules that are no more."""
    made = pages()
    for name in os.listdir(folder):
        if name.endswith(".md") and name not in made:
            os.remove(os.path.join(folder, name))
    for name, text in made.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    write(sys.argv[1])

"""The documentation of the rules, made of their table: a page for each, and a list of them all."""

from __future__ import annotations

from jettison.lint.table import Rule, every_rule


def pages() -> dict[str, str]:
    """File names in docs/lint with their text."""
    rules = every_rule()
    out = {f"{rule.id}.md": _page(rule) for rule in rules}
    out["README.md"] = _list(rules)
    return out


def _page(rule: Rule) -> str:
    lines = [f"# {rule.id}", "", rule.summary[0].upper() + rule.summary[1:] + ".", "", rule.why, ""]
    lines += [f"- severity: {rule.severity}"]
    lines += [f"- `jettison lint --fix`: {'mends it' if rule.fixable else 'leaves it to you'}"]
    if rule.own:
        lines += ["- checked by `jettison lint`, and by `jettison build --check --all-rules`"]
    else:
        lines += [
            "- checked by every build, `jettison build --check` and `jettison lint`; a rule of BuildKit"
        ]
    if rule.experimental:
        lines += ["- off, unless `# check=experimental=" + rule.id + "` turns it on"]
    lines += ["", "## Bad", "", *_example(rule.bad, rule.ignore)]
    lines += ["", "## Good", "", *_example(rule.good, rule.mended_ignore or rule.ignore)]
    lines += ["", "## Leaving it out", "", "For one instruction, in a comment right above it:", ""]
    lines += ["```dockerfile", f"# check=skip={rule.id}", "```", ""]
    lines += ["The same line at the top of the file leaves the rule out for all of it."]
    return "\n".join(lines) + "\n"


def _example(text: str, ignore: str) -> list[str]:
    lines = ["```dockerfile", *text.splitlines(), "```"]
    if ignore:
        lines += ["", "`.dockerignore`:", "", "```", *ignore.splitlines(), "```"]
    return lines


def _list(rules: tuple[Rule, ...]) -> str:
    lines = [
        "# Rules",
        "",
        "What `jettison lint` and `jettison build --check` look for. These pages are made from the rules'",
        "table by `python -m jettison.cli.rule_pages docs/lint`; a test keeps them up to date, and checks",
        "that each bad example is found and each good one is not.",
    ]
    for title, own in (("Rules of BuildKit", False), ("Rules of jettison", True)):
        lines += ["", f"## {title}", "", "| rule | | severity | `--fix` |", "|---|---|---|---|"]
        for rule in rules:
            if rule.own is own:
                fixable = "yes" if rule.fixable else ""
                lines.append(f"| [{rule.id}]({rule.id}.md) | {rule.summary} | {rule.severity} | {fixable} |")
    return "\n".join(lines) + "\n"

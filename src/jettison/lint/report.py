"""Findings as documents: JSON as buildx writes it, and SARIF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jettison.errors import JettisonError
from jettison.lint.base import Finding
from jettison.lint.table import Rule, rules_by_id
from jettison.location import Location
from jettison.version import VERSION

_LEVELS = {"error": "error", "warning": "warning", "note": "note"}


def ranges(location: Location) -> dict[str, Any]:
    """A location as buildx has it: a range for each line. Characters count from 0 and are not told apart."""
    lines = range(location.first_line, max(location.last_line, location.first_line) + 1)
    spots = [{"line": line, "character": 0} for line in lines]
    return {"ranges": [{"start": spot, "end": spot} for spot in spots]}


def source(name: str, data: bytes) -> dict[str, Any]:
    """The checked file itself, as documents carry it."""
    from base64 import b64encode

    return {"filename": name, "language": "Dockerfile", "data": b64encode(data).decode("ascii")}


def json_document(
    findings: Sequence[Finding], name: str, data: bytes, error: JettisonError | None = None
) -> dict[str, Any]:
    """The document of `--check --format json`."""
    rules = rules_by_id()
    document: dict[str, Any] = {
        "warnings": [
            {
                "ruleName": finding.rule,
                "description": rules[finding.rule].summary,
                "detail": finding.message,
                "location": ranges(finding.location),
            }
            for finding in findings
        ],
        "sources": [source(name, data)],
    }
    if error is not None:
        document["buildError"] = {"message": error.message}
        if error.location is not None:
            document["buildError"]["location"] = ranges(error.location)
    return document


def sarif_document(findings: Sequence[Finding]) -> dict[str, Any]:
    """A SARIF 2.1.0 log, as code hosts and editors read it."""
    rules = rules_by_id()
    used = sorted({finding.rule for finding in findings})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "jettison",
                        "version": VERSION,
                        "rules": [_sarif_rule(rules[name]) for name in used],
                    }
                },
                "results": [_sarif_result(finding, rules, used) for finding in findings],
            }
        ],
    }


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why.replace("\n", " ")},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _sarif_result(finding: Finding, rules: dict[str, Rule], used: list[str]) -> dict[str, Any]:
    place = finding.location
    return {
        "ruleId": finding.rule,
        "ruleIndex": used.index(finding.rule),
        "level": _LEVELS[rules[finding.rule].severity],
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": place.path},
                    "region": {"startLine": place.first_line, "endLine": place.last_line},
                }
            }
        ],
    }

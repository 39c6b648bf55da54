"""SARIF 2.1.0, for code hosts that show results at their lines.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

import hashlib
from collections import Counter
from typing import Any
from urllib.parse import quote

from freehold.core.surface import Support, surface
from freehold.evaluate.scan.conclude import support_of
from freehold.evaluate.scan.finding import Confidence, Finding, Kind, Unread
from freehold.evaluate.scan.scanning import Inventory

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_TITLES = {
    Kind.SDK: ("ClosedModelSdk", "A closed model's library is used"),
    Kind.CLIENT: ("ClosedModelClient", "A client of a closed model is made"),
    Kind.ENDPOINT: ("ClosedModelEndpoint", "The URL of a closed model's API"),
    Kind.MODEL: ("ClosedModelName", "A closed model is named"),
    Kind.FEATURE: ("ClosedModelFeature", "Something of a closed model's API is used"),
    Kind.VARIABLE: ("ClosedModelVariable", "A variable that a closed model's client reads"),
}
_RANK = {Confidence.CERTAIN: 100.0, Confidence.LIKELY: 60.0, Confidence.MENTION: 10.0}


def sarif_log(inventory: Inventory, version: str) -> dict[str, Any]:
    """One run. Errors are what the gateway does not support, warnings what has to be changed, the rest are notes."""
    rules = sorted({rule_id(each) for each in inventory.findings})
    seen: Counter[tuple[str, str, str]] = Counter()
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver(rules, version)},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The folder that was scanned."}}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [_notification(each) for each in inventory.unread],
                    }
                ],
                "results": [_result(each, rules, seen) for each in inventory.findings],
            }
        ],
    }


def rule_id(finding: Finding) -> str:
    """`feature/tools`, or the kind alone."""
    return f"{finding.kind.value}/{finding.value}" if finding.kind is Kind.FEATURE else finding.kind.value


def _driver(rules: list[str], version: str) -> dict[str, Any]:
    return {
        "name": "freehold scan",
        "semanticVersion": version,
        "version": version,
        "rules": [_rule(id_) for id_ in rules],
    }


def _rule(id_: str) -> dict[str, Any]:
    kind, _, feature = id_.partition("/")
    name, title = _TITLES[Kind(kind)]
    rule: dict[str, Any] = {"id": id_, "name": name, "shortDescription": {"text": f"{title}."}}
    if feature:
        known = surface()[feature]
        rule["name"] = name + "".join(word.capitalize() for word in feature.split("_"))
        rule["shortDescription"] = {"text": f"A closed model's API is used: {known.title}."}
        rule["help"] = {"text": f"Gateway: {known.support.value}. {known.says}".strip()}
    return rule


def _result(finding: Finding, rules: list[str], seen: Counter[tuple[str, str, str]]) -> dict[str, Any]:
    same = (finding.file, rule_id(finding), finding.value)
    seen[same] += 1
    return {
        "ruleId": rule_id(finding),
        "ruleIndex": rules.index(rule_id(finding)),
        "level": level(finding),
        "rank": _RANK[finding.confidence],
        "message": {"text": message(finding)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(finding.file), "uriBaseId": "SRCROOT"},
                    "region": {"startLine": finding.line},
                }
            }
        ],
        # By what it is and which one of them, not by its line: it stays the same when lines above it change.
        "partialFingerprints": {"freeholdScan/v1": _fingerprint(*same, seen[same])},
        "properties": {"provider": finding.provider, "confidence": finding.confidence.value},
    }


def level(finding: Finding) -> str:
    """`error`, `warning` or `note`."""
    if finding.confidence is Confidence.MENTION:
        return "note"
    if finding.kind is Kind.FEATURE:
        return "error" if support_of(finding)[0] is Support.NO else "note"
    return "warning" if finding.change else "note"


def message(finding: Finding) -> str:
    """What it is, and what to do."""
    if finding.kind is Kind.FEATURE:
        support, says = support_of(finding)
        known = surface()[finding.value]
        of = f" of {finding.model}" if finding.model else ""
        told = {Support.NO: "is not supported by the gateway", Support.IGNORED: "has no effect in the gateway"}
        verdict = told.get(support, "is supported by the gateway")
        return f"{known.title[:1].upper()}{known.title[1:]}{of} {verdict}{f': {says}' if says else ''}."
    title = _TITLES[finding.kind][1]
    return f"{title}: {finding.value} ({finding.provider}).{f' {finding.change}' if finding.change else ''}"


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def _notification(unread: Unread) -> dict[str, Any]:
    return {
        "level": "note" if unread.scanned else "warning",
        "message": {"text": f"{unread.file} {unread.reason}{'; searched by pattern' if unread.scanned else ''}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(unread.file), "uriBaseId": "SRCROOT"}}}],
    }

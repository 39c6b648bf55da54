"""The inventory and its conclusions as one JSON document."""

from collections import Counter
from typing import Any

from freehold.core.surface import surface
from freehold.evaluate.scan.conclude import Conclusion, Replacement, Use, support_of
from freehold.evaluate.scan.conclude.candidates import Candidate
from freehold.evaluate.scan.finding import Finding, Kind
from freehold.evaluate.scan.scanning import Inventory


def scan_document(inventory: Inventory, conclusion: Conclusion) -> dict[str, Any]:
    """Keys in snake_case; `findings` by file and line. The same tree gives the same document."""
    return {
        "root": str(inventory.root),
        "summary": _summary(inventory, conclusion),
        "findings": [finding_data(each) for each in inventory.findings],
        "features": [_use(each) for each in conclusion.uses],
        "changes": [
            {"what": each.what, "places": [_place(where) for where in each.places]} for each in conclusion.changes
        ],
        "models": [_replacement(each) for each in conclusion.replacements],
        "unread": [
            {"file": each.file, "reason": each.reason, "searched_by_pattern": each.scanned} for each in inventory.unread
        ],
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    """One finding; of a feature, what the gateway does with it."""
    data: dict[str, Any] = {
        "file": finding.file,
        "line": finding.line,
        "kind": finding.kind.value,
        "value": finding.value,
        "provider": finding.provider,
        "confidence": finding.confidence.value,
    }
    if finding.kind is Kind.FEATURE:
        support, says = support_of(finding)
        data |= {"title": surface()[finding.value].title, "gateway": support.value, "says": says}
    if finding.kind is Kind.CLIENT:
        data["settled"] = finding.settled
    optional = {"model": finding.model, "change": finding.change}
    return data | {key: value for key, value in optional.items() if value}


def _summary(inventory: Inventory, conclusion: Conclusion) -> dict[str, Any]:
    found = inventory.findings
    changing = [place for change in conclusion.changes for place in change.places]
    return {
        "files_read": inventory.files,
        "files_found_in": len({each.file for each in found}),
        "findings": len(found),
        "mentions": inventory.mentions,
        "by_kind": dict(sorted(Counter(each.kind.value for each in found).items())),
        "by_provider": dict(sorted(Counter(each.provider for each in found).items())),
        "places_to_change": len(changing),
        "files_to_change": len({each.file for each in changing}),
        "not_supported": sum(len(use.places) for use in conclusion.unsupported),
        "unread": len(inventory.unread),
        "ignored_by": inventory.ignored_by,
        "left_out": inventory.left_out,
    }


def _place(finding: Finding) -> str:
    return f"{finding.file}:{finding.line}"


def _use(use: Use) -> dict[str, Any]:
    return {
        "feature": use.id,
        "title": use.title,
        "gateway": use.support.value,
        "says": use.says,
        "places": [_place(each) for each in use.places],
    }


def _replacement(each: Replacement) -> dict[str, Any]:
    return {
        "model": each.model,
        "provider": each.provider,
        "known_as": each.known_as,
        "needs": list(each.needs),
        "places": [_place(where) for where in each.places],
        "candidates": [_candidate(candidate) for candidate in each.candidates],
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    manifest = candidate.manifest
    return {
        "id": manifest.id,
        "named": candidate.named,
        "license": manifest.license.spdx,
        "commercial_use": manifest.license.commercial_use,
        "parameters": manifest.parameters_total,
        "parameters_active": manifest.parameters_active,
        "lacks": list(candidate.lacks),
    }

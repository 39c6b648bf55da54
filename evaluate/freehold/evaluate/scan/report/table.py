"""What `freehold scan` prints for people: the inventory, then what follows from it."""

import shlex
from collections.abc import Sequence
from typing import Any

from freehold.core.cli.options import Format
from freehold.core.cli.output import print_rows
from freehold.core.progress import hint, human_parameters
from freehold.core.surface import Support
from freehold.evaluate.scan.conclude import Conclusion, Replacement, support_of
from freehold.evaluate.scan.conclude.candidates import Candidate
from freehold.evaluate.scan.finding import Confidence, Finding, Kind
from freehold.evaluate.scan.scanning import Inventory

COLUMNS = ("place", "kind", "what", "sure", "model", "gateway")
SHOWN_PLACES = 6
SHOWN_CANDIDATES = 4
_GATEWAY = {Support.YES: "yes", Support.CONDITIONS: "if the model can", Support.IGNORED: "no effect", Support.NO: "NO"}


def print_inventory(inventory: Inventory, conclusion: Conclusion) -> None:
    """Every finding, then changes, what is not supported, and candidates."""
    empty = f"Nothing in {inventory.files:,} files depends on a closed model."
    print_rows([_row(each) for each in inventory.findings], COLUMNS, Format.TABLE, empty=empty)
    if inventory.findings:
        _print_changes(inventory, conclusion)
        _print_support(conclusion)
        _print_candidates(conclusion.replacements)
    _tell_unread(inventory)


def _row(finding: Finding) -> dict[str, Any]:
    gateway = ""
    if finding.kind is Kind.FEATURE:
        gateway = _GATEWAY[support_of(finding)[0]]
    elif finding.settled:
        gateway = "points elsewhere"
    elif finding.change:
        gateway = "change"
    return {
        "place": f"{finding.file}:{finding.line}",
        "kind": finding.kind.value,
        "what": finding.value,
        "sure": "" if finding.confidence is Confidence.CERTAIN else finding.confidence.value,
        "model": finding.model,
        "gateway": gateway,
    }


def _print_changes(inventory: Inventory, conclusion: Conclusion) -> None:
    places = [place for change in conclusion.changes for place in change.places]
    files = len({place.file for place in places})
    if places:
        print(f"\nTo change: {len(places)} place(s) in {files} file(s)")
    else:
        print("\nTo change: nothing that was found; see what the libraries read from the environment")
    for change in conclusion.changes:
        print(f"  {len(change.places)} × {change.what}")
        print(f"      {_places(change.places)}")
    names = [replacement.model for replacement in conclusion.replacements]
    if names:
        print(f"  {len(names)} model name(s) may stay: give the gateway a route of each name (docs/gateway.md), or")
        print(f"      freehold serve MODEL {' '.join(f'--route {shlex.quote(name)}' for name in names)}")


def _print_support(conclusion: Conclusion) -> None:
    missing = conclusion.unsupported
    total = sum(len(use.places) for use in missing)
    print(f"\nNot supported by the gateway: {f'{total} place(s)' if total else 'nothing that was found'}")
    for use in missing:
        print(f"  {use.title}: {use.says}")
        print(f"      {_places(use.places)}")
    conditional = [use for use in conclusion.uses if use.support in (Support.CONDITIONS, Support.IGNORED)]
    if conditional:
        print("\nSupported on conditions")
    for use in conditional:
        print(f"  {use.title} ({len(use.places)}): {use.says}")


def _print_candidates(found: list[Replacement]) -> None:
    if not found:
        return
    print("\nCandidates of the catalogue")
    for each in found:
        needs = f", used with {', '.join(each.needs)}" if each.needs else ""
        print(f"  {each.model} ({each.provider}, {len(each.places)} place(s){needs})")
        for candidate in each.candidates[:SHOWN_CANDIDATES]:
            print(f"      {_candidate(candidate)}")
        if not each.candidates:
            print("      none is known; `freehold models list` shows the catalogue")
        elif len(each.candidates) > SHOWN_CANDIDATES:
            print(f"      and {len(each.candidates) - SHOWN_CANDIDATES} more")
    hint("The order is no verdict. Which of them fit your GPUs: freehold plan --replace MODEL --gpus 1xL40S")


def _candidate(candidate: Candidate) -> str:
    manifest = candidate.manifest
    size = human_parameters(manifest.parameters_total)
    active = f", {human_parameters(manifest.parameters_active)} active" if manifest.parameters_active else ""
    named = ", named by its publisher" if candidate.named else ""
    lacks = f", lacks {', '.join(candidate.lacks)}" if candidate.lacks else ""
    return f"{manifest.id}: {size}{active}, {manifest.license.spdx}{named}{lacks}"


def _places(findings: Sequence[Finding]) -> str:
    shown = [f"{each.file}:{each.line}" for each in findings[:SHOWN_PLACES]]
    rest = len(findings) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _tell_unread(inventory: Inventory) -> None:
    """What was not read is said, never left out in silence."""
    for each in inventory.unread:
        searched = "; searched by pattern" if each.scanned else ""
        hint(f"{each.file} {each.reason}{searched}")
    if inventory.left_out:
        shown = ", ".join(inventory.left_out[:SHOWN_PLACES])
        rest = len(inventory.left_out) - SHOWN_PLACES
        hint(f"Left out as vendored or generated: {shown}{f' and {rest} more' if rest > 0 else ''}.")
    languages = ", ".join(f"{count:,} {name}" for name, count in inventory.by_language.most_common(6))
    speed = inventory.files / inventory.seconds if inventory.seconds else 0.0
    hint(f"Read {inventory.files:,} files ({languages}) in {inventory.seconds:.1f} s, {speed:,.0f} files/s.")
    if inventory.mentions:
        hint(f"{inventory.mentions:,} mentions in comments and documents; --include-mentions lists them.")

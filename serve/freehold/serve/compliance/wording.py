"""The page's short texts, which the table and the HTML share."""

from datetime import datetime

from freehold.core.progress import human_bytes
from freehold.serve.compliance.document import Ancestor, Files, License, Report, Served

HEAD = ("name", "kind", "artifact", "license", "source", "files", "evaluated", "policy")


def summary(one: Served) -> dict[str, str]:
    """A row of the table, by its heads."""
    artifact = one.artifact
    if artifact is None:
        rest = {"artifact": "", "license": "", "source": one.engine, "files": "", "evaluated": ""}
    else:
        roots = [link for link in artifact.chain if link.source]
        rest = {
            "artifact": artifact.id,
            "license": ", ".join(dict.fromkeys(license_text(link.license) for link in roots)) or "not known",
            "source": ", ".join(link.source for link in roots) or "not known",
            "files": artifact.files.state,
            "evaluated": ", ".join(f"{e.suite} {day(e.evaluated_at or e.promoted_at)}" for e in artifact.evaluations)
            or "no",
        }
    verdict = f"{one.verdict}, see problems" if one.problems else one.verdict
    return {"name": one.name, "kind": one.kind, **rest, "policy": verdict}


def license_text(license: License) -> str:
    """Its names, or that there are none."""
    return " and ".join(license.names) or "not known"


def commercial_text(license: License) -> str:
    """What the catalogue says of commercial use."""
    said = {"yes": "commercial use allowed", "conditions": "commercial use under conditions", "no": "no commercial use"}
    return said.get(license.commercial_use, "commercial use: not read")


def origin_text(link: Ancestor) -> str:
    """Where it came from, in one line."""
    if link.problem:
        return link.problem
    if not link.source:
        return f"made from {', '.join(link.parents)}" if link.parents else "nothing says where it came from"
    at = f"@{link.commit}" if link.commit else ""
    asked = f" (asked for as {link.revision})" if link.revision and link.revision != link.commit else ""
    return f"{link.source}{at}{asked}"


def files_text(files: Files) -> str:
    """How many, how large, and what was seen of them."""
    seen = {
        "verified": "every byte was read, and all are as recorded",
        "present": "all are there in their recorded size; they were not read (--verify reads them)",
        "damaged": "; ".join(files.problems),
    }
    return f"{files.count} files, {human_bytes(files.size_bytes)}: {seen[files.state]}"


def day(moment: datetime | None) -> str:
    """Its date in UTC."""
    return moment.strftime("%Y-%m-%d") if moment else "not known"


def findings(report: Report) -> list[str]:
    """Everything that speaks against what is served, a line each, with its name."""
    lines = []
    for one in report.served:
        lines += [f"{one.name}: {problem}" for problem in one.problems]
        for rule in one.rules:
            lines += [f"{one.name}: policy rule '{rule.rule}' of {rule.policy}: {text}" for text in rule.problems]
    return lines

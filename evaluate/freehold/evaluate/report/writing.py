"""The report's files."""

import json
from pathlib import Path

from freehold.core.store.atomic import write_atomically
from freehold.evaluate.report.document import Report
from freehold.evaluate.report.markdown import as_markdown
from freehold.evaluate.report.numbers import as_json
from freehold.evaluate.report.page import as_page

PAGE, MARKDOWN, NUMBERS = "report.html", "report.md", "report.json"


def write_report(folder: Path, report: Report) -> Path:
    """Write page, Markdown and JSON into the folder; returns the page."""
    write_atomically(folder / NUMBERS, json.dumps(as_json(report), indent=2, ensure_ascii=False).encode() + b"\n")
    write_atomically(folder / MARKDOWN, as_markdown(report).encode())
    write_atomically(folder / PAGE, as_page(report).encode())
    return folder / PAGE

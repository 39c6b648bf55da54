"""Text without a chat around it."""

from typing import Any

from freehold.core.dataset.examples import PlainText
from freehold.core.dataset.formats.keys import missing, report_unknown_keys, text_of
from freehold.core.dataset.problems import Findings


class TextFormat:
    """`{"text": …}`; a `.txt` file becomes lines of this."""

    name = "text"
    shape = '{"text": …}'

    def matches(self, row: dict[str, Any]) -> bool:
        return "text" in row and "instruction" not in row

    def read(self, row: dict[str, Any], findings: Findings) -> PlainText | None:
        report_unknown_keys(row, {"text"}, findings)
        if missing(row, "text", findings):
            return None
        text = text_of(row, "text", findings)
        if not text.strip() and not findings.has_errors:
            findings.error("empty_turn", "the text is empty")
        return None if findings.has_errors else PlainText(findings.origin, text)

"""Keys of a line that no format reads."""

from typing import Any

from freehold.core.dataset.problems import Findings
from freehold.core.dataset.wording import did_you_mean

_BESIDE = {"id", "metadata", "meta", "source", "idx", "index"}
"""Whose line it was: kept by nobody, and no reason to warn."""


def report_unknown_keys(row: dict[str, Any], known: set[str], findings: Findings) -> None:
    """A warning for each key of a line that nothing reads."""
    for key in row.keys() - known - _BESIDE:
        # Tables pad every row with the keys of all others.
        if row[key] is not None:
            findings.warning("unknown_key", f"key '{key}' is not used{did_you_mean(key, known)}")


def missing(row: dict[str, Any], wanted: str, findings: Findings) -> bool:
    """Whether a key is missing, which is an error that names the key that was probably meant."""
    if row.get(wanted) is not None:
        return False
    meant = next((f" (is '{key}' meant to be it?)" for key in row if did_you_mean(key, [wanted])), "")
    findings.error("missing_key", f"there is no '{wanted}'{meant}")
    return True


def text_of(row: dict[str, Any], key: str, findings: Findings) -> str:
    """A key's text; an error if it is another type, and empty then."""
    value = row.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    findings.error("bad_content", f"'{key}' is not a string")
    return ""

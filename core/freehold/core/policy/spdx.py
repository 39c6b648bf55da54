"""Names of licences: SPDX identifiers in their own spelling, everything else as `LicenseRef-…`."""

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_NOTHING = {"", "none", "other", "unknown", "noassertion"}
"""What hubs and files write where nobody said."""


def canonical(text: str) -> str:
    """A licence as hubs, files and manifests write it, spelled as SPDX does; empty where it says nothing.

    `apache-2.0` is `Apache-2.0`, and `gemma`, which is no SPDX identifier, is `LicenseRef-gemma`.
    """
    if text.strip().lower() in _NOTHING:
        return ""
    try:
        return canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return "LicenseRef-" + "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in text.strip())


def is_identifier(text: str) -> bool:
    """Whether it is one licence that SPDX knows, or a `LicenseRef-…`."""
    try:
        canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return False
    return not {"AND", "OR", "("} & set(text.upper().replace("(", " ( ").split())


def alternatives(expression: str) -> list[tuple[str, ...]]:
    """Which licences may be chosen, each choice as all that then hold: `A OR B AND C` is `[(A,), (B, C)]`.

    An expression with parentheses is one name, which nobody allows by accident.
    """
    if "(" in expression:
        return [(expression,)]
    return [tuple(part.split(" AND ")) for part in expression.split(" OR ")]


def is_own(identifier: str) -> bool:
    """Whether a publisher made it, so that two names may mean the same text."""
    return identifier.startswith("LicenseRef-")

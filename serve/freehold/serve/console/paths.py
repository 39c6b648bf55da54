"""Names in paths of the API."""

from urllib.parse import quote


def quoted(name: str) -> str:
    """The name as one step of a path; a slash stays one, since names of adapters may have them."""
    return quote(name, safe="/:@")

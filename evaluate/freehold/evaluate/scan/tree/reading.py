"""A file's text, if it is one that a person wrote."""

from pathlib import Path

LARGEST_BYTES = 2 * 1024 * 1024
"""Beyond that it is data, or it was generated."""
LONG_LINE = 5_000
"""Characters; a source file whose average line is over a tenth of that was minified."""


class NotRead(Exception):
    """The file was left out; the message is the reason."""


def read_text(path: Path) -> str | None:
    """The text; None for a file that is no text or was generated, which needs no word. Raises NotRead with a reason."""
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise NotRead(f"is larger than {LARGEST_BYTES // 1024 // 1024} MiB")
        data = path.read_bytes()
    except OSError as error:
        raise NotRead(f"cannot be read: {error.strerror or error}") from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:8192]:
        return None
    text = data.decode("utf-8-sig", errors="replace")
    return None if is_minified(path, text) else text


def is_minified(path: Path, text: str) -> bool:
    """Whether a script was packed for browsers, or is a map of such a one."""
    name = path.name.lower()
    if name.endswith((".min.js", ".min.css", ".min.mjs", ".map", ".bundle.js")):
        return True
    if path.suffix.lower() not in (".js", ".mjs", ".cjs", ".css", ".html", ".htm", ".svg"):
        return False
    lines = text.count("\n") + 1
    return len(text) / lines > LONG_LINE / 10

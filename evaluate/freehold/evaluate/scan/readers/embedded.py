"""Code within other files: cells of notebooks, scripts of Svelte, Vue, Astro and HTML."""

import json
import re
from dataclasses import replace

from freehold.evaluate.scan.finding import Finding
from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.readers.javascript import JavaScriptReader
from freehold.evaluate.scan.readers.pattern import by_pattern
from freehold.evaluate.scan.readers.python import PythonReader
from freehold.evaluate.scan.readers.reader import Reading

SCRIPT = re.compile(r"<script\b[^>]*>(.*?)</script>|^---\n(.*?)\n---", re.DOTALL | re.IGNORECASE)
MAGIC = re.compile(r"^\s*[%!]")


class ScriptReader:
    """The scripts of a page, at their own lines."""

    name = "Svelte, Vue, Astro and HTML"

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        kept: list[str] = []
        at = 0
        for match in SCRIPT.finditer(text):
            group = 1 if match[1] is not None else 2
            kept.append("\n" * text.count("\n", at, match.start(group)))
            kept.append(match[group])
            at = match.end(group)
        return JavaScriptReader().read(f"{file}.ts", "".join(kept), names).at(file)


class NotebookReader:
    """The code cells of a Jupyter notebook, as one program; lines are those of the file."""

    name = "notebooks"

    def read(self, file: str, text: str, names: ClosedNames) -> Reading:
        try:
            lines = _code_lines(json.loads(text))
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return Reading(by_pattern(file, text, names), "is no notebook")
        reading = PythonReader().read(file, "\n".join("" if MAGIC.match(line) else line for line in lines), names)
        where = _where(text.splitlines(), lines)
        return Reading([_moved(each, where) for each in reading.findings], reading.problem)


def _code_lines(notebook: dict[str, list[dict[str, object]]]) -> list[str]:
    lines: list[str] = []
    for cell in notebook["cells"]:
        source = cell.get("source", "")
        if cell.get("cell_type") == "code":
            whole = source if isinstance(source, str) else "".join(map(str, source))  # type: ignore[call-overload]
            lines += whole.splitlines()
    return lines


def _where(raw: list[str], lines: list[str]) -> list[int]:
    """For each line of code, the line of the file that holds it as a JSON string; the one before where none does."""
    where: list[int] = []
    at = 0
    for line in lines:
        written = json.dumps(line)[1:-1], json.dumps(line, ensure_ascii=False)[1:-1]
        found = next((n for n in range(at, len(raw)) if any(each and each in raw[n] for each in written)), None)
        if found is not None and line.strip():
            where.append(found + 1)
            at = found if raw[found].count("\\n") > 1 else found + 1
        else:
            where.append(max(at, 1))
    return where


def _moved(finding: Finding, where: list[int]) -> Finding:
    return replace(finding, line=where[finding.line - 1] if 0 < finding.line <= len(where) else 1)

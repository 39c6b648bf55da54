"""Which file is read by whom."""

from pathlib import Path

from freehold.evaluate.scan.readers.pattern import PatternReader
from freehold.evaluate.scan.readers.python import PythonReader
from freehold.evaluate.scan.readers.reader import Reader

_PYTHON = PythonReader()
_LANGUAGES = {
    "Go": (".go",),
    "Java": (".java",),
    "Kotlin": (".kt", ".kts"),
    "Scala": (".scala",),
    "C#": (".cs", ".fs", ".vb"),
    "Ruby": (".rb", ".rake", ".erb"),
    "PHP": (".php",),
    "Rust": (".rs",),
    "Swift": (".swift", ".m", ".mm"),
    "C and C++": (".c", ".h", ".cc", ".cpp", ".hpp", ".cxx"),
    "Dart": (".dart",),
    "Elixir": (".ex", ".exs", ".erl"),
    "Shell": (".sh", ".bash", ".zsh", ".fish", ".ps1", ".bat", ".cmd"),
    "Lua": (".lua",),
    "R": (".r",),
    "Julia": (".jl",),
    "Perl": (".pl", ".pm"),
    "Clojure": (".clj", ".cljs", ".cljc"),
    "Haskell": (".hs",),
    "SQL": (".sql",),
    "Svelte and Vue": (".svelte", ".vue", ".astro"),
}
_BY_SUFFIX: dict[str, Reader] = {
    suffix: reader
    for name, suffixes in _LANGUAGES.items()
    for reader in (PatternReader(name),)
    for suffix in suffixes
}
_BY_SUFFIX |= {".py": _PYTHON, ".pyi": _PYTHON, ".pyw": _PYTHON}


def reader_of(path: Path) -> Reader | None:
    """None for a file that no reader knows: pictures, data, archives."""
    return _BY_SUFFIX.get(path.suffix.lower())

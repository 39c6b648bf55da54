"""Which file is read by whom."""

from pathlib import Path

from freehold.evaluate.scan.readers.config import ConfigReader
from freehold.evaluate.scan.readers.embedded import NotebookReader, ScriptReader
from freehold.evaluate.scan.readers.javascript import JavaScriptReader
from freehold.evaluate.scan.readers.pattern import PatternReader
from freehold.evaluate.scan.readers.prose import ProseReader
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
}
_BY_SUFFIX: dict[str, Reader] = {
    suffix: reader for name, suffixes in _LANGUAGES.items() for reader in (PatternReader(name),) for suffix in suffixes
}
_BY_SUFFIX |= {".py": _PYTHON, ".pyi": _PYTHON, ".pyw": _PYTHON}
_BY_SUFFIX |= dict.fromkeys((".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts"), JavaScriptReader())


_CONFIG = ConfigReader("settings")
_JSON = ConfigReader("settings", has_comments=False)
_BY_SUFFIX |= dict.fromkeys(
    [
        ".env",
        ".yaml",
        ".yml",
        ".toml",
        ".ini",
        ".cfg",
        ".conf",
        ".properties",
        ".tf",
        ".tfvars",
        ".hcl",
        ".tpl",
        ".envrc",
        ".dockerfile",
        ".mk",
        ".gradle",
        ".csproj",
        ".fsproj",
        ".props",
        ".nix",
        ".service",
        ".jsonc",
        ".json5",
    ],
    _CONFIG,
)
_BY_SUFFIX |= {".json": _JSON, ".xml": _CONFIG, ".ipynb": NotebookReader()}
_BY_SUFFIX |= dict.fromkeys((".svelte", ".vue", ".astro", ".html", ".htm"), ScriptReader())
_BY_SUFFIX |= dict.fromkeys((".md", ".mdx", ".rst", ".txt", ".adoc", ".org"), ProseReader())
_BY_NAME: dict[str, Reader] = dict.fromkeys(
    ("dockerfile", "containerfile", "makefile", "jenkinsfile", "procfile", "pipfile", "gemfile", "go.mod", "justfile"),
    _CONFIG,
)
LOCKS = frozenset(
    [
        "package-lock.json",
        "npm-shrinkwrap.json",
        "yarn.lock",
        "pnpm-lock.yaml",
        "bun.lock",
        "poetry.lock",
        "uv.lock",
        "pdm.lock",
        "pipfile.lock",
        "cargo.lock",
        "go.sum",
        "gemfile.lock",
        "composer.lock",
    ]
)
"""Written by tools from what other files say."""


def reader_of(path: Path) -> Reader | None:
    """None for a file that no reader knows: pictures, data, archives, locks."""
    name = path.name.lower()
    if name in LOCKS:
        return None
    if name.startswith((".env", "dockerfile", "docker-compose")) or name.endswith((".env", ".env.example")):
        return _CONFIG
    if path.suffix == ".txt" and ("requirements" in name or "constraints" in name or "requirements" in path.parts):
        return _CONFIG
    return _BY_NAME.get(name) or _BY_SUFFIX.get(path.suffix.lower())

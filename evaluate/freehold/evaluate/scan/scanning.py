"""Look through a folder: every file by its kind, and what became of it."""

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from freehold.evaluate.scan.finding import Confidence, Finding, Unread
from freehold.evaluate.scan.knowledge import ClosedNames
from freehold.evaluate.scan.readers import Reading, reader_of
from freehold.evaluate.scan.tree import list_files, read_text
from freehold.evaluate.scan.tree.reading import NotRead

HINT = re.compile(
    r"gpt|openai|anthropic|claude|gemini|genai|vertex|cohere|mistral|bedrock|litellm|instructor|llama_index|llamaindex"
    r"|langchain|pydantic_ai|grok|xai|x\.ai|davinci|whisper|dall-e|embed|voyage|completions|\bagents\b|\bo[134]\b|command"
    r"|aiplatform|text-|palm|titan|nova|tts-|rerank|codestral|pixtral|ministral|magistral|devstral|j2-|bison|gecko"
    r"|imagen|veo|sora|codex|computer-use|semantic_kernel|autogen|haystack|perplexity|openrouter|models\.github"
    r"|cognitiveservices|ai\.azure|inference\.ai|babbage|curie|\bada\b|[\"']ai[\"']|ft:|moderation|azure|palm|aya-",
    re.IGNORECASE,
)
"""What every finding has somewhere in its file: the rest need not be parsed."""


@dataclass(frozen=True)
class ScanRequest:
    """What to look for and where."""

    path: Path
    names: tuple[str, ...] = ()
    """Names that count as closed models as well: a deployment's, an alias."""
    with_mentions: bool = False


@dataclass(slots=True)
class Inventory:
    """What was found in a folder."""

    root: Path
    findings: list[Finding] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    mentions: int = 0
    """Found in prose and, unless asked for, left out."""
    files: int = 0
    by_language: Counter[str] = field(default_factory=Counter)
    ignored_by: str = ""
    left_out: list[str] = field(default_factory=list)
    """Folders that are vendored or generated."""
    seconds: float = 0.0


def scan(request: ScanRequest, tell: Callable[[int, int], None] | None = None) -> Inventory:
    """Scan a file or a folder; `tell` hears of files done and in all. Raises NotFoundError without such a path."""
    began = time.monotonic()
    listing = list_files(request.path)
    inventory = Inventory(listing.root, unread=list(listing.unread), ignored_by=listing.ignored_by)
    names = ClosedNames(request.names)
    for number, path in enumerate(listing.files, 1):
        _scan_file(path, listing.root, names, request, inventory)
        if tell is not None:
            tell(number, len(listing.files))
    inventory.findings.sort(key=lambda each: (each.file, each.line, each.kind, each.value))
    inventory.left_out = sorted(listing.left_out - {".git"})
    inventory.seconds = time.monotonic() - began
    return inventory


def _scan_file(path: Path, root: Path, names: ClosedNames, request: ScanRequest, inventory: Inventory) -> None:
    reader = reader_of(path)
    if reader is None:
        return
    file = path.relative_to(root).as_posix()
    try:
        text = read_text(path)
    except NotRead as reason:
        inventory.unread.append(Unread(file, str(reason)))
        return
    if text is None:
        return
    inventory.files += 1
    inventory.by_language[reader.name] += 1
    if not HINT.search(text) and not any(name.lower() in text.lower() for name in request.names):
        return
    reading = reader.read(file, text, names)
    if reading.problem:
        inventory.unread.append(Unread(file, reading.problem, scanned=True))
    _keep(reading.findings, request, inventory)


def _keep(found: Iterable[Finding], request: ScanRequest, inventory: Inventory) -> None:
    for each in found:
        if each.confidence is Confidence.MENTION:
            inventory.mentions += 1
            if not request.with_mentions:
                continue
        inventory.findings.append(each)


__all__ = ["Inventory", "Reading", "ScanRequest", "scan"]

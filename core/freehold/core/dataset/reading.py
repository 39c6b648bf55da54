"""From sources to examples, with every problem on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from freehold.core.dataset.digest import Digest
from freehold.core.dataset.examples import Conversation, Example, Judged, Origin, PlainText, Preference
from freehold.core.dataset.formats.format import Format
from freehold.core.dataset.formats.registry import AUTO, FORMATS, format_named, recognise
from freehold.core.dataset.problems import Findings, Problem
from freehold.core.dataset.sources.opening import open_sources
from freehold.core.dataset.sources.source import Source, ignore
from freehold.core.settings import Settings

KINDS = {Conversation: "conversation", PlainText: "text", Preference: "preference", Judged: "judged"}


@dataclass(frozen=True, slots=True)
class Dataset:
    """Examples in memory, and what was wrong with the lines that became none."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    kind: str | None
    """`conversation`, `text`, `preference` or `judged`; None without any example."""
    format: str | None
    """The format's name; None where none was recognised."""
    digest: str
    """SHA-256 over the examples as they were understood, in their order: not over the files."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


class Scan:
    """One pass over sources that keeps no example. After the pass, `format` and `digest` are known."""

    def __init__(self, sources: Sequence[Source], format_name: str = AUTO) -> None:
        self._sources = sources
        self._is_chosen = format_name != AUTO
        self.format: Format | None = format_named(format_name) if self._is_chosen else None
        self.digest = Digest()

    @property
    def size_bytes(self) -> int:
        """What the pass will tell `advance` in all; 0 where nobody knows."""
        sizes = [source.size_bytes for source in self._sources]
        return sum(sizes) if all(sizes) else 0

    def __call__(self, advance: Callable[[int], None] = ignore) -> Iterator[tuple[Findings, Example | None]]:
        """Each row's findings, and the example that it is unless they hold an error."""
        for source in self._sources:
            is_empty = True
            for findings, row in source.rows(advance):
                is_empty = False
                example = self._read(row, findings) if row is not None else None
                if example is not None:
                    self.digest.add(example)
                yield findings, example
            if is_empty:
                findings = Findings(Origin(source.name, 1))
                findings.error("empty", "there is nothing in it")
                yield findings, None

    def _read(self, row: dict[str, object], findings: Findings) -> Example | None:
        if not self._is_chosen:
            looks_like = recognise(row)
            if self.format is None:
                self.format = looks_like
            if looks_like is None and self.format is None:
                findings.error("unknown_format", f"{_keys(row)}, which is no known format; known are {_shapes()}")
                return None
            if self.format is not None and looks_like not in (None, self.format):
                assert looks_like is not None, "None was passed over"
                found = f"this line is {looks_like.name}, and those before it are {self.format.name}"
                findings.error("mixed_formats", f"{found}; one set of data has one format")
                return None
        assert self.format is not None, "chosen or recognised"
        return self.format.read(row, findings)


def read_examples(sources: Sequence[str], *, format: str = AUTO, settings: Settings | None = None) -> Dataset:
    """All examples of the sources, in their order, and every problem.

    A source is a path (`.jsonl`, `.json`, `.txt`, `.parquet`, `.csv`), `datasets:NAME[:SPLIT]` or
    `recorded:ROUTE[?since=DAY]`. Raises NotFoundError for files that are not there, UserError for what is no source.
    """
    scan = Scan(open_sources(sources, settings), format)
    examples: list[Example] = []
    problems: list[Problem] = []
    for findings, example in scan():
        problems += findings.problems
        if example is not None:
            examples.append(example)
    kind = KINDS[type(examples[0])] if examples else None
    name = scan.format.name if scan.format else None
    return Dataset(tuple(examples), tuple(problems), kind, name, scan.digest.value())


def _keys(row: dict[str, object]) -> str:
    return f"the line has {', '.join(map(repr, row))}" if row else "the line has no keys"


def _shapes() -> str:
    return "; ".join(f"{known.name}: {known.shape}" for known in FORMATS)

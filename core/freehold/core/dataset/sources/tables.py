"""Tables through Hugging Face's `datasets`: Parquet, CSV and data sets by name."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from freehold.core.dataset.examples import Origin
from freehold.core.dataset.problems import Findings
from freehold.core.dataset.sources.source import Row, ignore
from freehold.core.errors import EnvironmentProblem, NotFoundError, OfflineError, UserError

DEFAULT_SPLIT = "train"


class Table:
    """Rows of a table, counted from 1."""

    size_bytes = 0

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name = name
        self._load = load

    def rows(self, advance: Callable[[int], None] = ignore) -> Iterator[Row]:
        for number, row in enumerate(self._load(), start=1):
            yield Findings(Origin(self.name, number)), without_nulls(row)


def without_nulls(value: Any) -> Any:
    """The value without keys that are null: Arrow pads every object with the keys of all others."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def table_file(path: Path) -> Table:
    """A `.parquet` or `.csv` file, read in pieces."""
    kind = path.suffix.removeprefix(".").lower()

    def load() -> Any:
        datasets = _datasets()
        try:
            return datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
        except (ValueError, OSError) as error:
            raise UserError(f"{path} is not readable as {kind}", why=str(error)) from error

    return Table(str(path), load)


def named_table(name: str, *, offline: bool) -> Table:
    """`NAME[:SPLIT]` on the hub, or a folder in a layout that `datasets` knows."""
    location, _, split = name.partition(":")

    def load() -> Any:
        is_local = Path(location).exists()
        if offline and not is_local:
            raise OfflineError(
                f"datasets:{name} is on the hub",
                why="--offline allows no socket but loopback",
                next_step="Download it where there is a network, and name the folder: `datasets:/path/to/folder`.",
            )
        datasets = _datasets()
        try:
            return datasets.load_dataset(location, split=split or DEFAULT_SPLIT, streaming=True)
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no data set '{location}'", why=str(error)) from error
        except (ValueError, OSError) as error:
            raise UserError(f"datasets:{name} is not readable", why=str(error)) from error

    return Table(f"datasets:{name}", load)


def _datasets() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise EnvironmentProblem(
            "This source needs the package datasets",
            why=f"{error.name} is not installed",
            next_step="Run `pip install 'freehold[train]'`, or write the rows as JSON lines.",
        ) from error
    return datasets

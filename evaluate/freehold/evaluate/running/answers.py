"""`answers.jsonl`: appended to while the run goes on, put into the suite's order when it is complete."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from freehold.core.store.atomic import write_atomically
from freehold.evaluate.results.record import Answered
from freehold.evaluate.running.lines import LineFile, read_lines, to_line

Place = tuple[str, int, str]
"""Prompt, sample, target."""


class Answers:
    """Those that are scored."""

    def __init__(self, path: Path, *, keep: bool) -> None:
        """With `keep`, what an earlier sitting scored stays; but what failed or was skipped is asked again."""
        self._path = path
        earlier = [Answered.model_validate(line) for line in read_lines(path)] if keep else []
        self.done = {place_of(one): one for one in earlier if one.outcome in ("answered", "refused")}
        write_atomically(path, _lines(self.done.values()), 0o600)
        self._file = LineFile(path)

    def add(self, answered: Answered) -> None:
        """One more, durable on return."""
        self.done[place_of(answered)] = answered
        self._file.append(answered.model_dump(mode="json"), durable=True)

    def finish(self, order: Sequence[Place]) -> None:
        """Nothing will be added: the file is written anew in this order, and holds nothing else."""
        self._file.__exit__(None, None, None)
        write_atomically(self._path, _lines(self.done[place] for place in order), 0o600)


def place_of(answered: Answered) -> Place:
    return answered.prompt, answered.sample, answered.target


def _lines(answers: Iterable[Answered]) -> bytes:
    return b"".join(to_line(one.model_dump(mode="json")) for one in answers)

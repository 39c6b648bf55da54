"""Reading what a run left behind."""

import json
from pathlib import Path

from freehold.core.errors import NotFoundError
from freehold.evaluate.results.record import Answered

ANSWERS = "answers.jsonl"


def read_answers(folder: Path) -> list[Answered]:
    """The answers of a run; of one that was stopped, those that it has. Raises NotFoundError."""
    path = folder / ANSWERS
    if not path.is_file():
        raise NotFoundError(f"{folder} holds no run", why=f"there is no {ANSWERS} in it")
    lines = path.read_bytes().splitlines(keepends=True)
    return [Answered.model_validate(json.loads(line)) for line in lines if line.endswith(b"\n")]

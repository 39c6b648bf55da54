"""The ballot box: `votes/votes.jsonl` in the data folder, for its owner alone."""

import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from freehold.core.errors import UserError
from freehold.core.recording.lines import append_lines, read_lines
from freehold.serve.votes.vote import NewVote, Vote

MAX_VOTE_BYTES = 16 * 1024 * 1024
"""With its images and sounds, which a later evaluation needs."""


class VoteTooLarge(UserError):
    """A vote with too much beside it."""

    http_status = 413
    code = "vote_too_large"


class BallotBox:
    """Votes of this machine, oldest first. Every method blocks."""

    def __init__(self, root: Path) -> None:
        self._path = root / "votes.jsonl"

    def add(self, new: NewVote, voter: str) -> Vote:
        """Keep it, durably. Raises VoteTooLarge, OSError."""
        vote = Vote(**new.model_dump(), id=f"vote_{secrets.token_hex(8)}", at=time.time(), voter=voter)
        line = json.dumps(vote.model_dump(mode="json"), ensure_ascii=False).encode() + b"\n"
        if len(line) > MAX_VOTE_BYTES:
            raise VoteTooLarge(
                f"The vote has {len(line):,} bytes",
                why=f"at most {MAX_VOTE_BYTES:,} are kept, images and sounds included",
                next_step="Vote on a prompt with smaller files.",
            )
        append_lines(self._path, line)
        return vote

    def __iter__(self) -> Iterator[Vote]:
        """All votes; a line that a crash tore is left out."""
        size = self._path.stat().st_size if self._path.is_file() else 0
        for line in read_lines(self._path, size):
            try:
                yield Vote.model_validate_json(line)
            except ValueError:
                continue

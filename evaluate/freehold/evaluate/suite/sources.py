"""The schema of where prompts come from."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from freehold.core.config import ConfigModel

KINDS = ("file", "recorded", "tasks")


class _Source(ConfigModel):
    slices: dict[str, str] = Field(default_factory=dict)
    """Added to each of its prompts, for example `{task: extract}`; what a prompt itself says wins."""
    limit: int | None = Field(default=None, ge=1)
    """Most prompts to take; which ones is drawn with the suite's seed."""


class FilePrompts(_Source):
    """JSON lines of one's own: `messages` or `prompt`, and what else docs/evaluate.md names."""

    file: Path
    """A relative one begins at the suite's folder."""


class RecordedPrompts(_Source):
    """What the gateway recorded of a route; the recorded answer is what is expected."""

    recorded: str = Field(min_length=1)
    """Name of the route."""
    since: date | None = None
    """First day (UTC)."""
    until: date | None = None
    """Last day (UTC)."""
    replay: bool = False
    """Each with the parameters that the client sent, and with what answered it then, for targets `fromRecord`."""


class TaskPrompts(_Source):
    """Tasks of lm-evaluation-harness that generate text; needs the extra `harness`."""

    tasks: tuple[str, ...] = Field(min_length=1)
    """Names of tasks, tags or groups."""
    fewshot: int | None = Field(default=None, ge=0)
    """Examples before each question; none is what the task says."""
    folder: Path | None = None
    """Own tasks (YAML files of the harness), beside those that it ships; a relative one begins at the suite's."""


def _kind(value: Any) -> str:
    has = value.__contains__ if isinstance(value, dict) else lambda name: hasattr(value, name)
    return next((name for name in KINDS if has(name)), "file")


PromptSource = Annotated[
    Annotated[FilePrompts, Tag("file")]
    | Annotated[RecordedPrompts, Tag("recorded")]
    | Annotated[TaskPrompts, Tag("tasks")],
    Discriminator(_kind),
]

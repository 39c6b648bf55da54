"""All prompts of a suite, and every problem on the way."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from freehold.core.errors import FreeholdError
from freehold.core.progress import hint
from freehold.core.settings import Settings
from freehold.evaluate.prompts.harness import task_prompts
from freehold.evaluate.prompts.lines import read_prompts
from freehold.evaluate.prompts.order import drawn
from freehold.evaluate.prompts.prompt import Prompt
from freehold.evaluate.prompts.recorded import recorded_prompts
from freehold.evaluate.suite.sources import FilePrompts, PromptSource, RecordedPrompts


def collect(
    sources: Sequence[tuple[str, PromptSource]], seed: int, settings: Settings, problems: list[str]
) -> list[Prompt]:
    """Prompts in the order in which they are asked. `sources` come with their place in the suite.

    What is wrong is added to `problems`; a harness that is not installed, or whose data cannot be had, is one.
    """
    prompts: dict[str, Prompt] = {}
    for place, source in sources:
        for prompt in drawn(_read(place, source, settings, problems), seed, source.limit):
            sliced = prompt.model_copy(update={"slices": source.slices | prompt.slices})
            if (other := prompts.setdefault(prompt.id, sliced)) is not sliced:
                problems.append(f"{prompt.origin}: the id {prompt.id} is taken by {other.origin}; {_ADVICE}")
    return drawn(prompts.values(), seed)


_ADVICE = "give each prompt an id of its own, and leave out what stands twice"


def _read(place: str, source: PromptSource, settings: Settings, problems: list[str]) -> list[Prompt]:
    before = len(problems)
    found = []
    try:
        for prompt in _prompts(source, settings, problems):
            found.append(prompt)
    except OSError as error:
        problems.append(f"{place}: {getattr(source, 'file', '')} cannot be read: {error.strerror or error}")
    except FreeholdError as error:
        advice = f" ({error.next_step})" if error.next_step else ""
        problems.append(f"{place}: {error}{advice}")
    if not found and len(problems) == before:
        problems.append(f"{place}: there is no prompt in it")
    return found


def _prompts(source: PromptSource, settings: Settings, problems: list[str]) -> Iterator[Prompt]:
    if isinstance(source, FilePrompts):
        rows = read_prompts(source.file)
    elif isinstance(source, RecordedPrompts):
        rows = recorded_prompts(source, settings.recordings_root)
    else:
        yield from task_prompts(source)
        return
    for findings, prompt in rows:
        for problem in findings.problems:
            problems.append(str(problem)) if problem.severity == "error" else hint(str(problem))
        if prompt is not None:
            yield prompt


def from_folder(source: PromptSource, folder: Path) -> PromptSource:
    """The source with its relative path beginning at the suite's folder."""
    for name in ("file", "folder"):
        if given := getattr(source, name, None):
            return source.model_copy(update={name: folder / given.expanduser()})
    return source

"""`freehold dataset check`: one request, one report."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from freehold.core.dataset.checking import Check, Checked
from freehold.core.dataset.problems import Problem
from freehold.core.dataset.sources.source import ignore
from freehold.core.progress import ByteBar
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import Settings
from freehold.core.store import Artifact
from freehold.finetune.checking.estimate import Estimate, estimate
from freehold.finetune.checking.speed import measured_speed
from freehold.finetune.checking.tokens import TokenCheck
from freehold.finetune.masking import Masker, context_tokens, load_masker

_BAR_FROM_BYTES = 4_000_000
"""Smaller files are done before anybody could read a bar."""


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to check, and for which run."""

    sources: tuple[str, ...]
    evaluation: tuple[str, ...] = ()
    artifact: Artifact | None = None
    """The model whose tokenizer and template are asked; None leaves out what needs one."""
    data_format: str = "auto"
    max_length: int | None = None
    """None means the model's context."""
    over_long: Literal["refuse", "split"] | str = "refuse"
    epochs: float = 3.0
    batch_size: int = 8
    price_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was found."""

    train: Checked
    evaluation: Checked | None
    tokens: TokenCheck | None
    estimate: Estimate | None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.train.problems + (self.evaluation.problems if self.evaluation else ())

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def check_data(request: CheckRequest, settings: Settings) -> Report:
    """Read everything once. Raises NotFoundError for files that are not there."""
    check = Check(request.sources, request.evaluation, settings=settings)
    tokens, evaluation_tokens = _token_checks(request)
    with _progress(check.size_bytes) as advance, quiet_libraries():
        train = check.train(request.data_format, looks=[tokens] if tokens else (), advance=advance)
        looks = [evaluation_tokens] if evaluation_tokens else ()
        evaluation = check.evaluation(request.data_format, looks=looks, advance=advance)
    return Report(train, evaluation, tokens, _estimate(request, tokens, settings))


def _token_checks(request: CheckRequest) -> tuple[TokenCheck | None, TokenCheck | None]:
    if request.artifact is None:
        return None, None
    folder = request.artifact.path
    masker: Masker = load_masker(folder, allow_remote_code="remote-code" in request.artifact.lineage.allowed)
    limits = [limit for limit in (context_tokens(folder), request.max_length) if limit is not None]
    limit = min(limits, default=None)
    over_long: Literal["refuse", "split"] = "split" if request.over_long == "split" else "refuse"
    return TokenCheck(masker, limit, over_long), TokenCheck(masker, limit, over_long)


def _estimate(request: CheckRequest, tokens: TokenCheck | None, settings: Settings) -> Estimate | None:
    if tokens is None or request.artifact is None or not tokens.lengths:
        return None
    return estimate(
        len(tokens.lengths),
        sum(tokens.lengths),
        epochs=request.epochs,
        batch_size=request.batch_size,
        tokens_per_s=measured_speed(settings, request.artifact.id),
        price_per_hour=request.price_per_hour,
    )


@contextmanager
def _progress(size_bytes: int) -> Iterator[Callable[[int], None]]:
    if size_bytes < _BAR_FROM_BYTES:
        yield ignore
        return
    with ByteBar("Checking", size_bytes) as bar:
        yield bar.advance

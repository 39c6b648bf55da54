"""Whether models of the catalogue fit some GPUs, as `freehold plan` reckons, and why not."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from freehold.core.errors import EnvironmentProblem, UserError
from freehold.core.manifest import ModelManifest
from freehold.core.plan.fitting import Demand, fit, layouts
from freehold.core.plan.gpus import Gpus, parse_gpus
from freehold.core.plan.machine import gpus_here
from freehold.core.plan.subject import subject_of_manifest

HERE = "here"
"""This machine, in place of a number of GPUs."""
CONTEXT_TOKENS = 8192
CONCURRENCY = 1

Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Fitness:
    """Whether one model fits: `why` says what speaks against it, or why nobody knows."""

    fits: Answer
    why: str = ""


class Measure:
    """Holds models against some GPUs; each is reckoned once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[ModelManifest, Fitness]] = {}

    def gpus(self, text: str) -> Gpus:
        """`here`, or a number of a kind: `2xH100-80GB`. Raises EnvironmentProblem, UserError."""
        return _here() if text == HERE else parse_gpus(text)

    def of(self, manifest: ModelManifest, gpus: Gpus) -> Fitness:
        """At its own precision, for one sequence of 8,192 tokens or of the model's whole context."""
        key = (f"{gpus} {gpus.gpu.usable_bytes}", manifest.id)
        known = self._known.get(key)
        if known is None or known[0] is not manifest:
            known = self._known[key] = (manifest, _reckoned(manifest, gpus))
        return known[1]


@cache
def _here() -> Gpus:
    return gpus_here()


def machine() -> tuple[Gpus | None, str]:
    """The GPUs of this machine, or why they cannot be planned for."""
    try:
        return _here(), ""
    except EnvironmentProblem as error:
        return None, str(error)


def _reckoned(manifest: ModelManifest, gpus: Gpus) -> Fitness:
    try:
        subject = subject_of_manifest(manifest)
        context = min(CONTEXT_TOKENS, subject.context or CONTEXT_TOKENS)
        demand = Demand(context, CONCURRENCY, manifest.precision)
        found = [fit(subject, gpus, layout, demand) for layout in layouts(subject, gpus)]
    except UserError as error:
        return Fitness("unknown", str(error))
    if any(each.suffices for each in found):
        return Fitness("yes")
    return Fitness("no", f"at {manifest.precision} it does not fit {gpus} with {context:,} tokens")

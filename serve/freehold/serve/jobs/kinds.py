"""What may be started, and the command line of each; a kind is a class here."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from freehold.core.errors import NotFoundError
from freehold.core.settings import Settings

MODEL = r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[A-Za-z0-9][\w./-]*)?$"
"""A catalogue id or a hub repository, with a revision. A path of this machine is for its command line."""
NAME = r"^[A-Za-z0-9][\w.-]*$"
ARTIFACT = r"^[A-Za-z0-9][\w.@:+-]*$"
Name = Annotated[str, Field(min_length=1, max_length=128, pattern=NAME)]
SUITES = "suites"
"""Folder of the data folder where administrators put suites that may be started by name."""
EVALUATION_KEYS = "FREEHOLD_EVALUATION_"
"""Variables of the gateway that begin so are passed on to evaluations, for `apiKeyFrom`."""


class _Wanted(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Pull(_Wanted):
    """`freehold pull`. What was fetched before an interruption is not fetched again."""

    kind: Literal["pull"]
    model: Annotated[str, Field(min_length=1, max_length=256, pattern=MODEL)]
    """Catalogue id or hub repository `owner/name`, with `@revision`."""
    name: Name | None = None
    """Of the artifact."""

    @property
    def title(self) -> str:
        return self.model

    def words(self, folder: Path, settings: Settings, *, again: bool) -> tuple[str, ...]:
        named = ("--name", self.name) if self.name else ()
        offline = ("--offline",) if settings.offline else ()
        return ("pull", self.model, *named, "--lock-file", str(folder / "freehold.lock"), *offline)


class Quantize(_Wanted):
    """`freehold quantize`, with the quality gate at its end. It begins anew when it is started again."""

    kind: Literal["quantize"]
    artifact: Annotated[str, Field(min_length=1, max_length=256, pattern=ARTIFACT)]
    method: Name | None = None
    """One of `freehold quantize --list`; chosen by the GPU without it."""
    name: Name | None = None
    """Of the result."""

    @property
    def title(self) -> str:
        return self.artifact

    def words(self, folder: Path, settings: Settings, *, again: bool) -> tuple[str, ...]:
        method = ("--method", self.method) if self.method else ()
        named = ("--name", self.name) if self.name else ()
        return ("quantize", self.artifact, *method, *named)


class Evaluate(_Wanted):
    """`freehold evaluate` of a suite in the data folder's `suites`. What was answered is not asked again."""

    kind: Literal["evaluate"]
    suite: Name
    """`suites/<suite>.yaml` of the data folder."""

    @property
    def title(self) -> str:
        return self.suite

    def words(self, folder: Path, settings: Settings, *, again: bool) -> tuple[str, ...]:
        """Raises NotFoundError for a suite that is not there."""
        path = settings.home / SUITES / f"{self.suite}.yaml"
        if not path.is_file():
            known = ", ".join(suites(settings.home)) or "none"
            raise NotFoundError(
                f"No suite {self.suite!r} in {path.parent}",
                why=f"there are: {known}",
                next_step="Copy it there: what a suite may read and run is for whoever has the machine to say.",
            )
        run = self.run(folder, settings)
        place = ("--resume", str(run)) if (run / "suite.yaml").is_file() else ("--out", str(run))
        offline = ("--offline",) if settings.offline else ()
        return ("evaluate", str(path), *place, *offline)

    def run(self, folder: Path, settings: Settings) -> Path:
        """The run's folder, among all others."""
        return settings.home / "evaluations" / "runs" / self.run_name(folder.name)

    def run_name(self, job_id: str) -> str:
        """By which the run is found among the evaluations."""
        return f"{self.suite}-{job_id}"


Wanted = Annotated[Pull | Quantize | Evaluate, Field(discriminator="kind")]


def suites(home: Path) -> list[str]:
    """Names of the suites that may be started."""
    return sorted(path.stem for path in (home / SUITES).glob("*.yaml"))

"""Fine-tuning through the API: `tuning`."""

from typing import Annotated

from pydantic import Field

from freehold.serve.config.base import NAME, ConfigModel

_GIB = 1024**3


class TuningDefaults(ConfigModel):
    """What a job takes where its request says `auto` or cannot say."""

    epochs: int = Field(default=3, ge=1, le=50)
    """Passes over the data."""
    batch_size: int = Field(default=8, ge=1, le=256)
    """Examples per optimizer step."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Rate that `learning_rate_multiplier` multiplies; none is what `freehold finetune` takes for the model."""
    rank: int = Field(default=16, ge=1, le=512)
    """Rank of the adapter."""
    max_length: int | None = Field(default=None, gt=0)
    """Longest example in tokens; none is the longest in the data, at most the model's context."""
    eval_fraction: float = Field(default=0.1, ge=0, le=0.5)
    """Share of the training file that is held out where a job names no validation file."""


class TuningConfig(ConfigModel):
    """`/v1/files` and `/v1/fine_tuning/jobs`; they answer where this section is present."""

    models: tuple[Annotated[str, Field(pattern=NAME)], ...] = Field(min_length=1)
    """Names of `models` that jobs may start from. Each needs an artifact."""
    max_file_bytes: int = Field(default=512 * 1024 * 1024, gt=0)
    """Larger files are refused."""
    team_bytes: int = Field(default=10 * _GIB, gt=0)
    """What the files of one team, or of a key without team, may take together."""
    total_bytes: int = Field(default=100 * _GIB, gt=0)
    """What all files may take together."""
    pending_jobs: int = Field(default=20, ge=1)
    """Jobs of one team that may wait or run at once; a further one is refused."""
    concurrent_jobs: int | None = Field(default=None, ge=0)
    """Jobs that run at once in this process; none is one a GPU, or one on a machine without. 0 leaves them to
    replicas that share the database and the data folder."""
    gpus: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Numbers of the GPUs that jobs take turns on; none is all of them."""
    time_limit_s: float = Field(default=86_400, gt=0)
    """Longest that a job may run, restarts together."""
    memory_gib: float | None = Field(default=None, gt=0)
    """Most memory (RLIMIT_DATA) of each process of a job; none is no limit."""
    serve: bool = True
    """Serve the adapter of a job that succeeded as `ft:…`, without a restart."""
    defaults: TuningDefaults = TuningDefaults()
    """What a job takes where its request says nothing."""

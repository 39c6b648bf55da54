"""Offline inference: `batches`."""

from pydantic import Field

from freehold.serve.config.base import ConfigModel

_MIB = 1024**2


class BatchesConfig(ConfigModel):
    """`/v1/batches`, and `/v1/files` for what goes in and comes out; they answer where this section is present."""

    concurrency: int = Field(default=8, ge=1, le=4096)
    """Lines of one model in flight at once, in each gateway process."""
    yield_above: int = Field(default=8, ge=0)
    """No line of a model starts while more requests of clients than this are in flight there."""
    yield_waiting: int = Field(default=0, ge=0)
    """Nor while more than this of them wait for their answer to begin. A request that is no stream waits to its end."""
    line_timeout_s: float = Field(default=3600.0, gt=0)
    """How long one try of a line may take; the third that is over time is its error."""
    concurrent_batches: int = Field(default=4, ge=0)
    """Batches that a gateway process works on at once; 0 leaves them to replicas that share the database and the data
    folder."""
    max_lines: int = Field(default=50_000, ge=1)
    """A batch with more lines fails."""
    max_file_bytes: int = Field(default=200 * _MIB, gt=0)
    """Larger input files are refused."""
    team_bytes: int | None = Field(default=None, gt=0)
    """What the files of one team, or of a key without team, may take together. None is `tuning.teamBytes` where there
    is such a section, else 10 GiB."""
    total_bytes: int | None = Field(default=None, gt=0)
    """What all files may take together. None is `tuning.totalBytes` where there is such a section, else 100 GiB."""
    pending_batches: int = Field(default=20, ge=1)
    """Batches of one team that may be going on at once; a further one is refused."""
    retention_days: float = Field(default=30, gt=0)
    """How long input and result files stay that are given no lifetime by their client, and what is known of batches
    that are over."""

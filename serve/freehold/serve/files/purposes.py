"""What files are for: which may be uploaded here, how large, and who may see them."""

from dataclasses import dataclass

from freehold.serve.config import BatchesConfig, DeploymentConfig, TuningConfig
from freehold.serve.state.files import StorageQuota
from freehold.serve.tuning.spaces import Space

TUNING, TUNING_RESULTS = "fine-tune", "fine-tune-results"
BATCH, BATCH_RESULTS = "batch", "batch_output"
_GIB = 1024**3
_DAY_S = 86_400.0
_TEAM_BYTES, _TOTAL_BYTES = 10 * _GIB, 100 * _GIB


@dataclass(frozen=True)
class Rules:
    """What a deployment takes in."""

    tuning: TuningConfig | None
    batches: BatchesConfig | None

    @property
    def purposes(self) -> tuple[str, ...]:
        """Those that an upload may have."""
        return (*((TUNING,) if self.tuning else ()), *((BATCH,) if self.batches else ()))

    @property
    def quota(self) -> StorageQuota:
        """What files of all purposes may take."""
        if self.tuning is not None:
            return StorageQuota(self.tuning.team_bytes, self.tuning.total_bytes)
        assert self.batches is not None, "files are for something"
        return StorageQuota(self.batches.team_bytes or _TEAM_BYTES, self.batches.total_bytes or _TOTAL_BYTES)

    def most_bytes(self, purpose: str | None = None) -> int:
        """The largest file of this purpose, or of any."""
        limits = {
            TUNING: self.tuning.max_file_bytes if self.tuning else 0,
            BATCH: self.batches.max_file_bytes if self.batches else 0,
        }
        return max(limits.values()) if purpose is None else limits[purpose]

    def limit_name(self, purpose: str | None) -> str:
        """Where the config says so."""
        sections = {TUNING: "tuning", BATCH: "batches"}
        chosen = purpose or max(self.purposes, key=self.most_bytes)
        return f"{sections[chosen]}.maxFileBytes"

    def lifetime_s(self, purpose: str) -> float | None:
        """How long a file stays that is given no lifetime; None is until it is deleted."""
        return self.batches.retention_days * _DAY_S if self.batches and purpose == BATCH else None


def rules_of(config: DeploymentConfig) -> Rules | None:
    """None where no files are taken."""
    return Rules(config.tuning, config.batches) if config.tuning or config.batches else None


def shown_to(caller: Space) -> tuple[str, ...] | None:
    """Purposes of the files that a caller may see; None is all. Training data is for keys that may tune."""
    principal = caller.principal
    return None if principal.may_tune or principal.is_at_least("operator") else (BATCH, BATCH_RESULTS)

"""Pulling the demo's model, and reading again what the store then holds."""

from freehold.core.errors import IntegrityError
from freehold.core.hub.pull import PullOptions, pull
from freehold.core.settings import Settings
from freehold.core.store import Artifact, Store
from freehold.serve.demonstration.stages import Stage


def pull_verified(model: str, settings: Settings, stage: Stage) -> Artifact:
    """The model in the demo's store. Raises IntegrityError if a file is not what its lineage says."""
    store = Store(settings.store_root)
    artifact = pull(model, PullOptions(lock_file=settings.home / "freehold.lock"), settings, store)
    if problems := store.verify(artifact):
        raise IntegrityError(
            f"{artifact.id} is damaged",
            why="; ".join(f"{problem.path}: {problem.problem}" for problem in problems),
            next_step=f"Run `rm -r {settings.home}` and the demo again.",
        )
    files, digest = len(artifact.lineage.files), artifact.lineage.digest
    stage.tell(f"{files} files verified, digest {digest[:12]}…", artifact=artifact.id, digest=digest)
    return artifact

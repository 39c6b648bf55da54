"""What the policies of this machine say of a pull: before a byte is fetched, and before it enters the store."""

from dataclasses import dataclass
from pathlib import Path

from freehold.core.hub.selection import Selection
from freehold.core.hub.snapshot import Snapshot
from freehold.core.policy import Policies, Stage, facts_before_pull, facts_of, facts_of_lineage
from freehold.core.store import Artifact, Lineage, Store


@dataclass(frozen=True)
class Permission:
    """Asked at every way on which `pull` returns an artifact. Each method raises PolicyError."""

    policies: Policies
    store: Store

    def offered(self, snapshot: Snapshot, selection: Selection) -> None:
        """By what the source promises, so that a refusal costs no weights."""
        if self.policies:
            paths = [file.path for file in selection.files]
            facts = facts_before_pull(snapshot, paths, self.policies.catalogue)
            self.policies.enforce(facts, Stage.PULL, f"{snapshot.location} may not be pulled")

    def fetched(self, lineage: Lineage, folder: Path) -> None:
        """By what came, and what it says of itself; what was fetched stays in the staging folder."""
        if self.policies:
            facts = facts_of_lineage(lineage, folder, self.policies.catalogue)
            self.policies.enforce(facts, Stage.PULL, f"{lineage.name} was fetched, and may not enter the store")

    def stored(self, artifact: Artifact) -> None:
        """Of what is in the store already: the policy may be younger."""
        if self.policies:
            facts = facts_of(artifact, self.store, self.policies.catalogue)
            self.policies.enforce(facts, Stage.PULL, f"{artifact.id} is in the store, and may not be pulled any more")

"""Installing a bundle: members go from the archive straight to where they stay, each held against the signed index."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from freehold.core.errors import FreeholdError, IntegrityError
from freehold.core.gates import Verdict, read_verdict, record_verdict
from freehold.core.hub.disk import check_disk
from freehold.core.hub.receive import Receiver
from freehold.core.hub.snapshot import RemoteFile
from freehold.core.policy import Policies, Stage, facts_of_lineage, policies_here, refuse
from freehold.core.progress import ByteBar
from freehold.core.settings import Settings
from freehold.core.signing import Trust, add_signature
from freehold.core.store import LINEAGE_FILE, Artifact, EvaluationRecord, Lineage, Staging, Store, content_digest
from freehold.core.store.atomic import write_atomically
from freehold.core.store.lineage import artifact_id
from freehold.serve.bundle.archive import ArchivedFile
from freehold.serve.bundle.archive.reading import damaged
from freehold.serve.bundle.index import INDEX, SIGNATURE, STORE, BundledArtifact, BundleIndex, Member
from freehold.serve.bundle.opening import OpenBundle, open_bundle, read_small, require_signature
from freehold.serve.bundle.site import KeptSite, Site

Located = tuple[Member, ArchivedFile]


@dataclass(frozen=True)
class InstalledBundle:
    """What was installed."""

    index: BundleIndex
    signer: str
    """Empty if nobody signed and that was accepted."""
    folder: Path
    """Config, lock, chart, wheels and the rest."""
    artifacts: list[Artifact]
    shadowed: list[str]
    """Sentences about names in the config that this store understands otherwise than the bundle's maker did."""
    kept: KeptSite | None
    """What was there before, if somebody had changed it."""


def install_bundle(
    path: Path,
    trust: Trust,
    settings: Settings,
    store: Store,
    *,
    accept_unsigned: bool = False,
    force: bool = False,
) -> InstalledBundle:
    """Check who signed, then put everything in its place; an interrupted install goes on where it stopped.

    Raises RefusedError for a bundle that nobody trusted has signed or that is older than the installed one,
    PolicyError for models that the policy here would not let in, IntegrityError with the member's path for what is
    damaged, EnvironmentProblem for a disk without room.
    """
    with open_bundle(path) as bundle:
        signer = require_signature(bundle, trust, accept_unsigned=accept_unsigned)
        site = Site.of(bundle.index.name, settings)
        site.require_not_older(bundle.index, force=force)
        by_place: dict[str, list[Located]] = {}
        for located in bundle.files():
            by_place.setdefault(_place(located[0].path), []).append(located)
        return _Installation(bundle, site, store, by_place, policies_here(settings)).run(signer)


def _place(path: str) -> str:
    """`artifacts/<id>`, `verdicts/<id>` or `signatures/<id>` for what goes into the store; empty for the rest."""
    top, *rest = path.split("/")
    return "/".join(rest[:2]) if top == STORE else ""


class _Installation:
    """One install."""

    def __init__(
        self,
        bundle: OpenBundle,
        site: Site,
        store: Store,
        by_place: dict[str, list[Located]],
        policies: Policies,
    ) -> None:
        self._policies = policies
        self._bundle = bundle
        self._site = site
        self._store = store
        self._by_place = by_place
        self._incoming = site.incoming(bundle.index_sha256)

    def run(self, signer: str) -> InstalledBundle:
        index = self._bundle.index
        lineages = {one.id: self._lineage(one) for one in index.artifacts}
        facts = [facts_of_lineage(one, None, self._policies.catalogue) for one in lineages.values()]
        refuse(
            f"{index.name} may not be installed", [f for one in facts for f in self._policies.judge(one, Stage.PULL)]
        )
        self._check_room()
        self._receive_site()
        artifacts = [self._artifact(one, lineages[one.id]) for one in index.artifacts]
        for artifact in artifacts:
            self._verdicts(artifact)
            self._signatures(artifact)
        write_atomically(self._incoming / INDEX, self._bundle.index_bytes)
        if self._bundle.signature_bytes:
            write_atomically(self._incoming / SIGNATURE, self._bundle.signature_bytes)
        kept = self._site.take(self._incoming)
        return InstalledBundle(index, signer, self._site.folder, artifacts, list(self._shadowed()), kept)

    def _stored(self, one: BundledArtifact) -> Artifact | None:
        return next((artifact for artifact in self._store.artifacts() if artifact.id == one.id), None)

    def _check_room(self) -> None:
        """Raises EnvironmentProblem unless what is still to be written fits."""
        incoming = Receiver(self._incoming)
        site = incoming.missing_bytes(_remote(member) for member, _ in self._by_place.get("", []))
        check_disk(self._store.root, site + sum(self._missing_bytes(one) for one in self._bundle.index.artifacts))

    def _missing_bytes(self, one: BundledArtifact) -> int:
        """What is still to be written of an artifact."""
        if self._stored(one) is not None:
            return 0
        with self._store.staging(_staging_key(one)) as staging:
            return Receiver(staging.result).missing_bytes(_wanted(one, member) for member, _ in self._files(one))

    def _lineage(self, one: BundledArtifact) -> Lineage:
        """Of an artifact in the bundle. Raises IntegrityError if it is not of the files that come with it."""
        located = {member.path.removeprefix(one.folder): (member, file) for member, file in self._files(one)}
        if LINEAGE_FILE not in located:
            raise damaged(one.folder + LINEAGE_FILE, "the index does not list it")
        member, file = located.pop(LINEAGE_FILE)
        try:
            lineage = Lineage.model_validate_json(read_small(member, file))
        except ValidationError as error:
            raise damaged(member.path, f"not a lineage that this version reads: {error}".splitlines()[0]) from error
        records = {record.path: (record.size_bytes, record.sha256) for record in lineage.files}
        listed = {path: (found.size_bytes, found.sha256) for path, (found, _) in located.items()}
        is_itself = lineage.id == one.id == artifact_id(lineage.name, lineage.files)
        if records != listed or not is_itself or lineage.digest != content_digest(lineage.files):
            raise damaged(member.path, "it is of other files than those in the bundle")
        return lineage

    def _files(self, one: BundledArtifact) -> list[Located]:
        return self._by_place.get(f"artifacts/{one.id}", [])

    def _receive_site(self) -> None:
        """Everything that does not go into the store."""
        located = self._by_place.get("", [])
        receiver = Receiver(self._incoming)
        with ByteBar(f"Installing {self._bundle.index.name}", sum(member.size_bytes for member, _ in located)) as bar:
            for member, file in located:
                _receive(receiver, _remote(member), member, file, bar.advance)

    def _artifact(self, one: BundledArtifact, lineage: Lineage) -> Artifact:
        known = self._stored(one)
        if known is not None:
            self._require_whole(known)
            merged = _merged(known.lineage, lineage)
            return self._store.update_lineage(known, merged) if known.lineage != merged else known
        with self._store.staging(_staging_key(one)) as staging:
            self._receive_artifact(one, staging)
            return self._store.add(staging, lineage)

    def _receive_artifact(self, one: BundledArtifact, staging: Staging) -> None:
        receiver = Receiver(staging.result)
        with ByteBar(f"Installing {one.id}", one.size_bytes) as bar:
            for member, file in self._files(one):
                if member.path != one.folder + LINEAGE_FILE:
                    _receive(receiver, _wanted(one, member), member, file, bar.advance)

    def _require_whole(self, known: Artifact) -> None:
        """What is in the store already is read again: it may have lain there for years."""
        with ByteBar(f"Verifying {known.id}, in the store already", known.size_bytes) as bar:
            problems = self._store.verify(known, bar.advance)
        if problems:
            raise IntegrityError(
                f"{known.id} is damaged in the store",
                why="; ".join(f"{problem.path}: {problem.problem}" for problem in problems),
                next_step=f"Run `freehold store remove {known.id} --yes`, then the same command again.",
            )

    def _verdicts(self, artifact: Artifact) -> None:
        for member, file in self._by_place.get(f"verdicts/{artifact.id}", []):
            try:
                verdict = Verdict.model_validate_json(read_small(member, file))
            except ValidationError as error:
                raise damaged(member.path, "not a verdict that this version reads") from error
            if verdict.artifact != artifact.id:
                raise damaged(member.path, f"it is on {verdict.artifact}")
            known = read_verdict(self._store, artifact, verdict.gate)
            if known is None or known.judged_at < verdict.judged_at:
                record_verdict(self._store, verdict)

    def _signatures(self, artifact: Artifact) -> None:
        for member, file in self._by_place.get(f"signatures/{artifact.id}", []):
            copy = self._store.signature_folder(artifact.id) / ".incoming"
            write_atomically(copy, read_small(member, file))
            try:
                add_signature(self._store, artifact, copy)
            except FreeholdError as error:
                raise damaged(member.path, str(error)) from error
            finally:
                copy.unlink()

    def _shadowed(self) -> Iterator[str]:
        for one in self._bundle.index.artifacts:
            for reference in one.references:
                found = self._store.find(reference)
                if found is None or found.id != one.id:
                    other = found.id if found else "nothing"
                    yield (
                        f"{reference} names {other} in this store, and {one.id} came with the bundle: write "
                        f"`artifact: {one.id}` into the config to serve that"
                    )


def _staging_key(one: BundledArtifact) -> str:
    return f"bundle:{one.id}"


def _remote(member: Member) -> RemoteFile:
    return RemoteFile(member.path, member.size_bytes, sha256=member.sha256)


def _wanted(one: BundledArtifact, member: Member) -> RemoteFile:
    return RemoteFile(member.path.removeprefix(one.folder), member.size_bytes, sha256=member.sha256)


def _merged(known: Lineage, brought: Lineage) -> Lineage:
    """What came with the bundle; but of each suite the newest verdict, and a probe that was computed here."""
    newest = {one.suite: one for one in sorted((*known.evaluations, *brought.evaluations), key=_promoted_at)}
    probe = brought.probe if brought.probe.status == "computed" else known.probe
    evaluations = tuple(newest[suite] for suite in sorted(newest))
    return brought.model_copy(
        update={"evaluations": evaluations, "probe": probe, "created_at": known.created_at, "source": known.source}
    )


def _promoted_at(one: EvaluationRecord) -> datetime:
    return one.promoted_at


def _receive(
    receiver: Receiver, wanted: RemoteFile, member: Member, file: ArchivedFile, advance: Callable[[int], None]
) -> None:
    """One member to its place, from where an earlier attempt stopped. Raises IntegrityError with the member's path."""
    if receiver.done(wanted):
        advance(member.size_bytes)
        return
    with receiver.begin(wanted) as incoming:
        advance(incoming.offset)
        for block in file.blocks(incoming.offset):
            incoming.write(block)
            advance(len(block))
        try:
            incoming.finish()
        except IntegrityError as error:
            raise damaged(member.path, error.why) from error

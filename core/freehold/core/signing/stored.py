"""Signatures in the store: `signatures/<artifact id>/<key id>.json`, one of each key; they go with the artifact."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from freehold.core.errors import IntegrityError
from freehold.core.signing.signature import Signature, read_signature
from freehold.core.signing.signer import Signer
from freehold.core.store import LINEAGE_FILE, Artifact, Store
from freehold.core.store.atomic import write_atomically


def signatures(store: Store, artifact: Artifact) -> list[Signature]:
    """Those that an artifact has, unchecked, by name of their files. Raises IntegrityError on an unreadable one."""
    folder = store.signature_folder(artifact.id)
    return [read_signature(path) for path in sorted(folder.glob("*.json"))] if folder.is_dir() else []


def sign_artifact(
    store: Store, artifact: Artifact, signer: Signer, *, advance: Callable[[int], None] | None = None
) -> Signature:
    """Sign an artifact's files by their records, in place of an older signature of the same key.

    The lineage is left out, since probes and promotions are added to it later. Raises IntegrityError when the files
    are not those of the lineage: what is signed has been read.
    """
    signer.require_files()
    problems = store.verify(artifact, advance)
    if problems:
        raise IntegrityError(
            f"{artifact.id} is not signed, since its files differ from its lineage",
            why="; ".join(f"{one.path}: {one.problem}" for one in problems),
            next_step="Remove it with `freehold store remove` and pull it again.",
        )
    folder = store.signature_folder(artifact.id)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        made = signer.sign(artifact.id, artifact.lineage.files, Path(place) / "made.json", ignored=(LINEAGE_FILE,))
        final = folder / _name(made)
        os.replace(made.path, final)
    return read_signature(final)


def add_signature(store: Store, artifact: Artifact, path: Path) -> Signature:
    """Put a signature that was made elsewhere beside an artifact. Raises IntegrityError when it covers other files."""
    found = read_signature(path)
    own = {record.path: record.sha256 for record in artifact.lineage.files}
    if found.digests != own:
        differing = sorted(
            name for name in found.digests.keys() | own.keys() if found.digests.get(name) != own.get(name)
        )
        raise IntegrityError(f"{path} does not sign {artifact.id}", why=f"they differ in {', '.join(differing)}")
    final = store.signature_folder(artifact.id) / _name(found)
    write_atomically(final, path.read_bytes())
    return read_signature(final)


def _name(signature: Signature) -> str:
    return f"{signature.key_id[:24]}.json"

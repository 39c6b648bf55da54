"""Opening a bundle: its index, who signed it, and its members in order, each held against the index as it is read."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import IntegrityError, RefusedError
from freehold.core.signing import SignatureCheck, Trust, check_file, read_signature
from freehold.core.store import FileRecord
from freehold.serve.bundle.archive import Archive, ArchivedFile
from freehold.serve.bundle.archive.reading import damaged
from freehold.serve.bundle.index import INDEX, LIMIT_BYTES, SIGNATURE, BundleIndex, Member, read_index

SIGNATURE_LIMIT_BYTES = 256 << 20
SMALL_BYTES = 64 << 20
"""What may be read into memory at once: lineages, verdicts, signatures."""


@dataclass(frozen=True)
class OpenBundle:
    """A bundle of which the index is read, and nothing else is believed."""

    archive: Archive
    index: BundleIndex
    index_bytes: bytes
    signature_bytes: bytes
    """Empty if it is not signed."""
    _start: int

    def check_signature(self, trust: Trust) -> SignatureCheck | None:
        """The signature against the index and every member in it; None if there is none. Reads no members.

        Raises IntegrityError for what is no signature.
        """
        if not self.signature_bytes:
            return None
        own = FileRecord(path=INDEX, size_bytes=len(self.index_bytes), sha256=self.index_sha256)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / SIGNATURE
            path.write_bytes(self.signature_bytes)
            try:
                signature = read_signature(path)
            except IntegrityError as error:
                raise damaged(SIGNATURE, error.why) from error
            return check_file(signature, [own, *self.index.members], trust)

    @property
    def index_sha256(self) -> str:
        return hashlib.sha256(self.index_bytes).hexdigest()

    def files(self) -> Iterator[tuple[Member, ArchivedFile]]:
        """Members in order; nothing is read for it."""
        sizes = [(member.path, member.size_bytes) for member in self.index.members]
        yield from zip(self.index.members, self.archive.files(sizes, self.index.modified_at, self._start), strict=True)


@contextmanager
def open_bundle(path: Path) -> Iterator[OpenBundle]:
    """By its name or that of its first part. Raises NotFoundError, IntegrityError, and UserError for a later format."""
    with Archive(path) as archive:
        data, start = archive.read_member(INDEX, 0, LIMIT_BYTES)
        index = read_index(data)
        signature = b""
        if index.is_signed:
            signature, start = archive.read_member(SIGNATURE, start, SIGNATURE_LIMIT_BYTES)
        yield OpenBundle(archive, index, data, signature, start)


def require_signature(bundle: OpenBundle, trust: Trust, *, accept_unsigned: bool) -> str:
    """Who signed it; empty if nobody did and that is accepted. Raises RefusedError, IntegrityError."""
    found = bundle.check_signature(trust)
    if found is not None and found.holds:
        return found.signature.signer
    if found is None or not trust:
        if accept_unsigned and not trust:
            return ""
        what = f"is signed by {found.signature.signer}, and nobody is trusted here" if found else "is not signed"
        raise RefusedError(
            f"The bundle {bundle.index.name} {what}",
            next_step="Say whom you trust with --trust-key or --trust-certificate, or accept it by --accept-unsigned.",
        )
    if not found.is_trusted:
        raise RefusedError(
            f"The bundle {bundle.index.name} is signed by nobody who is trusted",
            why=found.problem,
            next_step="Find out who that is before you trust them with --trust-key or --trust-certificate.",
        )
    raise IntegrityError(
        f"The signature of {bundle.index.name} does not hold",
        why=found.problem,
        next_step="Compare the bundle's files with the .sha256 file beside the original; do not install this one.",
    )


def checked_blocks(member: Member, file: ArchivedFile) -> Iterator[bytes]:
    """The content of a member. Raises IntegrityError, with its path, when it is not what the index says."""
    digest = hashlib.sha256()
    for block in file.blocks():
        digest.update(block)
        yield block
    if digest.hexdigest() != member.sha256:
        raise damaged(member.path, f"sha256 {digest.hexdigest()[:12]}… instead of {member.sha256[:12]}…")


def read_small(member: Member, file: ArchivedFile) -> bytes:
    """All of a small member. Raises IntegrityError, with its path."""
    if member.size_bytes > SMALL_BYTES:
        raise damaged(member.path, f"{member.size_bytes} bytes, where at most {SMALL_BYTES} are expected")
    return b"".join(checked_blocks(member, file))


def verify_bundle(bundle: OpenBundle, advance: Callable[[int], None]) -> list[IntegrityError]:
    """Read every member; what is wrong with each that is damaged."""
    problems = []
    for member, file in bundle.files():
        try:
            for block in checked_blocks(member, file):
                advance(len(block))
        except IntegrityError as error:
            problems.append(error)
    return problems

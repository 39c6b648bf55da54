"""The package `model_signing` over digests that are known already, so that signing reads no weights again.

What comes out is what its own command makes of the folder, and it verifies what this makes: `model_signing verify key
FOLDER --signature FILE --public_key site.pub`. Importing this costs half a second.
"""

import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cryptography.exceptions import InvalidSignature
from model_signing import hashing, manifest, signing, verifying
from model_signing._hashing.hashing import Digest
from OpenSSL import crypto

from freehold.core.signing.signature import Signature
from freehold.core.store import FileRecord


class RecordedHashing(hashing.Config):
    """Digests from records, in place of reading the files."""

    def __init__(self, records: Iterable[FileRecord], ignored: Iterable[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._records = tuple(records)
        self._ignored = tuple(ignored)

    def hash(self, model_path: Path, *, files_to_hash: object = None) -> manifest.Manifest:  # type: ignore[override]
        """The manifest of these records; `ignored` are files of the folder that a signature leaves out."""
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(record.path), digest=Digest("sha256", bytes.fromhex(record.sha256))
            )
            for record in self._records
        ]
        arguments = {
            "method": "files",
            "hash_type": "sha256",
            "allow_symlinks": False,
            "ignore_paths": list(self._ignored),
        }
        return manifest.Manifest(Path(model_path).name, items, manifest.SerializationType.from_args(arguments))


def sign(
    name: str,
    records: Iterable[FileRecord],
    ignored: Iterable[str],
    output: Path,
    *,
    key: Path,
    password: bytes | None,
    certificate: Path | None,
    chain: Iterable[Path],
) -> None:
    """Write a signature of records to `output`. Raises ValueError, TypeError, OSError on keys that do not fit."""
    config = signing.Config()  # type: ignore[no-untyped-call]
    config.set_hashing_config(RecordedHashing(records, ignored))
    if certificate is not None:
        # An empty chain is an error there; the certificate itself as its own chain changes nothing.
        between = list(chain) or [certificate]
        config.use_certificate_signer(private_key=key, signing_certificate=certificate, certificate_chain=between)
    else:
        config.use_elliptic_key_signer(private_key=key, password=password)  # type: ignore[arg-type]  # said to be str
    config.sign(Path(name), output)


def problem_of(signature: Signature, records: Iterable[FileRecord], trusted: Iterable[str]) -> str:
    """Why a signature does not hold for exactly these records under these PEM texts; empty when it does.

    `trusted` is one public key, or certificates: never empty, since the package would take the system's own then.
    """
    texts = [text for text in trusted if text]
    assert texts, "somebody has to be trusted"
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, text in enumerate(texts):
            paths.append(Path(folder) / f"{number}.pem")
            paths[-1].write_text(text)
        try:
            config = verifying.Config()  # type: ignore[no-untyped-call]
            config.set_hashing_config(RecordedHashing(records, ()))
            if signature.kind == "key":
                config.use_elliptic_key_verifier(public_key=paths[0])
            else:
                config.use_certificate_verifier(certificate_chain=paths)
            config.verify(signature.path.parent, signature.path)
        except InvalidSignature:
            return "the statement was changed after it was signed, or signed with another key"
        except crypto.X509StoreContextError as error:
            return f"its certificate was not issued under one that is trusted ({error})"
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return str(error) or type(error).__name__
    return ""

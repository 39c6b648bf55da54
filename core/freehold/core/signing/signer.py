"""Who signs: a private key, with or without a certificate for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from freehold.core.errors import NotFoundError, UserError
from freehold.core.signing.signature import Signature, read_signature
from freehold.core.store import FileRecord


@dataclass(frozen=True)
class Signer:
    """An elliptic curve key (P-256, P-384, P-521) in a PEM file."""

    key: Path
    certificate: Path | None = None
    """Of that key, in PEM; then checks need only the certificate that it was issued under."""
    chain: tuple[Path, ...] = ()
    """Certificates between the two, in PEM."""
    password: str = ""
    """Of the key, where that is encrypted; model signing takes none together with a certificate."""

    def require_files(self) -> None:
        """Raises NotFoundError for what is not there, before long work begins."""
        for path in (self.key, self.certificate, *self.chain):
            if path is not None and not path.is_file():
                raise NotFoundError(
                    f"No file {path} to sign with",
                    next_step="Make a key: openssl ecparam -name prime256v1 -genkey -noout -out site.key",
                )

    def sign(self, name: str, records: Iterable[FileRecord], output: Path, *, ignored: Iterable[str] = ()) -> Signature:
        """Write a signature of these files to `output`. Raises NotFoundError, and UserError on a key that does not fit.

        `ignored` are other files of the same folder, which whoever checks the folder itself is to leave out.
        """
        # Half a second of imports, which only those who sign pay.
        from freehold.core.signing.openssf import sign

        self.require_files()
        password = self.password.encode() or None
        try:
            sign(
                name,
                records,
                ignored,
                output,
                key=self.key,
                password=password,
                certificate=self.certificate,
                chain=self.chain,
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(
                f"{self.key} cannot sign",
                why=str(error),
                next_step="It has to be an elliptic curve key in PEM: openssl ecparam -name prime256v1 -genkey -noout",
            ) from error
        return read_signature(output)

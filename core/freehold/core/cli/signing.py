"""Options of commands that sign and check, and `freehold store sign|signatures`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from freehold.core.cli.options import Format, FormatOption
from freehold.core.cli.output import print_rows
from freehold.core.errors import NotFoundError, RefusedError, UserError
from freehold.core.progress import ByteBar
from freehold.core.settings import load_settings
from freehold.core.signing import Signer, Trust, check, sign_artifact, signatures, verify
from freehold.core.store import Store

KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Private elliptic curve key in PEM to sign with.")
]
CertificateOption = Annotated[
    Path | None, typer.Option("--certificate", metavar="FILE", help="Certificate of that key, in PEM.")
]
ChainOption = Annotated[
    list[Path] | None,
    typer.Option("--chain", metavar="FILE", help="Certificates between that and the trusted one; may be repeated."),
]
PasswordFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with the password of an encrypted key.")
]
TrustKeyOption = Annotated[
    list[Path] | None, typer.Option("--trust-key", metavar="FILE", help="Public key in PEM; may be repeated.")
]
TrustCertificateOption = Annotated[
    list[Path] | None,
    typer.Option("--trust-certificate", metavar="FILE", help="Certificate in PEM that signers' are issued under."),
]
ArtifactArgument = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Artifact id, a prefix of one, or a name.")]


def signer_of(
    key: Path | None, certificate: Path | None, chain: Sequence[Path] | None, password_file: Path | None
) -> Signer | None:
    """Who signs, by the options; None without a key. Raises UserError on options that need one, NotFoundError."""
    if key is None:
        if certificate or chain or password_file:
            raise UserError("--certificate, --chain and --password-file need --key", next_step="Add --key FILE.")
        return None
    if password_file is not None and not password_file.is_file():
        raise NotFoundError(f"No file {password_file} with the key's password")
    password = password_file.read_text().rstrip("\n") if password_file else ""
    if password and certificate:
        raise UserError(
            "An encrypted key cannot sign with a certificate",
            why="model signing takes no password there",
            next_step="Decrypt it for the length of the run: openssl ec -in site.key -out plain.key",
        )
    return Signer(key, certificate, tuple(chain or ()), password)


def sign(
    reference: ArtifactArgument,
    key: KeyOption = None,
    certificate: CertificateOption = None,
    chain: ChainOption = None,
    password_file: PasswordFileOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Sign an artifact's files as OpenSSF model signing does, after reading every one; the signature is kept beside it.

    Make a key: openssl ecparam -name prime256v1 -genkey -noout -out site.key; its public half: openssl ec -in site.key
    -pubout -out site.pub.
    """
    signer = signer_of(key, certificate, chain, password_file)
    if signer is None:
        raise UserError("Nothing to sign with", next_step="Add --key FILE.")
    store = Store(load_settings().store_root)
    artifact = store.get(reference)
    with ByteBar(f"Reading {artifact.id}", artifact.size_bytes) as bar:
        made = sign_artifact(store, artifact, signer, advance=bar.advance)
    row = {"id": artifact.id, "signer": made.signer, "signature": str(made.path)}
    print_rows([row], tuple(row), form)


def list_signatures(
    reference: ArtifactArgument,
    trust_key: TrustKeyOption = None,
    trust_certificate: TrustCertificateOption = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List who signed an artifact; with --trust-key or --trust-certificate, check that and read every file again."""
    store = Store(load_settings().store_root)
    artifact = store.get(reference)
    trust = Trust.load(trust_key or (), trust_certificate or ())
    said = {one.path: "not checked" for one in signatures(store, artifact)}
    if trust:
        said = {one.signature.path: one.problem or "holds" for one in check(store, artifact, trust)}
    rows = [
        {"signer": one.signer, "kind": one.kind, "files": len(one.digests), "result": said[one.path]}
        for one in signatures(store, artifact)
    ]
    print_rows(rows, ("signer", "kind", "files", "result"), form, empty=f"{artifact.id} has no signature.")
    if not trust:
        return
    if not rows:
        raise RefusedError(
            f"{artifact.id} is not signed", next_step=f"Sign it with `freehold store sign {artifact.id} --key FILE`."
        )
    with ByteBar(f"Reading {artifact.id}", artifact.size_bytes) as bar:
        verify(store, artifact, trust, advance=bar.advance)

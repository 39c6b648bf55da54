"""`freehold bundle create|install|verify|show`."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from freehold.core.cli.options import Format, FormatOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.cli.signing import (
    CertificateOption,
    ChainOption,
    KeyOption,
    PasswordFileOption,
    TrustCertificateOption,
    TrustKeyOption,
    signer_of,
)
from freehold.core.errors import IntegrityError, UserError
from freehold.core.progress import ByteBar, hint, human_bytes
from freehold.core.settings import load_settings
from freehold.core.signing import Trust
from freehold.core.store import Store

app = typer.Typer(
    help="Everything that a deployment needs in one signed archive, for a site that nothing reaches.",
    no_args_is_help=True,
    epilog=examples(
        "freehold bundle create freehold.yaml -o site.tar.zst --key site.key",
        "freehold bundle install site.tar.zst --trust-key site.pub",
    ),
)

BundleArgument = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The file, or the first of its parts.")]
AcceptUnsignedOption = Annotated[
    bool, typer.Option("--accept-unsigned", help="Take a bundle without knowing who made it; checksums still hold.")
]


@app.command(
    epilog=examples(
        "freehold bundle create freehold.yaml -o site.tar.zst --key site.key",
        "freehold bundle create -o site.tar.zst --key site.key --part-size 4GiB --variant cuda --python 3.12",
        "freehold bundle create -o models.tar.zst --key site.key --no-wheels --no-chart",
    )
)
def create(
    config: Annotated[Path, typer.Argument(metavar="[CONFIG]", help="The deployment.")] = Path("freehold.yaml"),
    output: Annotated[Path, typer.Option("--output", "-o", help="The archive.")] = Path("site.tar.zst"),
    name: Annotated[str | None, typer.Option(help="Name of the bundle; that of the output by default.")] = None,
    key: KeyOption = None,
    certificate: CertificateOption = None,
    chain: ChainOption = None,
    password_file: PasswordFileOption = None,
    part_size: Annotated[str | None, typer.Option(help="Split into parts of this size, such as 4GiB.")] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Wheels of this environment, cpu or cuda; may be repeated.")
    ] = None,
    python: Annotated[list[str] | None, typer.Option(help="Wheels for this Python; may be repeated.")] = None,
    platform: Annotated[
        list[str] | None, typer.Option(help="Wheels for Linux on x86_64 or aarch64; may be repeated.")
    ] = None,
    wheels: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Take the wheels of this folder; download nothing.")
    ] = None,
    no_wheels: Annotated[bool, typer.Option("--no-wheels", help="Leave wheels out.")] = False,
    values: Annotated[Path | None, typer.Option(help="The chart's values, to list the images of.")] = None,
    profile: Annotated[str, typer.Option(help="Accelerators, where no values are given: nvidia, amd …")] = "nvidia",
    no_chart: Annotated[bool, typer.Option("--no-chart", help="Leave chart and images out.")] = False,
    no_images: Annotated[bool, typer.Option("--no-images", help="List images, but copy none.")] = False,
    include: Annotated[list[Path] | None, typer.Option(help="A file to carry along; may be repeated.")] = None,
    lock_file: Annotated[Path, typer.Option(help="Names under which models were pulled.")] = Path("freehold.lock"),
    level: Annotated[int, typer.Option(min=1, max=19, help="How hard to compress.")] = 3,
    force: Annotated[bool, typer.Option("--force", help="Replace a bundle of this name.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Put everything that a deployment needs into one archive: models, wheels, chart, images, SBOM, checksums.

    An interrupted create goes on where it stopped when the same command runs again.
    """
    from freehold.serve.bundle.creating import create_bundle
    from freehold.serve.bundle.gathering import BundleRequest
    from freehold.serve.bundle.wheels import WheelRequest

    if no_wheels and (wheels or variant or python or platform):
        raise UserError("--no-wheels cannot be combined with --wheels, --variant, --python or --platform")
    chosen = WheelRequest(tuple(variant or ()), tuple(python or ()), tuple(platform or ()), wheels)
    settings = load_settings()
    request = BundleRequest(
        config=config,
        name=bundle_name(name, output),
        lock=lock_file,
        wheels=None if no_wheels else chosen,
        values=values,
        profile=profile,
        has_chart=not no_chart,
        copies_images=not no_images,
        signer=signer_of(key, certificate, chain, password_file),
        extra=tuple(include or ()),
    )
    if request.signer is None:
        hint("The bundle will not be signed: whoever installs it has to accept that. Sign with --key FILE.")
    part_bytes = None if part_size is None else size_bytes(part_size)
    store = Store(settings.store_root)
    made = create_bundle(request, output, settings, store, hint, part_bytes=part_bytes, level=level, force=force)
    rows: list[dict[str, Any]] = [
        {"file": str(path), "size": human_bytes(path.stat().st_size), "sha256": digest} for path, digest in made.files
    ]
    if form is Format.JSON:
        print_json({"name": made.index.name, "index_sha256": made.index_sha256, "files": rows})
        return
    print_rows(rows, ("file", "size", "sha256"), form)
    hint(f"Carry {made.checksums.name} along, and inside run: sha256sum --check {made.checksums.name}")


@app.command(
    epilog=examples(
        "freehold bundle install site.tar.zst --trust-key site.pub",
        "freehold bundle install site.tar.zst.000 --trust-certificate site-ca.pem",
    )
)
def install(
    bundle: BundleArgument,
    trust_key: TrustKeyOption = None,
    trust_certificate: TrustCertificateOption = None,
    accept_unsigned: AcceptUnsignedOption = False,
    force: Annotated[bool, typer.Option("--force", help="Go back to a bundle older than the installed one.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check who made a bundle and every byte in it, and put models into the store and the rest beside it.

    Opens no socket. An interrupted install goes on where it stopped when the same command runs again.
    """
    from freehold.serve.bundle.installing import install_bundle

    settings = load_settings()
    trust = Trust.load(trust_key or (), trust_certificate or ())
    store = Store(settings.store_root)
    done = install_bundle(bundle, trust, settings, store, accept_unsigned=accept_unsigned, force=force)
    if done.kept is not None:
        listed = ", ".join(done.kept.changed)
        hint(f"Changed since the last install, and kept as it was in {done.kept.folder}: {listed}.")
    for sentence in done.shadowed:
        hint(f"{sentence}.")
    row = {
        "bundle": done.index.name,
        "created": done.index.created_at.isoformat(),
        "signer": done.signer or "nobody",
        "artifacts": ", ".join(artifact.id for artifact in done.artifacts),
        "folder": str(done.folder),
    }
    if form is Format.JSON:
        print_json(row | {"artifacts": [artifact.id for artifact in done.artifacts]})
        return
    print_fields(row)
    hint(f"Serve it: cd {done.folder} && freehold serve freehold.yaml --offline")


@app.command(
    epilog=examples(
        "freehold bundle verify site.tar.zst --trust-key site.pub",
        "freehold bundle verify site.tar.zst --accept-unsigned",
    )
)
def verify(
    bundle: BundleArgument,
    trust_key: TrustKeyOption = None,
    trust_certificate: TrustCertificateOption = None,
    accept_unsigned: AcceptUnsignedOption = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check the signature and read every member, without installing anything."""
    from freehold.serve.bundle.opening import open_bundle, require_signature, verify_bundle

    trust = Trust.load(trust_key or (), trust_certificate or ())
    with open_bundle(bundle) as opened:
        signer = require_signature(opened, trust, accept_unsigned=accept_unsigned)
        with ByteBar(f"Verifying {opened.index.name}", opened.index.size_bytes) as bar:
            problems = verify_bundle(opened, bar.advance)
        rows = [{"problem": one.what, "why": one.why} for one in problems]
        good = f"{len(opened.index.members)} members verified, signed by {signer or 'nobody'}."
        print_rows(rows, ("problem", "why"), form, empty=good)
    if problems:
        raise IntegrityError(f"{len(problems)} member(s) are damaged", next_step=problems[0].next_step)


@app.command(
    epilog=examples("freehold bundle show site.tar.zst", "freehold bundle show site.tar.zst.000 --format json")
)
def show(bundle: BundleArgument, form: FormatOption = Format.TABLE) -> None:
    """Show what a bundle says of itself. Nothing of it is checked."""
    from freehold.serve.bundle.opening import open_bundle

    with open_bundle(bundle) as opened:
        index = opened.index
        if form is Format.JSON:
            print_json(index.model_dump(mode="json") | {"index_sha256": opened.index_sha256})
            return
        sets = [f"{one.count} for {one.variant} {one.python} {one.platform}".rstrip() for one in index.wheels]
        print_fields(
            {
                "name": index.name,
                "created": index.created_at.isoformat(),
                "made by": f"freehold {index.toolkit}",
                "signed": index.is_signed,
                "index sha256": opened.index_sha256,
                "size": f"{human_bytes(opened.archive.size_bytes)} in {len(opened.archive.parts)} file(s)",
                "members": len(index.members),
                "wheels": "; ".join(sets) or "none",
                "chart": f"{index.chart.path}, by {index.chart.packaged_by}" if index.chart else "none",
                "images": f"{len(index.images)}, {sum(bool(one.archive) for one in index.images)} inside",
            }
        )
        rows = [one.model_dump() | {"size": human_bytes(one.size_bytes)} for one in index.artifacts]
        print_rows(rows, ("id", "kind", "license", "size"), form)


def bundle_name(name: str | None, output: Path) -> str:
    """As typed, else the output's without its endings. Raises UserError on one that cannot name a folder."""
    from freehold.serve.bundle.index import NAME

    found = name or re.sub(r"(\.tar)?\.zst$", "", output.name)
    if not re.fullmatch(NAME, found):
        raise UserError(
            f"{found!r} cannot name a bundle", why="letters, digits and . _ - only", next_step="Use --name."
        )
    return found


_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def size_bytes(text: str) -> int:
    """`4GiB`, `700MB`. Raises UserError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B|B)?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[(found[2] or "").upper()]) if found else 0
    if size < 1 << 16:
        raise UserError(f"{text!r} is no size of a part", why="such as 4GiB or 700MB; at least 64KiB")
    return size

"""`freehold store list|show|verify|remove|gc|probe|sign|signatures`."""

from collections.abc import Iterator
from typing import Annotated, Any, get_args

import typer

from freehold.core.cli.options import Format, FormatOption, YesOption, examples
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.cli.signing import list_signatures, sign
from freehold.core.errors import IntegrityError
from freehold.core.gates import GateName, read_verdict
from freehold.core.progress import ByteBar, hint, human_bytes, phase
from freehold.core.quiet import quiet_libraries
from freehold.core.settings import load_settings
from freehold.core.signing import signatures
from freehold.core.store import Artifact, EvaluationRecord, Store

app = typer.Typer(
    help="Look at and tidy the artifacts on this machine.",
    no_args_is_help=True,
    epilog=examples("freehold store list", "freehold store verify smollm2-135m-instruct"),
)

ReferenceArgument = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Artifact id, a prefix of one, or a name.")]


def _store() -> Store:
    return Store(load_settings().store_root)


def _summary(store: Store, artifact: Artifact) -> dict[str, Any]:
    source = artifact.lineage.source
    return {
        "id": artifact.id,
        "kind": artifact.lineage.kind,
        "size": human_bytes(artifact.size_bytes),
        "created": artifact.lineage.created_at.strftime("%Y-%m-%d %H:%M"),
        "source": f"{source.kind}:{source.location}" if source else ", ".join(artifact.lineage.parents),
        "probe": artifact.lineage.probe.status,
        "in_use": store.is_in_use(artifact),
        "size_bytes": artifact.size_bytes,
        "path": str(artifact.path),
    }


@app.command("list", epilog=examples("freehold store list", "freehold store list --format json"))
def list_artifacts(form: FormatOption = Format.TABLE) -> None:
    """List every artifact, oldest first."""
    store = _store()
    rows = [_summary(store, artifact) for artifact in store.artifacts()]
    empty = "The store is empty. Try `freehold pull smollm2-135m-instruct`."
    print_rows(rows, ("id", "kind", "size", "created", "source", "probe"), form, empty=empty)


@app.command(epilog=examples("freehold store show smollm2-135m-instruct", "freehold store show ID --format json"))
def show(reference: ReferenceArgument, form: FormatOption = Format.TABLE) -> None:
    """Show one artifact's lineage and files."""
    store = _store()
    artifact = store.get(reference)
    lineage = artifact.lineage
    if form is Format.JSON:
        print_json(lineage.model_dump(mode="json") | {"path": str(artifact.path)})
        return
    source = lineage.source
    print_fields(
        _summary(store, artifact)
        | {
            "digest": lineage.digest,
            "license": lineage.license,
            "revision": f"{source.revision} → {source.commit}" if source else None,
            "steps": ", ".join(step.name for step in lineage.steps) or "none",
            "allowed": ", ".join(lineage.allowed) or "nothing unsafe",
            "gates": ", ".join(_verdicts(store, artifact)) or "none was asked",
            "signed": ", ".join(one.signer for one in signatures(store, artifact)) or "no",
            "promoted": "; ".join(_evaluation(one) for one in lineage.evaluations) or "no",
        }
    )
    for record in lineage.files:
        print(f"  {record.sha256[:12]}  {human_bytes(record.size_bytes):>10}  {record.path}")


def _verdicts(store: Store, artifact: Artifact) -> Iterator[str]:
    for gate in get_args(GateName):
        verdict = read_verdict(store, artifact, gate)
        if verdict is not None:
            yield f"{gate} {'passed' if verdict.passed else 'did not pass'}"


def _evaluation(one: EvaluationRecord) -> str:
    which = f" ({', '.join(one.slices)})" if one.slices else ""
    return f"{one.suite} against {one.baseline}: {one.decision}{which}"


@app.command(epilog=examples("freehold store verify smollm2-135m-instruct", "freehold store verify --format json"))
def verify(
    reference: Annotated[str | None, typer.Argument(metavar="ARTIFACT", help="All of them when left out.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Read every file again and compare it with its recorded SHA-256."""
    store = _store()
    artifacts = [store.get(reference)] if reference else store.artifacts()
    rows = []
    for artifact in artifacts:
        with ByteBar(f"Verifying {artifact.id}", artifact.size_bytes) as bar:
            problems = store.verify(artifact, bar.advance)
        rows += [{"id": artifact.id, "file": p.path, "problem": p.problem} for p in problems]
    print_rows(rows, ("id", "file", "problem"), form, empty=f"{len(artifacts)} artifact(s) verified: no differences.")
    if rows:
        raise IntegrityError(
            f"{len(rows)} file(s) differ from their lineage",
            next_step="Remove the artifact with `freehold store remove ID` and pull it again.",
        )


@app.command(epilog=examples("freehold store remove smollm2-135m-instruct --yes", "freehold store remove ID --yes"))
def remove(
    reference: ReferenceArgument,
    yes: YesOption = False,
    force: Annotated[bool, typer.Option("--force", help="Even if other artifacts were made from it.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Delete one artifact; one that is being served stays."""
    store = _store()
    artifact = store.get(reference)
    if yes:
        store.remove(artifact, force=force)
    row = {"removed" if yes else "would_remove": artifact.id, "size": human_bytes(artifact.size_bytes)}
    print_rows([row], tuple(row), form)
    if not yes:
        hint("Nothing was removed. Add --yes to do it.")


@app.command(epilog=examples("freehold store gc", "freehold store gc --yes"))
def gc(yes: YesOption = False, form: FormatOption = Format.TABLE) -> None:
    """Clear abandoned downloads and artifacts that a newer one of the same name replaced."""
    store = _store()
    rows = [
        {"what": "leftover", "name": path.name, "size": human_bytes(_folder_bytes(path)), "path": str(path)}
        for path in store.leftovers()
    ]
    rows += [{"what": "superseded"} | _gc_row(artifact) for artifact in store.superseded()]
    if yes:
        store.collect()
    print_rows(rows, ("what", "name", "size"), form, empty="Nothing to clear.")
    if rows and not yes:
        hint("Nothing was removed. Add --yes to do it.")


def _gc_row(artifact: Artifact) -> dict[str, str]:
    return {"name": artifact.id, "size": human_bytes(artifact.size_bytes), "path": str(artifact.path)}


def _folder_bytes(folder: Any) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@app.command(epilog=examples("freehold store probe smollm2-135m-instruct"))
def probe(reference: ReferenceArgument) -> None:
    """Compute the golden-probe reference of an artifact that has none, with transformers in float32."""
    from freehold.core.probe.reference import probe_reference

    store = _store()
    artifact = store.get(reference)
    with phase(f"Computing the reference of {artifact.id}"), quiet_libraries():
        computed = probe_reference(artifact.path, allow_remote_code="remote-code" in artifact.lineage.allowed)
    store.update_lineage(artifact, artifact.lineage.model_copy(update={"probe": computed}))
    print(f"{artifact.id}: {len(computed.prompts)} prompts recorded")


app.command(
    epilog=examples(
        "freehold store sign smollm2-135m-instruct --key site.key",
        "freehold store sign smollm2-135m-instruct --key models.key --certificate models.crt --chain issuing.pem",
    )
)(sign)
app.command(
    "signatures",
    epilog=examples(
        "freehold store signatures smollm2-135m-instruct",
        "freehold store signatures smollm2-135m-instruct --trust-key site.pub --trust-certificate site-ca.pem",
    ),
)(list_signatures)

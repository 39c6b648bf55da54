"""The bill of materials, CycloneDX 1.6: models and adapters as machine-learning models, wheels, images, the chart.

https://cyclonedx.org/docs/1.6/json/
"""

import uuid
from collections.abc import Iterable
from datetime import datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType, Pedigree
from cyclonedx.model.license import License
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from freehold.core.hub.huggingface import KIND as HUB
from freehold.core.store import Artifact
from freehold.serve.bundle.index import BundledChart, BundledImage
from freehold.serve.bundle.wheels import Wheel

HUB_PAGES = "https://huggingface.co"


def bill_of_materials(
    name: str,
    created_at: datetime,
    artifacts: Iterable[Artifact],
    wheels: Iterable[Wheel],
    images: Iterable[BundledImage],
    chart: tuple[BundledChart, str] | None,
    toolkit: str,
) -> bytes:
    """The document as JSON; `chart` comes with its SHA-256. The same bundle makes the same bytes."""
    bundle = Component(name=name, type=ComponentType.APPLICATION, version=created_at.isoformat(), bom_ref="bundle")
    tool = Component(name="freehold", type=ComponentType.APPLICATION, version=toolkit, bom_ref="tool:freehold")
    models = [_model(artifact) for artifact in artifacts]
    others = [_library(wheel) for wheel in wheels] + [_container(image) for image in images]
    if chart is not None:
        others.append(_chart(*chart))
    bom = Bom(
        components=[*models, *others],
        metadata=BomMetaData(component=bundle, tools=ToolRepository(components=[tool]), timestamp=created_at),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"freehold:{name}:{created_at.isoformat()}"),
    )
    bom.register_dependency(bundle, [*models, *others])
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"


def _model(artifact: Artifact) -> Component:
    """A model or an adapter: its licence, what it was made from, and each of its files with its digest."""
    lineage = artifact.lineage
    source = lineage.source
    said = {
        "kind": lineage.kind,
        "contentDigest": lineage.digest,
        "steps": ", ".join(step.name for step in lineage.steps),
        "source": f"{source.kind}:{source.location}@{source.commit}" if source else "",
        "allowed": ", ".join(lineage.allowed),
    }
    is_hub = source is not None and source.kind == HUB
    return Component(
        name=lineage.name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        version=lineage.digest[:12],
        bom_ref=f"artifact:{artifact.id}",
        # `content_digest` of the files is a SHA-256 over their list; it tells this version from another.
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=lineage.digest)],
        licenses=_licenses(lineage.license),
        purl=_hub_purl(source.location, source.commit) if source is not None and is_hub else None,
        external_references=_pages(source.location) if source is not None and is_hub else (),
        pedigree=_pedigree(lineage.parents),
        components=[_file(artifact.id, record.path, record.sha256) for record in lineage.files],
        properties=[Property(name=f"freehold:{key}", value=value) for key, value in said.items() if value],
    )


def _pages(location: str) -> list[ExternalReference]:
    return [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(f"{HUB_PAGES}/{location}"))]


def _hub_purl(location: str, commit: str) -> PackageURL:
    owner, _, name = location.rpartition("/")
    return PackageURL("huggingface", owner or None, name, commit)


def _pedigree(parents: tuple[str, ...]) -> Pedigree | None:
    """What it was trained or quantized from, by the ids of the store."""
    if not parents:
        return None
    made_from = [
        Component(
            name=parent.rpartition("-")[0], version=parent.rpartition("-")[2], bom_ref=f"parent:{parent}:{number}"
        )
        for number, parent in enumerate(parents)
    ]
    for one in made_from:
        one.type = ComponentType.MACHINE_LEARNING_MODEL
    return Pedigree(ancestors=made_from)


def _file(artifact_id: str, path: str, sha256: str) -> Component:
    return Component(
        name=path,
        type=ComponentType.FILE,
        bom_ref=f"file:{artifact_id}/{path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )


def _library(wheel: Wheel) -> Component:
    return Component(
        name=wheel.name,
        version=wheel.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"wheel:{wheel.path.name}",
        purl=PackageURL("pypi", None, wheel.name, wheel.version, {"file_name": wheel.path.name}),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel.sha256)],
        licenses=_licenses(wheel.license()),
    )


def _container(image: BundledImage) -> Component:
    name, _, tag = image.reference.partition("@")[0].rpartition(":")
    digest = image.digest.removeprefix("sha256:")
    return Component(
        name=name if name and "/" not in tag else image.reference,
        version=image.digest or tag,
        type=ComponentType.CONTAINER,
        bom_ref=f"image:{image.reference}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)] if digest else (),
    )


def _chart(chart: BundledChart, sha256: str) -> Component:
    return Component(
        name="freehold-chart",
        version=chart.path.removesuffix(".tgz").rpartition("-")[2],
        type=ComponentType.APPLICATION,
        bom_ref="chart",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
    )


def _licenses(said: str) -> list[License]:
    """An SPDX id or expression where it is one, else the words as a name; none where nothing is known."""
    return [LicenseFactory().make_from_string(said)] if said.strip() else []

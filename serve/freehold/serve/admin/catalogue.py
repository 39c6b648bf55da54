"""The catalogue over HTTP: what could be pulled, narrowed by what it must have and by what fits."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from freehold.core.errors import UserError
from freehold.core.manifest import ModelManifest
from freehold.core.manifest.model import Capability
from freehold.core.manifest.searching import Wish, search
from freehold.serve.library.fitness import HERE, Fitness, machine
from freehold.serve.library.library import Library, kinship

MAX_PAGE = 1000


class ShownModel(BaseModel):
    """A model of the catalogue."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["catalogue_model"] = "catalogue_model"
    id: str
    title: str
    publisher: str
    description: str
    family: str
    roles: list[str]
    license: str
    commercial_use: str | None
    """`yes`, `no`, or `conditions`: allowed under the obligations of the licence."""
    license_source: str
    obligations: list[str]
    parameters_total: int
    parameters_active: int | None
    context_tokens: int
    precision: str
    takes: list[str]
    gives: list[str]
    capabilities: list[str]
    source: str
    """Where `freehold pull` fetches it from."""
    artifacts: list[str]
    """Ids of artifacts here that are this model, or were made from it."""
    fits: Literal["yes", "no", "unknown"] | None
    """On the GPUs that were asked about; null where none were."""
    fits_why: str
    """What speaks against it, or why nobody knows."""


class Machine(BaseModel):
    """The GPUs of the machine that answers."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    gpus: str | None
    why: str
    """Why nothing can be planned for them, where that is so."""


class Facets(BaseModel):
    """How many models of the whole catalogue have each value."""

    families: dict[str, int]
    licenses: dict[str, int]
    capabilities: dict[str, int]


class CatalogueList(BaseModel):
    """One page of models by id; the next one follows `last_id`."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["list"] = "list"
    data: list[ShownModel]
    first_id: str | None
    last_id: str | None
    has_more: bool
    matches: int
    """Models that have all of what was asked for, on this page or another."""
    unknown: int
    """Those of which nobody knows whether they fit; they are left out where that was asked for."""
    machine: Machine
    facets: Facets
    problems: list[str]
    """Manifests of this house that cannot be used, and why."""


def catalogue_router(library: Library) -> APIRouter:
    """`/admin/v1/catalogue`; whoever mounts it lets viewers in. Errors are raised as `FreeholdError`."""
    router = APIRouter(prefix="/admin/v1/catalogue", tags=["catalogue"])

    # A plain function: manifests are read on a thread.
    @router.get("")
    def list_catalogue(
        family: str | None = None,
        license_id: Annotated[str | None, Query(alias="license", description="SPDX identifier.")] = None,
        commercial: Annotated[
            bool, Query(description="Only what may be used commercially without conditions.")
        ] = False,
        capability: Annotated[str | None, Query(description="Several are separated by commas.")] = None,
        words: Annotated[str | None, Query(alias="search", description="All must occur.")] = None,
        fits: Annotated[str | None, Query(description="`here`, or GPUs: `2xH100-80GB`. Only those that fit.")] = None,
        gpus: Annotated[str | None, Query(description="The same, and all are listed.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
        after: Annotated[str | None, Query(description="Id of the last model of the page before.")] = None,
    ) -> CatalogueList:
        catalogue, problems = library.shelf.catalogue()
        wish = Wish(family, license=license_id, commercial=commercial, capabilities=_capabilities(capability))
        found = [each for each in (search(catalogue, words) if words else catalogue) if wish.suits(each)]
        verdicts = _verdicts(library, found, fits or gpus)
        if fits:
            found = [each for each in found if verdicts[each.id].fits == "yes"]
        ids = sorted(each.id for each in found if after is None or each.id > after)
        page = [catalogue.manifests[id_] for id_ in ids[:limit]]
        here = kinship(library.index.artifacts(), catalogue).pulled()
        data = [_shown(each, here.get(each.id, []), verdicts.get(each.id)) for each in page]
        gpus_here, why = machine()
        return CatalogueList(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=len(ids) > limit,
            matches=len(found),
            unknown=sum(each.fits == "unknown" for each in verdicts.values()),
            machine=Machine(gpus=None if gpus_here is None else str(gpus_here), why=why),
            facets=_facets(catalogue),
            problems=problems,
        )

    @router.get("/{model_id}")
    def show_catalogue_model(model_id: str) -> ShownModel:
        catalogue, _ = library.shelf.catalogue()
        manifest = catalogue.require(model_id)
        here = kinship(library.index.artifacts(), catalogue).pulled()
        gpus_here, _ = machine()
        verdict = None if gpus_here is None else library.measure.of(manifest, gpus_here)
        return _shown(manifest, here.get(model_id, []), verdict)

    return router


def _capabilities(text: str | None) -> tuple[str, ...]:
    wanted = tuple(name.strip() for name in (text or "").split(",") if name.strip())
    known = get_args(Capability)
    if unknown := [name for name in wanted if name not in known]:
        raise UserError(f"capability: {unknown[0]!r} is not known", why=f"there are {', '.join(known)}")
    return wanted


def _verdicts(library: Library, manifests: Iterable[ModelManifest], gpus: str | None) -> dict[str, Fitness]:
    if not gpus:
        return {}
    wanted = library.measure.gpus(HERE if gpus == HERE else gpus)
    return {each.id: library.measure.of(each, wanted) for each in manifests}


def _facets(manifests: Iterable[ModelManifest]) -> Facets:
    known = list(manifests)
    return Facets(
        families=_counted(each.family for each in known),
        licenses=_counted(each.license.spdx for each in known),
        capabilities=_counted(name for each in known for name in each.capabilities),
    )


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _shown(manifest: ModelManifest, artifacts: list[str], fitness: Fitness | None) -> ShownModel:
    origin = manifest.source
    return ShownModel(
        id=manifest.id,
        title=manifest.title,
        publisher=manifest.publisher,
        description=manifest.description,
        family=manifest.family,
        roles=list(manifest.roles),
        license=manifest.license.spdx,
        commercial_use=manifest.license.commercial_use,
        license_source=str(manifest.license.source),
        obligations=list(manifest.license.obligations),
        parameters_total=manifest.parameters_total,
        parameters_active=manifest.parameters_active,
        context_tokens=manifest.context_tokens,
        precision=manifest.precision,
        takes=list(manifest.modalities.takes),
        gives=list(manifest.modalities.gives),
        capabilities=list(manifest.capabilities),
        source=origin.repo if origin.kind == "hub" else origin.package,
        artifacts=artifacts,
        fits=fitness.fits if fitness else None,
        fits_why=fitness.why if fitness else "",
    )

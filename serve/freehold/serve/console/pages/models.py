"""Models: what is served and what lies in the store, the catalogue, and how an artifact came to be served."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from freehold.serve.admin.report_headers import REPORT_HEADERS
from freehold.serve.console.api import ApiError
from freehold.serve.console.console import Console
from freehold.serve.console.graph import drawn
from freehold.serve.console.page import Page
from freehold.serve.console.paths import quoted

PAGE_SIZE = 50
TAKES_NONE = ("refused", "not_found")
"""What the API answers for a model whose engine takes no adapters, or is no model of the config."""


def routes(console: Console, router: APIRouter) -> None:
    """`/console/models`."""

    @router.get("")
    async def show(request: Request, after: str | None = None) -> Response:
        artifacts = await console.api(request).get("/admin/v1/artifacts", after=after, limit=PAGE_SIZE)
        return console.render(request, "models.html.jinja", artifacts=artifacts, **await served(console, request))

    @router.get("/served")
    async def show_served(request: Request) -> Response:
        return console.render(request, "_served.html.jinja", **await served(console, request))

    @router.get("/catalogue")
    async def show_catalogue(
        request: Request,
        family: str = "",
        license_id: Annotated[str, Query(alias="license")] = "",
        capability: str = "",
        search: str = "",
        fits: str = "",
        gpus: str = "",
        commercial: bool = False,
        after: str = "",
    ) -> Response:
        wanted: dict[str, Any] = {"family": family, "license": license_id, "capability": capability, "search": search}
        wanted |= {"fits": gpus if fits == "gpus" else fits, "commercial": "true" if commercial else "", "after": after}
        asked = {name: value for name, value in wanted.items() if value}
        found = await console.api(request).get("/admin/v1/catalogue", limit=PAGE_SIZE, **asked)
        chosen = {**wanted, "fits": fits, "gpus": gpus}
        here = {name: value for name, value in chosen.items() if value}
        more = urlencode({**here, "after": found["last_id"]}) if found["has_more"] else ""
        return console.render(request, "catalogue.html.jinja", found=found, chosen=chosen, more=more)

    @router.get("/catalogue/{model_id}")
    async def show_model(request: Request, model_id: str) -> Response:
        model = await console.api(request).get(f"/admin/v1/catalogue/{quoted(model_id)}")
        return console.render(request, "catalogue_model.html.jinja", model=model)

    @router.get("/artifacts/{artifact_id}")
    async def show_artifact(request: Request, artifact_id: str) -> Response:
        api, path = console.api(request), f"/admin/v1/artifacts/{quoted(artifact_id)}"
        artifact, lineage = await api.get(path), await api.get(f"{path}/lineage")
        picture = drawn(lineage["nodes"], lineage["edges"])
        return console.render(request, "artifact.html.jinja", artifact=artifact, picture=picture)

    @router.get("/artifacts/{artifact_id}/gates/{gate}")
    async def show_gate_report(request: Request, artifact_id: str, gate: str) -> Response:
        path = f"/admin/v1/artifacts/{quoted(artifact_id)}/gates/{quoted(gate)}"
        answer = await console.api(request).send("GET", path)
        return Response(answer.content, media_type="text/html", headers=REPORT_HEADERS)

    @router.post("/adapters")
    async def load_adapter(
        request: Request,
        model: Annotated[str, Form()],
        name: Annotated[str, Form()],
        artifact: Annotated[str, Form()],
    ) -> Response:
        await console.api(request).post(adapters_of(model), {"name": name.strip(), "artifact": artifact.strip()})
        return RedirectResponse(MODELS.path, status_code=303)

    @router.post("/adapters/unload")
    async def unload_adapter(request: Request, model: Annotated[str, Form()], name: Annotated[str, Form()]) -> Response:
        await console.api(request).delete(f"{adapters_of(model)}/{quoted(name)}")
        return RedirectResponse(MODELS.path, status_code=303)

    @router.post("/load")
    async def load_model(request: Request, model: Annotated[str, Form()]) -> Response:
        await console.api(request).post(f"/admin/v1/models/{quoted(model)}/load")
        return RedirectResponse(MODELS.path, status_code=303)

    @router.post("/unload")
    async def unload_model(request: Request, model: Annotated[str, Form()]) -> Response:
        await console.api(request).post(f"/admin/v1/models/{quoted(model)}/unload")
        return RedirectResponse(MODELS.path, status_code=303)


def adapters_of(model: str) -> str:
    """The path of a model's adapters."""
    return f"/admin/v1/models/{quoted(model)}/adapters"


async def served(console: Console, request: Request) -> dict[str, Any]:
    """Engines, and for each model that takes adapters how they stand."""
    api = console.api(request)
    engines = (await api.get("/admin/v1/engines"))["data"]
    adapters = {}
    for engine in engines:
        if engine["kind"] == "model":
            try:
                adapters[engine["name"]] = (await api.get(adapters_of(engine["name"])))["data"]
            except ApiError as error:
                if error.code not in TAKES_NONE:
                    raise
    return {"engines": engines, "adapters": adapters}


MODELS = Page("models", "Models", routes)

"""The playground: one prompt to one model, or to several side by side; the browser itself asks the public API."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from freehold.serve.console.console import Console
from freehold.serve.console.page import Page

MOST_ARTIFACTS = 1000
MOST_SIDES = 4


@dataclass(frozen=True)
class Answerer:
    """A model, an adapter or a route that this visitor may name."""

    name: str
    state: str
    """Of its engine; empty for a route."""
    takes: tuple[str, ...] | None
    """text, image, audio; None where the catalogue does not know."""
    capabilities: tuple[str, ...] | None

    @property
    def is_chat(self) -> bool:
        """Whether it answers with text, as far as is known."""
        return self.capabilities is None or not {"embeddings", "rerank"} & set(self.capabilities)


def routes(console: Console, router: APIRouter) -> None:
    """`/console/playground`."""

    @router.get("")
    async def show(request: Request) -> Response:
        api = console.api(request)
        named = [each["id"] for each in (await api.get("/v1/models"))["data"]]
        engines = {each["name"]: each for each in (await api.get("/admin/v1/engines"))["data"]}
        artifacts = (await api.get("/admin/v1/artifacts", limit=MOST_ARTIFACTS))["data"]
        by_id = {each["id"]: each for each in artifacts}
        known = [answerer(name, engines.get(name), by_id) for name in named]
        tallies = await api.get("/admin/v1/votes")
        choices = [each for each in known if each.is_chat]
        return console.render(
            request, "playground.html.jinja", choices=choices, sides=range(1, MOST_SIDES + 1), tallies=tallies
        )

    @router.get("/votes")
    async def export(request: Request, form: Annotated[str, Query(alias="as")] = "suite") -> Response:
        answer = await console.api(request).send("GET", "/admin/v1/votes/export", query={"as": form})
        kept = ("content-type", "content-disposition")
        return Response(answer.content, headers={name: answer.headers[name] for name in kept})


def answerer(name: str, engine: dict[str, Any] | None, artifacts: dict[str, Any]) -> Answerer:
    """What is known of a name that may be sent as "model"."""
    if engine is None:
        return Answerer(name, "", None, None)
    artifact = artifacts.get(engine["artifact"] or "")
    if artifact is None or artifact["takes"] is None:
        return Answerer(name, engine["state"], None, None)
    return Answerer(name, engine["state"], tuple(artifact["takes"]), tuple(artifact["capabilities"]))


PLAYGROUND = Page("playground", "Playground", routes)

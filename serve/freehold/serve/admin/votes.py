"""Votes on answers over HTTP: cast, counted, and handed out as data; every vote and export is audited."""

from collections.abc import Iterator
from typing import Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from freehold.serve.admin.access import origin_of, require_role
from freehold.serve.audit import AuditLog
from freehold.serve.gateway.keyring import KeyRing
from freehold.serve.votes.box import BallotBox
from freehold.serve.votes.counting import counted
from freehold.serve.votes.exporting import Form, exported
from freehold.serve.votes.vote import NewVote, Vote

NDJSON = "application/x-ndjson"


class CastVote(BaseModel):
    """A vote that was kept."""

    object: Literal["vote"] = "vote"
    id: str
    at: int


class ShownTally(BaseModel):
    """How one model did."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    model: str
    shown: int
    won: int
    tied: int
    lost: int
    """Another was better, or none was good."""


class TallyList(BaseModel):
    """How the models did, the one with the largest share of wins first."""

    object: Literal["list"] = "list"
    votes: int
    data: list[ShownTally]


def votes_router(box: BallotBox, audit: AuditLog, keyring: KeyRing) -> APIRouter:
    """`/admin/v1/votes`; viewers vote and read the counts, operators read what was voted on."""
    router = APIRouter(prefix="/admin/v1/votes", tags=["votes"])
    viewer, operator = Depends(require_role(keyring, "viewer")), Depends(require_role(keyring, "operator"))

    @router.post("", status_code=201, dependencies=[viewer])
    async def cast_vote(new: NewVote, request: Request) -> CastVote:
        actor, details = request.state.principal.actor, {"verdict": new.verdict, "blind": new.blind}

        def cast() -> Vote:
            with audit.act(
                "votes.cast", actor=actor, target=new.best or "", origin=origin_of(request), details=details
            ) as said:
                vote = box.add(new, actor)
                said["vote"] = vote.id
                return vote

        vote = await run_in_threadpool(cast)
        return CastVote(id=vote.id, at=int(vote.at))

    # Plain functions: files are read on a thread.
    @router.get("", dependencies=[viewer])
    def count_votes() -> TallyList:
        count = counted(box)
        return TallyList(votes=count.votes, data=[ShownTally(**vars(tally)) for tally in count.tallies])

    @router.get("/export", response_class=StreamingResponse, dependencies=[operator])
    def export_votes(
        request: Request,
        form: Form = Query(default="suite", alias="as", description="`suite`, `preference` or `votes`."),  # noqa: B008
    ) -> StreamingResponse:
        audit.record(
            "votes.export",
            actor=request.state.principal.actor,
            target="votes",
            origin=origin_of(request),
            details={"as": form},
        )
        lines: Iterator[bytes] = exported(box, form)
        name = f'attachment; filename="{form}.jsonl"'
        return StreamingResponse(lines, media_type=NDJSON, headers={"content-disposition": name})

    return router

"""The recordings over HTTP, for administrators; every reading is logged with the reader's name."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from freehold.core.errors import UserError
from freehold.core.recording import Filter, Kind, RecordingStore, parse_day

NDJSON = "application/x-ndjson"
JSON_OBJECT: dict[str, Any] = {"content": {"application/json": {"schema": {"type": "object"}}}}


def recordings_router(store: RecordingStore, reader_of: Callable[[Request], str]) -> APIRouter:
    """`/admin/v1/recordings`: a list by route and day, an export as NDJSON, and single records.

    `reader_of` names the authenticated administrator, for the access log; whoever mounts the router lets nobody else
    in. Errors are raised as `FreeholdError`.
    """
    router = APIRouter(prefix="/admin/v1/recordings", tags=["recordings"])

    # Plain functions: reading files belongs on a thread, not on the event loop of the gateway.
    @router.get("")
    def list_recordings(request: Request, route: str | None = None) -> dict[str, Any]:
        files = store.files(reader_of(request), Filter(route=route))
        data = [
            {
                "route": file.route,
                "day": file.day.isoformat(),
                "records": file.count(),
                "size_bytes": file.size_bytes,
            }
            for file in files
        ]
        return {"object": "list", "data": data}

    # Before the path of single records, which would take "export" for an id.
    @router.get("/export", response_class=StreamingResponse)
    def export_recordings(
        request: Request,
        route: str,
        since: Annotated[str | None, Query(description="First day (UTC), YYYY-MM-DD.")] = None,
        until: Annotated[str | None, Query(description="Last day (UTC), YYYY-MM-DD.")] = None,
        kind: Annotated[str | None, Query(description="`answer` or `shadow`.")] = None,
    ) -> StreamingResponse:
        wanted = Filter(route, _day(since), _day(until), _kind(kind))
        # Counted and logged here, before the status leaves.
        reading = store.export(reader_of(request), wanted)
        lines: Iterator[bytes] = (exchange.to_line() for exchange in reading)
        headers = {"x-freehold-records": str(reading.count), "x-freehold-skipped-lines": str(reading.skipped)}
        return StreamingResponse(lines, media_type=NDJSON, headers=headers)

    @router.get("/{identifier}", response_class=Response, responses={200: JSON_OBJECT})
    def show_recording(request: Request, identifier: str) -> Response:
        # Not as an object: FastAPI copies those by recursion, and this one may be of any depth.
        return Response(store.get(reader_of(request), identifier).to_line(), media_type="application/json")

    return router


def _day(text: str | None) -> date | None:
    return None if text is None else parse_day(text)


def _kind(text: str | None) -> Kind | None:
    if text is None:
        return None
    for kind in get_args(Kind):
        if kind == text:
            return kind  # type: ignore[no-any-return]
    raise UserError(f"There is no kind '{text}'", why=f"kinds are {', '.join(get_args(Kind))}")

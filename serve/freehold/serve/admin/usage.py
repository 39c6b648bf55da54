"""Usage and money over HTTP, for administrators."""

import json
import time
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response
from sqlalchemy import Connection

from freehold.core.errors import UserError
from freehold.serve.gateway.ledger.pricing import Pricing
from freehold.serve.state.database import Database
from freehold.serve.state.usage import GROUP, MAX_ROWS, parse_query, parse_slice, usage_part, usage_report
from freehold.serve.state.usage_rows import UsageReport

MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}

MAX_PAGE = 1000
Values = Annotated[list[str], Query(description="Only these; may be given several times.")]


def usage_router(database: Database, pricing: Pricing) -> APIRouter:
    """`/admin/v1/usage`; whoever mounts it lets administrators alone in. Errors are raised as `FreeholdError`."""
    router = APIRouter(prefix="/admin/v1/usage", tags=["usage"])

    # A plain function: the query, and the making of a long text, belong on a thread, not on the gateway's event loop.
    @router.get("", response_class=Response)
    def report_usage(
        by: Annotated[str, Query(description="Some of key, team, model, route, endpoint, day, hour.")] = "team,model",
        since: Annotated[str | None, Query(description="`7d`, a day or a time in UTC; 30 days ago.")] = None,
        until: Annotated[str | None, Query(description="The same, a day with its end; now.")] = None,
        form: Annotated[str, Query(alias="format", description="`json` or `csv`.")] = "json",
        limit: Annotated[int | None, Query(ge=1, le=MAX_PAGE, description="So many rows; all of them.")] = None,
        offset: Annotated[int, Query(ge=0, le=MAX_ROWS, description="With a limit: rows to leave out before.")] = 0,
        order: Annotated[str, Query(description="With a limit: `group`, or what is largest first.")] = GROUP,
        key: Values = [],  # noqa: B006
        team: Values = [],  # noqa: B006
        model: Values = [],  # noqa: B006
        route: Values = [],  # noqa: B006
        endpoint: Values = [],  # noqa: B006
    ) -> Response:
        if form not in MEDIA_TYPES:
            raise UserError(f"format: there is no '{form}'", why=f"a report comes as {' or '.join(MEDIA_TYPES)}")
        filters = {"key": key, "team": team, "model": model, "route": route, "endpoint": endpoint}
        query = parse_query(by, since, until, filters, time.time())
        part = None if limit is None else parse_slice(limit, offset, order)

        def read(connection: Connection) -> UsageReport:
            if part is None or not query.by:
                return UsageReport(query, usage_report(connection, query, pricing.comparisons), pricing.currency)
            lines, total = usage_part(connection, query, pricing.comparisons, part)
            return UsageReport(query, lines, pricing.currency, total)

        found = database.look(read)
        text = found.csv() if form == "csv" else json.dumps(found.document(), ensure_ascii=False)
        return Response(text.encode(), media_type=MEDIA_TYPES[form])

    return router

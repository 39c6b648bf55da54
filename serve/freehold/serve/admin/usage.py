"""Usage and money over HTTP, for administrators."""

import json
import time
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from freehold.core.errors import UserError
from freehold.serve.gateway.ledger.pricing import Pricing
from freehold.serve.state.database import Database
from freehold.serve.state.usage import parse_query, usage_report
from freehold.serve.state.usage_rows import UsageReport

MEDIA_TYPES = {"json": "application/json", "csv": "text/csv; charset=utf-8"}

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
        lines = database.call(lambda connection: usage_report(connection, query, pricing.comparisons))
        found = UsageReport(query, lines, pricing.currency)
        text = found.csv() if form == "csv" else json.dumps(found.document(), ensure_ascii=False)
        return Response(text.encode(), media_type=MEDIA_TYPES[form])

    return router

"""Usage reports: sums by key, team, model, route, endpoint, day and hour, out of the ledger's table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, literal_column, or_, select

from freehold.core.errors import UserError
from freehold.serve.state.comparing import Comparison
from freehold.serve.state.moments import parse_moment
from freehold.serve.state.tables import KeyRow, UsageRow

HOUR_S = 3600
DAY_S = 86400
SINCE = "30d"
MAX_ROWS = 100_000
"""Of the database's answer; more is an export, not a report."""

# Literals, not parameters: PostgreSQL does not see that two parameters are the same expression.
GROUPS: dict[str, Any] = {
    "key": UsageRow.key_id,
    "team": UsageRow.team,
    "model": UsageRow.model,
    "route": UsageRow.route,
    "endpoint": UsageRow.endpoint,
    "day": UsageRow.hour - UsageRow.hour % literal_column(str(DAY_S)),
    "hour": UsageRow.hour,
}
"""What a report can be by; `day` and `hour` are epoch seconds of their beginning in UTC."""
FILTERS = ("key", "team", "model", "route", "endpoint")

_SUMMED = (
    UsageRow.requests,
    UsageRow.errors,
    UsageRow.prompt_tokens,
    UsageRow.cached_tokens,
    UsageRow.completion_tokens,
    UsageRow.estimated_tokens,
    UsageRow.engine_us,
    UsageRow.money,
    UsageRow.audio_seconds,
)


GROUP = "group"
ORDERS: dict[str, Any] = {
    "requests": UsageRow.requests,
    "errors": UsageRow.errors,
    "prompt_tokens": UsageRow.prompt_tokens,
    "completion_tokens": UsageRow.completion_tokens,
    "engine_seconds": UsageRow.engine_us,
    "money": UsageRow.money,
}
"""What a part of a report can have the largest of first."""


@dataclass(frozen=True)
class UsageQuery:
    """What to report. The table knows hours: those that begin before `until` and end after `since` are counted."""

    since: int
    until: int
    by: tuple[str, ...] = ("team", "model")
    """Names of GROUPS; none at all gives one row of totals."""
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values by a name of FILTERS, any of which will do; a key goes by its id or its name."""


@dataclass(frozen=True)
class UsageSlice:
    """A part of a report: so many groups after so many others."""

    limit: int
    offset: int = 0
    order: str = GROUP
    """`group` for the order of the groups, or a name of ORDERS for the largest first."""


@dataclass
class UsageLine:
    """Sums of one group."""

    group: dict[str, Any]
    """Values of what the report is by, in that order; with `key` also its `key_name`."""
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    engine_us: int = 0
    money: int = 0
    """Millionths of the currency, like the rest."""
    audio_seconds: int = 0
    replaces: set[str] = field(default_factory=set)
    """Closed models that the group's models stand in for."""
    replaced_money: int | None = None
    """What the same tokens would have cost at those models' list prices; tokens of other models are left out."""
    compared_money: int | None = None
    """Our own cost of those same tokens; None also if it is unknown for a part of them."""

    @property
    def money_per_million_tokens(self) -> float | None:
        """Blended: prompt and completion tokens count alike."""
        tokens = self.prompt_tokens + self.completion_tokens
        return self.money / tokens if tokens else None  # micros per token, which is the currency per million tokens

    @property
    def saved_money(self) -> int | None:
        """Negative where the closed model would have been cheaper."""
        if self.replaced_money is None or self.compared_money is None:
            return None
        return self.replaced_money - self.compared_money

    @property
    def cost_ratio(self) -> float | None:
        """Our cost as a share of the list price."""
        if self.compared_money is None or not self.replaced_money:
            return None
        return self.compared_money / self.replaced_money

    def add(self, sums: Sequence[int], comparison: Comparison | None) -> None:
        """Add the sums of one model, in the order of the table."""
        self.requests += sums[0]
        self.errors += sums[1]
        self.prompt_tokens += sums[2]
        self.cached_tokens += sums[3]
        self.completion_tokens += sums[4]
        self.estimated_tokens += sums[5]
        self.engine_us += sums[6]
        self.money += sums[7]
        self.audio_seconds += sums[8]
        if comparison:
            is_first = not self.replaces
            self.replaces.add(comparison.closed_model)
            self.replaced_money = (self.replaced_money or 0) + comparison.rates.price(sums[2], sums[4])
            if not comparison.has_cost:
                self.compared_money = None
            elif is_first or self.compared_money is not None:
                self.compared_money = (self.compared_money or 0) + sums[7]


def parse_query(
    by: str, since: str | None, until: str | None, filters: Mapping[str, Sequence[str]], now: float
) -> UsageQuery:
    """A query out of what was typed; no `since` is 30 days ago, no `until` is now. Raises UserError."""
    names = tuple(dict.fromkeys(part.strip() for part in by.split(",") if part.strip()))
    if unknown := [name for name in names if name not in GROUPS]:
        raise UserError(f"by: there is no '{unknown[0]}'", why=f"a report can be by {', '.join(GROUPS)}")
    start = parse_moment(since or SINCE, now, name="since")
    end = parse_moment(until, now, name="until", is_end=True) if until else int(now) + 1
    if end <= start:
        raise UserError("since: it is not before until", next_step="Swap them, or leave one out.")
    return UsageQuery(start, end, names, {name: tuple(values) for name, values in filters.items() if values})


def parse_slice(limit: int, offset: int, order: str) -> UsageSlice:
    """A part of a report out of what was typed. Raises UserError."""
    if order not in (GROUP, *ORDERS):
        raise UserError(f"order: there is no '{order}'", why=f"it can be {', '.join((GROUP, *ORDERS))}")
    return UsageSlice(limit, offset, order)


def usage_report(
    connection: Connection, query: UsageQuery, comparisons: Mapping[str, Comparison] | None = None
) -> list[UsageLine]:
    """A line for each group that has usage, in the order of the groups. Raises UserError if there are too many."""
    known = comparisons or {}
    found = connection.execute(_statement(query, known).limit(MAX_ROWS + 1)).all()
    if len(found) > MAX_ROWS:
        raise UserError(
            f"The report has more than {MAX_ROWS} rows", next_step="Take a shorter time, or fewer names in `by`."
        )
    return _lines(connection, query, found, known)


def usage_part(
    connection: Connection, query: UsageQuery, comparisons: Mapping[str, Comparison], part: UsageSlice
) -> tuple[list[UsageLine], int]:
    """Some of the report's lines, and how many it has. The table is read once, whatever the part."""
    all_lines = _statement(query, comparisons).cte("all_lines")
    columns = list(all_lines.c)
    groups, sums = columns[1 : 1 + len(query.by)], columns[1 + len(query.by) :]
    by_name = dict(zip((column.key for column in _SUMMED), sums, strict=True))
    largest = [] if part.order == GROUP else [func.sum(by_name[ORDERS[part.order].key]).desc()]
    chosen = (
        select(*groups, func.count().over().label("total"))
        .group_by(*groups)
        .order_by(*largest, *groups)
        .limit(part.limit)
        .offset(part.offset)
        .cte("chosen")
    )
    is_chosen = and_(*(group == chosen.c[group.key] for group in groups))
    rows = connection.execute(select(all_lines, chosen.c.total).join(chosen, is_chosen)).all()
    total = int(rows[0].total) if rows else 0
    if not rows and part.offset:
        counted = select(*groups).distinct().subquery()
        total = connection.scalar(select(func.count()).select_from(counted)) or 0
    lines = _lines(connection, query, [row[:-1] for row in rows], comparisons)
    if part.order != GROUP:
        lines.sort(key=lambda line: -getattr(line, ORDERS[part.order].key))  # equals stay in the order of the groups
    return lines, total


def _lines(
    connection: Connection, query: UsageQuery, found: Sequence[Sequence[Any]], known: Mapping[str, Comparison]
) -> list[UsageLine]:
    lines: dict[tuple[Any, ...], UsageLine] = {}
    for model, *rest in found:
        key, sums = tuple(rest[: len(query.by)]), [int(value) for value in rest[len(query.by) :]]
        line = lines.get(key)
        if line is None:
            line = lines[key] = UsageLine(dict(zip(query.by, key, strict=True)))
        line.add(sums, known.get(model))
    ordered = [lines[key] for key in sorted(lines)]
    if "key" in query.by:
        _name_keys(connection, ordered)
    return ordered


def _statement(query: UsageQuery, known: Mapping[str, Comparison]) -> Select[Any]:
    """Sums by the groups, and by each model that has a list price of its own to compare with."""
    compared = case((UsageRow.model.in_(known), UsageRow.model), else_="").label("compared_model")
    groups = [GROUPS[name] for name in query.by]
    return (
        select(
            compared,
            *(group.label(f"by_{name}") for name, group in zip(query.by, groups, strict=True)),
            *(func.sum(column).label(column.key) for column in _SUMMED),
        )
        .where(*_conditions(query))
        .group_by("compared_model", *groups)
    )


def _conditions(query: UsageQuery) -> list[ColumnElement[bool]]:
    return [
        UsageRow.hour > query.since - HOUR_S,
        UsageRow.hour < query.until,
        *(_condition(name, values) for name, values in query.filters.items()),
    ]


def _condition(name: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    assert name in FILTERS, f"nobody may filter by {name}"
    column: ColumnElement[str] = GROUPS[name]
    values = tuple(value for value in values if "\0" not in value)  # PostgreSQL's texts have none, and it refuses them
    if name == "key":
        return or_(column.in_(values), column.in_(select(KeyRow.id).where(KeyRow.name.in_(values))))
    return column.in_(values)


def _name_keys(connection: Connection, lines: list[UsageLine]) -> None:
    names = {row.id: row.name for row in connection.execute(select(KeyRow.id, KeyRow.name))}
    for line in lines:
        line.group["key_name"] = names.get(line.group["key"], "")

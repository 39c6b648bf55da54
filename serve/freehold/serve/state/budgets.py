"""What keys have used of their monthly limits, as it is settled in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, or_, select

from freehold.serve.state.database import now
from freehold.serve.state.quotas import MONTH_MONEY, MONTH_TOKENS
from freehold.serve.state.tables import AllowanceRow, KeyRow


@dataclass(frozen=True, slots=True)
class Budget:
    """One key's month. Money is in micros."""

    key_id: str
    month: int
    """Start of the month, epoch seconds, UTC."""
    monthly_tokens: int | None
    used_tokens: int
    monthly_money: int | None
    used_money: int


def read_budgets(connection: Connection, keys: Sequence[str], limit: int) -> list[Budget]:
    """Budgets of keys that have one and are not revoked, in the order of their ids; of these `keys`, if any are named.

    What requests in flight have reserved is not in it.
    """
    today = datetime.fromtimestamp(now(connection), UTC)
    month = int(today.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())
    query = (
        select(KeyRow.id, KeyRow.monthly_tokens, KeyRow.monthly_money)
        .where(or_(KeyRow.monthly_tokens.is_not(None), KeyRow.monthly_money.is_not(None)), KeyRow.revoked_at.is_(None))
        .order_by(KeyRow.id)
        .limit(limit)
    )
    rows = connection.execute(query.where(KeyRow.id.in_(keys)) if keys else query).all()
    spent = select(AllowanceRow.key_id, AllowanceRow.meter, AllowanceRow.spent).where(
        AllowanceRow.window_start == month,
        AllowanceRow.meter.in_((MONTH_TOKENS, MONTH_MONEY)),
        AllowanceRow.key_id.in_([row.id for row in rows]),
    )
    used = {(row.key_id, row.meter): row.spent for row in connection.execute(spent)}
    return [
        Budget(
            row.id,
            month,
            row.monthly_tokens,
            used.get((row.id, MONTH_TOKENS), 0),
            row.monthly_money,
            used.get((row.id, MONTH_MONEY), 0),
        )
        for row in rows
    ]

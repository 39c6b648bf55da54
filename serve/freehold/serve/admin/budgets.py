"""Monthly budgets of keys over HTTP, for whoever may look."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from freehold.serve.state.budgets import Budget, read_budgets
from freehold.serve.state.database import Database
from freehold.serve.state.money import MICROS

MOST = 1000


class ShownBudget(BaseModel):
    """What a key may use in this calendar month (UTC), and what it has used."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["budget"] = "budget"
    key: str
    month_began_at: int
    """Epoch seconds."""
    monthly_tokens: int | None
    used_tokens: int | None
    """Null where tokens are not limited, since nobody counts them against anything."""
    monthly_money: float | None
    used_money: float | None
    """In the gateway's currency; null where money is not limited."""


class BudgetList(BaseModel):
    """Budgets, by key."""

    object: Literal["list"] = "list"
    data: list[ShownBudget]


def budgets_router(database: Database) -> APIRouter:
    """`/admin/v1/budgets`; whoever mounts it lets viewers in."""
    router = APIRouter(prefix="/admin/v1/budgets", tags=["keys"])

    @router.get("")
    def list_budgets(
        key: Annotated[list[str], Query(max_length=MOST, description="Only of these ids; may be given often.")] = [],  # noqa: B006
    ) -> BudgetList:
        keys = [each for each in key if each.isprintable()]  # PostgreSQL refuses a text with a null byte
        if key and not keys:
            return BudgetList(data=[])
        found = database.look(lambda connection: read_budgets(connection, keys, MOST))
        return BudgetList(data=[_shown(budget) for budget in found])

    return router


def _shown(budget: Budget) -> ShownBudget:
    return ShownBudget(
        key=budget.key_id,
        month_began_at=budget.month,
        monthly_tokens=budget.monthly_tokens,
        used_tokens=None if budget.monthly_tokens is None else budget.used_tokens,
        monthly_money=None if budget.monthly_money is None else budget.monthly_money / MICROS,
        used_money=None if budget.monthly_money is None else budget.used_money / MICROS,
    )

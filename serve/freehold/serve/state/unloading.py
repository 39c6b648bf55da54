"""Models that are to be unloaded, in the database, so that every gateway process and the next start know of them.

Every function works in its caller's transaction: `database.call(lambda connection: unloaded_models(connection))`.
"""

from sqlalchemy import Connection, delete, insert, select

from freehold.serve.state.database import now
from freehold.serve.state.tables import UnloadedModelRow


def unload_model(connection: Connection, model: str, actor: str) -> None:
    """Have its engine end, and stay away until it is loaded again."""
    connection.execute(delete(UnloadedModelRow).where(UnloadedModelRow.model == model))
    connection.execute(insert(UnloadedModelRow).values(model=model, actor=actor, unloaded_at=now(connection)))


def load_model(connection: Connection, model: str) -> None:
    """Have its engine start. Loading what is loaded changes nothing."""
    connection.execute(delete(UnloadedModelRow).where(UnloadedModelRow.model == model))


def unloaded_models(connection: Connection) -> dict[str, str]:
    """Who unloaded it, by model; models that the config has lost may be among them."""
    rows = connection.execute(select(UnloadedModelRow.model, UnloadedModelRow.actor))
    return {row.model: row.actor for row in rows}

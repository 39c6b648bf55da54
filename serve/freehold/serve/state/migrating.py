"""Brings a database to the tables that this version knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from filelock import FileLock
from sqlalchemy import Connection, text

from freehold.core.errors import EnvironmentProblem
from freehold.serve.state.database import Database

FOLDER = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x46524545
"""Of PostgreSQL: several replicas start at once, one of them migrates."""


def migrate(database: Database) -> None:
    """Apply what is missing. Raises EnvironmentProblem for a database that a newer version has written."""
    with _alone(database), database.transaction() as connection:
        if not database.is_sqlite:
            connection.execute(text("select pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
        _refuse_newer(connection)
        command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Connection) -> Config:
    """Alembic's config for this connection."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    if database.is_sqlite:
        with FileLock(f"{database.engine.url.database}.migrating"):
            yield
    else:
        yield


def _refuse_newer(connection: Connection) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None:
        return
    try:
        ScriptDirectory(str(FOLDER)).get_revision(current)
    except CommandError as error:
        raise EnvironmentProblem(
            "The database was written by a newer version of Freehold",
            why=f"its revision {current} is unknown here",
            next_step="Run that version, or restore the backup from before the upgrade.",
        ) from error

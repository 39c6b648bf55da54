"""Migrations: they make exactly the tables that the code knows, on both databases, however many start at once."""

import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from freehold.core.errors import ConfigError, EnvironmentProblem
from freehold.serve.state.database import Database, DatabaseUnavailable, now, open_database
from freehold.serve.state.migrating import alembic_config, migrate
from freehold.serve.state.tables import Base


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.transaction() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_migration_goes_back(database: Database) -> None:
    with database.transaction() as connection:
        command.downgrade(alembic_config(connection), "base")
    assert inspect(database.engine).get_table_names() == ["alembic_version"]
    migrate(database)
    assert "api_key" in inspect(database.engine).get_table_names()


@pytest.mark.usefixtures("patience")
def test_replicas_that_start_together_migrate_once(database_url: str) -> None:
    failures: list[Exception] = []

    def start() -> None:
        database = open_database(database_url)
        try:
            migrate(database)
        except EnvironmentProblem as error:
            failures.append(error)
        finally:
            database.close()

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    with pytest.raises(EnvironmentProblem, match="newer version"):
        migrate(database)


def test_the_clock_is_the_databases_own(database: Database) -> None:
    import time

    assert abs(database.call(now) - time.time()) < 60


def test_a_password_comes_from_the_environment_and_is_never_shown() -> None:
    url = "postgresql://freehold:${DATABASE_PASSWORD}@127.0.0.1:1/x"
    with pytest.raises(ConfigError, match="DATABASE_PASSWORD is not set"):
        open_database(url, environ={})
    database = open_database(url, environ={"DATABASE_PASSWORD": "s3cret"})
    assert database.engine.url.password == "s3cret"
    with pytest.raises(DatabaseUnavailable) as caught:
        database.call(now)
    assert "s3cret" not in str(caught.value)
    database.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_what_cannot_be_a_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_database(url)


def test_a_file_with_keys_in_it_is_the_owners_alone(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    migrate(database)
    assert {
        path.stat().st_mode & 0o077 for path in (tmp_path / "data").glob("gateway.db*") if "migrating" not in path.name
    } == {0}
    database.close()

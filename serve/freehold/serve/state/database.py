"""Opens the database, and runs work on it in threads of its own, off the gateway's event loop."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from freehold.core.errors import ConfigError, EnvironmentProblem

Result = TypeVar("Result")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
BUSY_TIMEOUT_S = 5
CONNECT_TIMEOUT_S = 2
STATEMENT_TIMEOUT_S = 10
CACHED_STATEMENTS = 16
"""Of SQLite's, on each connection. Statements over many keys are large and differ with their number: Python's default,
128, grew a gateway of 1,000 keys by 25 MB in 120,000 requests (`python -m bench.gateway.growth`)."""
READS_ONLY = "freehold_reads_only"
THREADS = 4
"""A statement that waits for a row's lock must not hold up the others."""


class DatabaseUnavailable(EnvironmentProblem):
    """The database does not answer, or not as it should."""

    code = "database_unavailable"


class Database:
    """One database. Blocking calls for commands, `run` for the event loop. Safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction that commits at the block's end. Raises DatabaseUnavailable."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except (DBAPIError, SQLAlchemyError) as error:
            raise unavailable(self.engine.url, error) from error

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, called in a thread inside a transaction. Raises DatabaseUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.call, work)

    def call(self, work: Callable[[Connection], Result]) -> Result:
        """The same, in the calling thread."""
        with self.transaction() as connection:
            return work(connection)

    def look(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` reads, in the calling thread, while others write: for reports, which take their time."""
        try:
            with self.engine.connect().execution_options(**{READS_ONLY: True}) as connection, connection.begin():
                return work(connection)
        except (DBAPIError, SQLAlchemyError) as error:
            raise unavailable(self.engine.url, error) from error

    async def run_look(self, work: Callable[[Connection], Result]) -> Result:
        """The same, in a thread of the database's."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.look, work)

    def close(self) -> None:
        """Wait for what is running, and disconnect."""
        self._threads.shutdown()
        self.engine.dispose()


def open_database(url: str, environ: Mapping[str, str] = os.environ) -> Database:
    """The database at an SQLAlchemy URL; opens no connection yet. Raises ConfigError on a URL that is none."""
    parsed = _parse(_with_variables(url, environ))
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite(parsed))
    return Database(_postgresql(parsed))


def elsewhere(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """Why the database cannot be this machine's to open: a variable that is not set, a file that is not there.

    Empty for one that can. Raises ConfigError on a URL that is none.
    """
    if missing := _missing(url, environ):
        return f"{', '.join(missing)} is not set"
    parsed = _parse(_with_variables(url, environ))
    is_absent = parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file()
    return f"there is no file {parsed.database}" if is_absent else ""


def default_url(home: Path) -> str:
    """SQLite in the data folder."""
    return f"sqlite:///{home / 'gateway.db'}"


def now(connection: Connection) -> float:
    """The database's clock, which all replicas share, in seconds since the epoch."""
    clock = (
        "(julianday('now') - 2440587.5) * 86400.0"
        if connection.dialect.name == "sqlite"
        else "extract(epoch from clock_timestamp())"
    )
    return float(connection.scalar(text(f"select {clock}")) or 0.0)


def unavailable(url: URL, error: Exception) -> DatabaseUnavailable:
    """What to tell of a database that failed; never its password."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    return DatabaseUnavailable(
        f"The database {url.render_as_string(hide_password=True)} is not available",
        why=reason[0] if reason else type(error).__name__,
        next_step="Check gateway.database, and that the server runs.",
    )


def _missing(url: str, environ: Mapping[str, str]) -> list[str]:
    return [name for name in _VARIABLE.findall(url) if name not in environ]


def _with_variables(url: str, environ: Mapping[str, str]) -> str:
    if missing := _missing(url, environ):
        problems = [f"gateway.database: the environment variable {name} is not set" for name in missing]
        raise ConfigError("A secret is missing", problems)
    return _VARIABLE.sub(lambda match: environ[match[1]], url)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError("The database cannot be opened", ["gateway.database: it is not an SQLAlchemy URL"]) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        problem = f"gateway.database: {parsed.get_backend_name()} is not supported; sqlite and postgresql are"
        raise ConfigError("The database cannot be opened", [problem])
    return parsed


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ConfigError("The database cannot be opened", ["gateway.database: SQLite in memory forgets everything"])
    Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    Path(url.database).touch(mode=0o600)  # SQLite's own files beside it take after this one
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "cached_statements": CACHED_STATEMENTS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        cursor.execute("pragma journal_mode=wal")
        cursor.execute("pragma synchronous=normal")  # a power cut may lose the last commits, never the file
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later could not get the lock behind another writer.
        is_look = connection.get_execution_options().get(READS_ONLY)
        connection.exec_driver_sql("begin" if is_look else "begin immediate")

    return engine


def _postgresql(url: URL) -> Engine:
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000}"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=THREADS,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT_S,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": STATEMENT_TIMEOUT_S * 1000,
            "options": options,
            "application_name": "freehold",
        },
    )

"""What Alembic runs for each migration; the connection is handed over by `migrating`."""

from alembic import context

from freehold.serve.state.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter most of a table: Alembic copies it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

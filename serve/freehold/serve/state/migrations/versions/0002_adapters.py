"""Adapters that are loaded at runtime, and how they stand on each replica."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adapter",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("artifact", sa.String(length=128), nullable=False),
        sa.Column("accept", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_adapter")),
    )
    op.create_table(
        "adapter_revision",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_adapter_revision")),
    )
    op.execute("insert into adapter_revision (id, value) values (1, 0)")
    op.create_table(
        "adapter_report",
        sa.Column("replica", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("wanted", sa.String(length=128), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("serving", sa.String(length=128), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("is_configured", sa.Boolean(), nullable=False),
        sa.Column("reported_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("replica", "model", "name", name=op.f("pk_adapter_report")),
    )
    with op.batch_alter_table("adapter_report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_adapter_report_reported_at"), ["reported_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("adapter_report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_adapter_report_reported_at"))

    op.drop_table("adapter_report")
    op.drop_table("adapter_revision")
    op.drop_table("adapter")

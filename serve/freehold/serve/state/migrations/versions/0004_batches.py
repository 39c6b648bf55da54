"""Batches of requests, and what models are busy with, process by process."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batch_job",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("space", sa.String(length=160), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=False),
        sa.Column("input_file", sa.String(length=40), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("in_progress_at", sa.Float(), nullable=True),
        sa.Column("finalizing_at", sa.Float(), nullable=True),
        sa.Column("cancelling_at", sa.Float(), nullable=True),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=True),
        sa.Column("output_file", sa.String(length=40), nullable=True),
        sa.Column("error_file", sa.String(length=40), nullable=True),
        sa.Column("runner", sa.String(length=32), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch_job")),
    )
    with op.batch_alter_table("batch_job", schema=None) as batch_op:
        batch_op.create_index("ix_batch_job_space", ["space"], unique=False)
        batch_op.create_index(batch_op.f("ix_batch_job_status"), ["status"], unique=False)
    op.create_table(
        "model_load",
        sa.Column("replica", sa.String(length=32), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("in_flight", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("replica", "model", name=op.f("pk_model_load")),
    )
    with op.batch_alter_table("model_load", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_model_load_told_at"), ["told_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("model_load", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_model_load_told_at"))
    op.drop_table("model_load")
    with op.batch_alter_table("batch_job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_batch_job_status"))
        batch_op.drop_index("ix_batch_job_space")
    op.drop_table("batch_job")

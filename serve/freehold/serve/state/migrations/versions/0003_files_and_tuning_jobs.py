"""Files, fine-tuning jobs, and which keys may start them."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.add_column(sa.Column("may_tune", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "stored_file",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("space", sa.String(length=160), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("filename", sa.String(length=255), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stored_file")),
    )
    with op.batch_alter_table("stored_file", schema=None) as batch_op:
        batch_op.create_index("ix_stored_file_space", ["space"], unique=False)
    op.create_table(
        "tuning_job",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("space", sa.String(length=160), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("team", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("tuned_model", sa.String(length=128), nullable=False),
        sa.Column("training_file", sa.String(length=40), nullable=False),
        sa.Column("validation_file", sa.String(length=40), nullable=True),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=24), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("artifact", sa.String(length=128), nullable=True),
        sa.Column("trained_tokens", sa.BigInteger(), nullable=True),
        sa.Column("estimated_finish", sa.Float(), nullable=True),
        sa.Column("result_file", sa.String(length=40), nullable=True),
        sa.Column("runner", sa.String(length=32), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("spent_s", sa.Float(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tuning_job")),
    )
    with op.batch_alter_table("tuning_job", schema=None) as batch_op:
        batch_op.create_index("ix_tuning_job_space", ["space"], unique=False)
        batch_op.create_index(batch_op.f("ix_tuning_job_status"), ["status"], unique=False)
    op.create_table(
        "tuning_event",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "number", name=op.f("pk_tuning_event")),
    )
    op.create_table(
        "tuning_checkpoint",
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "step", name=op.f("pk_tuning_checkpoint")),
    )


def downgrade() -> None:
    op.drop_table("tuning_checkpoint")
    op.drop_table("tuning_event")
    with op.batch_alter_table("tuning_job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tuning_job_status"))
        batch_op.drop_index("ix_tuning_job_space")
    op.drop_table("tuning_job")
    with op.batch_alter_table("stored_file", schema=None) as batch_op:
        batch_op.drop_index("ix_stored_file_space")
    op.drop_table("stored_file")
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.drop_column("may_tune")

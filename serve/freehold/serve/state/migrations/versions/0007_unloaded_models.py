"""Models that somebody unloaded while the gateway ran."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unloaded_model",
        sa.Column("model", sa.String(length=128), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("unloaded_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_unloaded_model")),
    )


def downgrade() -> None:
    op.drop_table("unloaded_model")

"""The first tables: campaigns, allocations, feedback, models, checkpoints, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "campaign",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version"),
        sa.UniqueConstraint("name", "digest", name="one_version_per_document"),
    )
    op.create_table(
        "allocation",
        sa.Column("allocation_id", sa.String(), nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("campaign_digest", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("as_of", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("decisions_path", sa.String(), nullable=True),
        sa.Column("decisions_sha256", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("allocation_id"),
        sa.ForeignKeyConstraint(
            ["campaign", "campaign_digest"], ["campaign.name", "campaign.digest"], name="of_campaign"
        ),
    )
    op.create_index("allocations_by_time", "allocation", ["campaign", "created_at"])
    op.create_table(
        "feedback_event",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("reward_micros", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        sa.CheckConstraint("status IN ('accepted', 'pending', 'corrected', 'dead')", name="known_status"),
        sa.CheckConstraint("outcome IN (0, 1)", name="outcome_is_0_or_1"),
    )
    op.create_index("events_by_decision", "feedback_event", ["decision_id"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "events_waiting",
        "feedback_event",
        ["status", "received_at"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "dead_letter",
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "digest"),
    )
    _models()


def _models() -> None:
    op.create_table(
        "model",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("parents", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=True),
        sa.Column("watermark", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("is_current", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "model_id"),
        sa.CheckConstraint("kind IN ('prior', 'posterior')", name="known_kind"),
    )
    current = sa.text("is_current")
    op.create_index("one_current_model", "model", ["kind"], unique=True, sqlite_where=current, postgresql_where=current)
    op.create_table(
        "checkpoint",
        sa.Column("base_id", sa.String(), nullable=False),
        sa.Column("window", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("base_id", "window"),
    )
    op.create_table(
        "audit",
        sa.Column("entry", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("entry"),
    )


def downgrade() -> None:
    """Drop them, the referring before the referred."""
    for table in ("audit", "checkpoint", "model", "dead_letter", "feedback_event", "allocation", "campaign"):
        op.drop_table(table)

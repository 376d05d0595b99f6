"""What the service keeps: single decisions, budgets, releases and their deliveries."""

import hashlib
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_EVENT = [
    *("event_id", "decision_id", "outcome", "reward_micros"),
    *("occurred_at", "received_at", "digest", "status", "reason"),
]
_ACCOUNT = ("asked", "cap", "held", "spent")
_OWED = "unfunded_micros > 0 AND spent_micros IS NOT NULL AND spent_micros + unfunded_micros <= amount_micros"
_LEDGER = ("budget_hold", "budget_lease", "budget_account")


def upgrade() -> None:
    """Make the tables."""
    _feedback()
    _ledger()
    _singles()
    _releases()
    _catalogue()


def _feedback() -> None:
    """Events of feedback: in the order in which they were taken, found by a number that stands for their decision."""
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    waiting, dead = sa.text("status = 'pending'"), sa.text("status = 'dead'")
    before = _renamed("events_by_decision", "events_waiting")
    op.create_table(
        "feedback_event",
        sa.Column("sequence", sequence, autoincrement=True, nullable=False),
        *_event_columns(),
        sa.Column("decision_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("event_id", name="one_event_per_id"),
    )
    new = sa.table("feedback_event", *map(sa.column, (*_EVENT, "decision_key")))
    rows = op.get_bind().execute(sa.select(before).order_by(before.c.received_at, before.c.event_id))
    for part in rows.mappings().partitions(10_000):
        taken = [{**row, "decision_key": _decision_key(row["decision_id"])} for row in part]
        op.get_bind().execute(sa.insert(new), taken)
    op.drop_table("feedback_event_before")
    op.create_index("events_by_decision", "feedback_event", ["decision_key"])
    op.create_index("events_waiting", "feedback_event", ["received_at"], sqlite_where=waiting, postgresql_where=waiting)
    op.create_index("events_dead", "feedback_event", ["event_id"], sqlite_where=dead, postgresql_where=dead)
    op.create_table(
        "feedback_tally",
        sa.Column("writer", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("writer"),
    )
    op.create_table(
        "learning_mark",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )


def _event_columns() -> tuple[Any, ...]:
    """What an event has in both revisions."""
    return (
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.Integer(), nullable=False),
        sa.Column("reward_micros", sa.BigInteger(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.CheckConstraint("status IN ('accepted', 'pending', 'corrected', 'dead', 'dropped')", name="known_status"),
        sa.CheckConstraint("outcome IN (0, 1)", name="outcome_is_0_or_1"),
    )


def _renamed(*indexes: str) -> Any:
    """The table of events under another name, without some indexes."""
    for index in indexes:
        op.drop_index(index, "feedback_event")
    op.rename_table("feedback_event", "feedback_event_before")
    return sa.table("feedback_event_before", *map(sa.column, _EVENT))


def _decision_key(decision_id: str) -> int:
    """The number that stood for a decision when this revision was made."""
    return int.from_bytes(hashlib.blake2b(decision_id.encode(), digest_size=8).digest(), "little", signed=True)


def _feedback_before() -> None:
    """Events of feedback as the first revision keeps them."""
    op.drop_table("learning_mark")
    op.drop_table("feedback_tally")
    before = _renamed("events_by_decision", "events_waiting", "events_dead")
    op.create_table("feedback_event", *_event_columns(), sa.PrimaryKeyConstraint("event_id"))
    new = sa.table("feedback_event", *map(sa.column, _EVENT))
    op.get_bind().execute(sa.insert(new).from_select(_EVENT, sa.select(before)))
    op.drop_table("feedback_event_before")
    op.create_index("events_by_decision", "feedback_event", ["decision_id"])
    pending = sa.text("status = 'pending'")
    op.create_index(
        "events_waiting", "feedback_event", ["status", "received_at"], sqlite_where=pending, postgresql_where=pending
    )


def _ledger() -> None:
    """Budgets, leases and holds."""
    op.create_table(
        "budget_account",
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("limit_name", sa.String(), nullable=False),
        *(sa.Column(f"{name}_micros", sa.BigInteger(), nullable=False) for name in _ACCOUNT),
        sa.Column("unfunded_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "limit_name"),
        sa.CheckConstraint("held_micros >= 0 AND spent_micros >= 0", name="nothing_negative"),
        sa.CheckConstraint("unfunded_micros >= 0", name="unfunded_not_negative"),
        sa.CheckConstraint("held_micros + spent_micros <= cap_micros", name="never_over_the_cap"),
        sa.CheckConstraint("0 <= asked_micros AND asked_micros <= cap_micros", name="cap_keeps_what_is_taken"),
    )
    op.create_table(
        "budget_lease",
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("limit_name", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("granted_micros", sa.BigInteger(), nullable=False),
        sa.Column("used_micros", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", "limit_name", "fence"),
        sa.CheckConstraint("0 <= used_micros AND used_micros <= granted_micros", name="never_over_the_grant"),
        sa.ForeignKeyConstraint(
            ["campaign", "limit_name"], ["budget_account.campaign", "budget_account.limit_name"], name="of_account"
        ),
    )
    op.create_table(
        "budget_hold",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("limit_name", sa.String(), nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("sure_micros", sa.BigInteger(), nullable=False),
        sa.Column("spent_micros", sa.BigInteger(), nullable=True),
        sa.Column("unfunded_micros", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("decision_id", "limit_name"),
        sa.CheckConstraint("0 <= sure_micros AND sure_micros <= amount_micros", name="sure_within_amount"),
        sa.CheckConstraint("0 <= spent_micros AND spent_micros <= amount_micros", name="spent_within_amount"),
        sa.CheckConstraint(f"unfunded_micros = 0 OR ({_OWED})", name="unfunded_within_amount"),
    )
    op.create_index("holds_by_due", "budget_hold", ["due_at", "decision_id"])
    unfunded = sa.text("unfunded_micros > 0")
    op.create_index("holds_unfunded", "budget_hold", ["decision_id"], sqlite_where=unfunded, postgresql_where=unfunded)


def _singles() -> None:
    """Single decisions and the versions of their prices."""
    op.create_table(
        "single_decision",
        sa.Column("decision_id", sa.String(), nullable=False),
        sa.Column("campaign", sa.String(), nullable=False),
        sa.Column("release_id", sa.String(), nullable=False),
        sa.Column("customer_id", sa.String(), nullable=False),
        sa.Column("customer_key", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("offer_id", sa.String(), nullable=True),
        sa.Column("prior", sa.String(), nullable=False),
        sa.Column("posterior", sa.String(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.Column("features", sa.Text(), nullable=True),
        sa.Column("sealed_in", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("decision_id"),
    )
    op.create_index("singles_by_customer", "single_decision", ["customer_key", "decided_at"])
    op.create_index("singles_by_release", "single_decision", ["release_id", "decided_at"])
    unsealed = sa.text("sealed_in IS NULL")
    op.create_index("singles_open", "single_decision", ["decided_at"], sqlite_where=unsealed, postgresql_where=unsealed)
    op.create_table(
        "price_version",
        sa.Column("price_version", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("solved_at", sa.BigInteger(), nullable=False),
        sa.Column("prices", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Text(), nullable=False),
        sa.Column("demand", sa.Text(), nullable=False),
        sa.Column("tables", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("price_version"),
    )
    op.create_index("prices_by_account", "price_version", ["account", "solved_at"])


def _releases() -> None:
    """Jobs, requests, approvals and deliveries."""
    _jobs()
    op.create_table(
        "release",
        sa.Column("allocation_id", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column("released_by", sa.String(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("allocation_id"),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.allocation_id"], name="release_of_allocation"),
    )
    op.create_index("releases_by_time", "release", ["released_at"])
    op.create_table(
        "webhook",
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("signing_key", sa.String(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("webhook_id"),
    )
    op.create_table(
        "delivery",
        sa.Column("delivery_id", sa.String(), nullable=False),
        sa.Column("webhook_id", sa.String(), nullable=False),
        sa.Column("allocation_id", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("delivery_id"),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="known_state"),
        sa.ForeignKeyConstraint(["webhook_id"], ["webhook.webhook_id"], name="delivery_to_webhook"),
        sa.ForeignKeyConstraint(["allocation_id"], ["allocation.allocation_id"], name="delivery_of_allocation"),
    )
    op.create_index("deliveries_due", "delivery", ["state", "next_at"])


def _jobs() -> None:
    op.create_table(
        "job",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("request_key", sa.String(), nullable=True),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lost", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("cancel_asked", sa.Boolean(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id"),
        sa.UniqueConstraint("kind", "request_key", name="one_job_per_request"),
        sa.CheckConstraint("state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="known_state"),
    )
    op.create_index("jobs_by_state", "job", ["state", "created_at"])
    op.create_table(
        "job_event",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "event"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="of_job"),
    )
    op.create_table(
        "job_step",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "step"),
        sa.ForeignKeyConstraint(["job_id"], ["job.job_id"], name="step_of_job"),
    )


def _catalogue() -> None:
    """Versions of the house's rules; offers are data, and have their versions there."""
    op.create_table(
        "house_rule",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("predicate", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version"),
    )


def downgrade() -> None:
    """Drop them, the referring before the referred."""
    op.drop_table("house_rule")
    for table in _LEDGER:
        op.drop_table(table)
    op.drop_table("price_version")
    op.drop_table("single_decision")
    for table in ("delivery", "webhook", "release", "job_step", "job_event", "job"):
        op.drop_table(table)
    _feedback_before()

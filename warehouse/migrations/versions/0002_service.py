"""What the service keeps: single decisions, budgets, releases and their deliveries."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    _feedback()
    _ledger()
    _singles()
    _releases()
    _catalogue()


def _feedback() -> None:
    """Events of feedback."""


def _ledger() -> None:
    """Budgets, leases and holds."""


def _singles() -> None:
    """Single decisions and the versions of their prices."""


def _releases() -> None:
    """Requests, approvals and deliveries."""


def _catalogue() -> None:
    """Versions of offers and rules."""


def downgrade() -> None:
    """Drop them, the referring before the referred."""

"""The contracts of the tables that Allot reads."""

from governance.contracts import Check, Column, Contract

_CUSTOMER = Column("customer_id", "text", required=True, nullable=False)
_MOST_MONEY = 9e12  # currency units: the largest amount whose micros fit 64 bits, as in feedback
_LEAST_CHANCE = 1e-100  # squares of weights beyond it overflow, and no randomiser means such a number


def _affordable(column: str) -> Check:
    remedy = f"Write an amount in currency units, of at most {_MOST_MONEY:,.0f}."
    return Check(
        column,
        f"NOT isfinite({column}) OR abs({column}) <= {_MOST_MONEY:.0f}",
        "is no sensible amount of money",
        remedy,
    )


CUSTOMERS = Contract(
    "customers",
    columns=(_CUSTOMER, Column("household_id", "text"), Column("consent", "flag"), Column("valid_from", "time")),
    key=("customer_id", "valid_from"),
    order=("customer_id", "valid_from"),
    checks=(
        Check(
            "valid_from",
            "valid_from IS NOT NULL",
            "is empty",
            "Say from when each row is true, or leave the column out and keep one row per customer.",
        ),
    ),
    extra="keep",
)

OFFERS = Contract(
    "offers",
    columns=(
        Column("offer_id", "text", required=True, nullable=False),
        Column("name", "text", default="offer_id"),
        Column("channel", "text", default="CAST(NULL AS VARCHAR)"),
        Column("category", "text", default="CAST(NULL AS VARCHAR)"),
        Column("contact_cost", "number", nullable=False, default="CAST(0 AS DOUBLE)"),
        Column("redemption_cost", "number", nullable=False, default="CAST(0 AS DOUBLE)"),
        Column("margin", "number", required=True, nullable=False),
        Column("starts_on", "day", default="CAST(NULL AS DATE)"),
        Column("ends_on", "day", default="CAST(NULL AS DATE)"),
        Column("eligible_when", "text", default="CAST(NULL AS VARCHAR)"),
    ),
    key=("offer_id",),
    order=("offer_id",),
    checks=(
        Check("contact_cost", "contact_cost >= 0", "is negative", "Write what one contact costs, 0 or more."),
        Check("redemption_cost", "redemption_cost >= 0", "is negative", "Write what one success costs, 0 or more."),
        *map(_affordable, ("margin", "contact_cost", "redemption_cost")),
        Check("ends_on", "ends_on >= starts_on", "is before starts_on", "Swap or correct the dates.", ("starts_on",)),
    ),
    extra="keep",
)

EXPOSURES = Contract(
    "exposures",
    columns=(
        _CUSTOMER,
        Column("offer_id", "text", required=True),
        Column("decided_at", "time", required=True, nullable=False),
        Column("propensity", "number", default="CAST(NULL AS DOUBLE)"),
        Column("outcome", "outcome", required=True, nullable=False),
        Column("reward", "number", default="CAST(NULL AS DOUBLE)"),
        Column("outcome_at", "time", default="CAST(NULL AS TIMESTAMPTZ)"),
        Column("decision_id", "text", default="CAST(NULL AS VARCHAR)"),
    ),
    key=("decision_id",),
    order=("decided_at", "customer_id"),
    checks=(
        Check(
            "propensity",
            "propensity > 0 AND propensity <= 1",
            "is not in (0, 1]",
            "Write how likely the choice was when it was made, or leave the cell empty where it is unknown.",
        ),
        Check(
            "propensity",
            f"propensity <= 0 OR propensity >= {_LEAST_CHANCE}",
            "is too small for any chance",
            "Write how likely the choice was when it was made: probably this is a density, or a logarithm.",
        ),
        _affordable("reward"),
        Check(
            "outcome_at",
            "outcome_at >= decided_at",
            "is before decided_at",
            "An outcome cannot precede its decision: check the time zones.",
            ("decided_at",),
        ),
    ),
    chances=True,
)

EVENTS = Contract(
    "events",
    columns=(
        _CUSTOMER,
        Column("at", "time", required=True, nullable=False),
        Column("received_at", "time"),
        Column("kind", "text", required=True, nullable=False),
        Column("category", "text", default="CAST(NULL AS VARCHAR)"),
        Column("amount", "number", default="CAST(NULL AS DOUBLE)"),
    ),
    key=(),
    order=("at", "customer_id"),
    checks=(
        Check(
            "received_at",
            'received_at >= "at"',
            "is before at",
            "An event cannot be received before it happened: check the time zones.",
            ("at",),
        ),
    ),
)

TARGET = Contract(
    "target",
    columns=(
        _CUSTOMER,
        Column("offer_id", "text", required=True),
        Column("probability", "number", required=True, nullable=False),
    ),
    key=("customer_id", "offer_id"),
    order=("customer_id", "offer_id"),
    checks=(
        Check(
            "probability", "probability >= 0 AND probability <= 1", "is not in [0, 1]", "Write a chance from 0 to 1."
        ),
    ),
)

CONTRACTS: dict[str, Contract] = {c.table: c for c in (CUSTOMERS, OFFERS, EXPOSURES, EVENTS, TARGET)}

"""What every room needs: the error tree, counter-based uniforms and the version. Nothing of ours is imported here."""

from allot.errors import (
    AccessError,
    AllotError,
    BusyError,
    CampaignError,
    ConvergenceError,
    DataError,
    LeaseLostError,
    LimitError,
    LockedError,
    NotFoundError,
    RuleError,
    ShapeError,
    WorkspaceError,
)

__version__ = "0.1.0"

__all__ = [
    "AccessError",
    "AllotError",
    "BusyError",
    "CampaignError",
    "ConvergenceError",
    "DataError",
    "LeaseLostError",
    "LimitError",
    "LockedError",
    "NotFoundError",
    "RuleError",
    "ShapeError",
    "WorkspaceError",
    "__version__",
]

"""The one tree of broken promises. Each error says what went wrong, where, and what to do about it."""


class AllotError(Exception):
    """Root of everything that Allot raises on purpose.

    Args:
        what: one sentence that says what is wrong, with an example value.
        where: the file, column, limit, rule or offer it is about; empty when `what` says so.
        remedy: what the reader can do next; empty when there is nothing to do.

    `exit_code` is the exit status of the command line.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        """One line: where, what, remedy."""
        line = f"{self.where}: {self.what}" if self.where else self.what
        return f"{line} {self.remedy}" if self.remedy else line


class ShapeError(AllotError):
    """Arrays that travel together disagree in shape, type or range."""

    exit_code = 2


class DataError(AllotError):
    """A table breaks its contract; nothing of it was loaded."""

    exit_code = 3


class RuleError(AllotError):
    """A rule is not a boolean predicate over the known columns, or tries to do more than read them."""

    exit_code = 4


class CampaignError(AllotError):
    """A campaign document is wrong or asks for something that is not there."""

    exit_code = 5


class LimitError(CampaignError):
    """Limits that no plan can keep, or that are too narrow for a draw."""

    exit_code = 6


class WorkspaceError(AllotError):
    """The workspace is missing, locked, damaged or full."""

    exit_code = 7


class BusyError(AllotError):
    """Too much is waiting to be written; nothing of this was taken, and it may be sent again."""

    exit_code = 11


class LockedError(WorkspaceError):
    """Somebody else is writing to the workspace; it can be tried again."""


class NotFoundError(AllotError):
    """No customer, offer, allocation or model of that name."""

    exit_code = 8


class ConvergenceError(AllotError):
    """A computation did not reach the accuracy that it promises."""

    exit_code = 9


class LeaseLostError(AllotError):
    """A lease on a budget is over, or holds less than was asked of it: what was begun must be done again."""

    exit_code = 12


class AccessError(AllotError):
    """A key or a tenant that cannot be made or changed as asked."""

    exit_code = 13

"""How long do decisions wait for their outcome, and how much of what they hold may come back?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, case, func, select, type_coerce
from sqlmodel import Session

from warehouse.columns import micros
from warehouse.holds import HOLDS

_hold = HOLDS.c
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Holds of single decisions that a failure may free something of and that are not due yet, by their age.

    Args:
        width: entry b is of those that are from b to b + 1 times this old.
        made: how many there are.
        open: how many of them have no outcome yet.
        back: by limit, micros of the open ones that are freed where all of them fail.
    """

    width: timedelta
    made: tuple[int, ...]
    open: tuple[int, ...]
    back: dict[str, tuple[int, ...]]


def waiting_holds(session: Session, campaign: str, *, outcome: timedelta, now: datetime, width: timedelta) -> Waiting:
    """The holds of a campaign's accounts.

    Args:
        session: of any transaction.
        campaign: whose accounts.
        outcome: how long a decision waits for its outcome at most.
        now: the time.
        width: of the ages.
    """
    step = max(1, width // _MICROSECOND)
    age = (micros(now + outcome) - type_coerce(_hold.due_at, BigInteger)) // step
    unsettled = _hold.spent_micros.is_(None)
    back = func.sum(case((unsettled, _hold.amount_micros - _hold.sure_micros), else_=0))
    query = select(_hold.limit_name, age, func.count(), func.sum(case((unsettled, 1), else_=0)), back).where(
        _hold.campaign == campaign, _hold.due_at > now, _hold.amount_micros > _hold.sure_micros
    )
    rows = [
        (limit, max(0, int(at)), int(made), int(waits), int(amount))
        for limit, at, made, waits, amount in session.execute(query.group_by(_hold.limit_name, age))
    ]
    size = 1 + max((at for _, at, *_ in rows), default=-1)
    made, open_ones = [0] * size, [0] * size
    amounts = {limit: [0] * size for limit, *_ in rows}
    for limit, at, some, waits, amount in rows:
        made[at] += some
        open_ones[at] += waits
        amounts[limit][at] += amount
    return Waiting(width, tuple(made), tuple(open_ones), {limit: tuple(of) for limit, of in amounts.items()})

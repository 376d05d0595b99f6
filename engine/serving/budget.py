"""What a single decision may cost at most, what is left for it, and at what prices it competes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from bandit import AMOUNTS
from engine.budgets import MICROS, micros_up
from engine.campaign import Objective
from engine.objective import Terms, rate_of
from portfolio import MEASURES, Limit, Share
from warehouse.holds import Claim

Floats: TypeAlias = NDArray[np.float64]
Micros: TypeAlias = NDArray[np.int64]

BOUNDLESS = 1 << 60
"""Micros: more than any budget."""


class Budget(Protocol):
    """The ledger as a decision sees it."""

    def room(self, session: Session, account: str, need: Mapping[str, int]) -> Mapping[str, int]:
        """Micros left under each limit now; a limit that is not named has none. `need` is the most that is asked."""

    def hold_all(self, session: Session, account: str, claims: Sequence[Claim]) -> None:
        """Set micros aside for decisions, in their transaction: for all of them, or for none.

        What is sure of them is spent whatever the outcome, and only that where there is none when it is due.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Prices:
    """What competes with an offer's worth.

    Args:
        version: their name.
        charges: (3, g, k) per contact, per unit of cost and per unit of value.
        even: (g, k) what exploration plays of each offer, as a part of an even share.
    """

    version: str
    charges: Floats
    even: Floats

    def charge(self, cell: NDArray[np.integer], cost: NDArray[np.floating], value: NDArray[np.floating]) -> Floats:
        """What each offer is charged in the cells (n,) of some customers, to whom it costs and is worth this (n, k).

        Currency units, (n, k).
        """
        contact, per_cost, per_value = self.charges[:, cell]
        out: Floats = contact + per_cost * cost + per_value * value
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """The most that one decision can use of every limit that has a hard maximum.

    Args:
        names: (m,) the limits.
        applies: (m, g, k) whether an offer in a cell draws on the limit.
        measure: (m,) position in `MEASURES`.
        cost: (k,) micros: contact and redemption. contact: (k,) the contact alone.
    """

    names: tuple[str, ...]
    applies: NDArray[np.bool_]
    measure: NDArray[np.int64]
    cost: Micros
    contact: Micros

    def of(self, cell: NDArray[np.integer], value: Floats | None) -> Micros:
        """Micros (n, m, k) for customers of some cells (n,).

        Args:
            cell: (n,).
            value: what a success of theirs is worth, (k,) or (n, k); None: nobody knows how much.
        """
        units = np.empty((len(MEASURES), len(cell), len(self.cost)), np.int64)
        units[0], units[1], units[2] = MICROS, self.cost, BOUNDLESS if value is None else micros_up(value)
        out: Micros = np.where(self.applies[:, cell], units[self.measure], 0).transpose(1, 0, 2)
        return out

    def sure(self, cell: int, offer: int) -> dict[str, int]:
        """Of these, what an offer uses whatever comes of it: the contact, and what it costs."""
        units = (MICROS, int(self.contact[offer]), 0)
        spent = zip(self.names, self.measure.tolist(), self.applies[:, cell, offer].tolist(), strict=True)
        return {name: units[measure] if applies else 0 for name, measure, applies in spent}


def needs_of(limits: tuple[Limit | Share, ...], cells: int, terms: Terms) -> Needs:
    """Of a campaign's limits. Shares, minimums and limits with a penalty are kept by prices, not by the ledger."""
    firm = [x for x in limits if isinstance(x, Limit) and x.penalty is None and not x.report_only]
    hard = [x for x in firm if x.maximum is not None]
    k = len(terms.margin)
    applies = np.zeros((len(hard), cells, k), bool)
    for j, limit in enumerate(hard):
        offers = np.array(range(k) if limit.offers is None else limit.offers, int)
        where = np.array(range(cells) if limit.cells is None else limit.cells, int)
        applies[j, where[:, None], offers] = True
    measure = np.array([MEASURES.index(x.measure) for x in hard], np.int64)
    most = micros_up(terms.contact_cost + terms.redemption_cost)
    return Needs(tuple(x.name for x in hard), applies, measure, most, micros_up(terms.contact_cost))


def most_value(objective: Objective, terms: Terms) -> Floats | None:
    """What one success is worth at most, (k,), or (n, k) where customers differ; None of amounts, which have no end."""
    if terms.kind == AMOUNTS:
        return None
    out: Floats = np.maximum(rate_of(objective, terms)[0], terms.earned)
    return out

"""One change after another: the one that lowers the risk at the least loss of value, or uses room at the best rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import judge
from portfolio.limits import Problem, Rows, use_of
from portfolio.risk.terms import Floats, Risk

_STEPS, _TRIED = 400, 100  # changes at most; candidates for one change whose limits are looked at
_NOTHING = 1e-9  # of the sd: a change by less is rounding


@dataclass(slots=True, eq=False)
class _State:
    """A plan that changes, and what it uses.

    `some` (s,) customers may change; `load` (s, k, d) is what each pair adds to `root` (k, d), V^(1/2)E, and `value`
    (s, k) its value, -inf where not eligible; `use` (3, g, k) is the plan's.
    """

    problem: Problem
    rows: Rows
    some: NDArray[np.intp]
    load: Floats
    value: Floats
    plan: NDArray[np.int64]
    root: Floats
    use: Floats

    @classmethod
    def of(
        cls, problem: Problem, rows: Rows, risk: Risk, choice: NDArray[np.int64], some: NDArray[np.intp]
    ) -> "_State":
        k, d = risk.shape
        who, offer = (x.ravel() for x in np.meshgrid(some, np.arange(k), indexing="ij"))
        load = risk.rooted_loads(who, offer)
        load = np.where(problem.eligible[who, offer][:, None], load, 0.0).reshape(len(some), k, d)
        value = np.where(problem.eligible[some], problem.value[some], -np.inf)
        root = risk.rooted(risk.exposures(choice))
        return cls(problem, rows, some, load, value, choice.copy(), root, use_of(problem, choice))

    @property
    def sd(self) -> float:
        return float(np.linalg.norm(self.root))

    def squares(self, at: NDArray[np.intp], old: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """What sd squared changes by when customers `at` lose `old` (p,), -1 = nothing; and when they get each (p, k).

        Offers err independently, so the two add up where they are different.
        """
        mine = np.where((old >= 0)[:, None], self.load[at, old], 0.0)
        less = np.square(mine).sum(1) - 2 * np.einsum("pd,pd->p", mine, self.root[old])
        more = np.square(self.load[at]).sum(2) + 2 * np.einsum("pad,ad->pa", self.load[at], self.root)
        return less, more

    def used(self, at: int, place: int, new: int) -> Floats:
        """(3, g, k) after one change; `new` -1 = nothing."""
        i, use = self.some[at], self.use.copy()
        for offer, sign in ((int(self.plan[i, place]), -1.0), (new, 1.0)):
            if offer >= 0:
                counted = (1.0, float(self.problem.cost[i, offer]), float(self.problem.value[i, offer]))
                use[:, self.problem.cell[i], offer] += sign * np.array(counted)
        return use

    def change(self, rate: Floats, at: NDArray[np.intp], place: NDArray[np.intp], to: NDArray[np.int64]) -> bool:
        """Make the change of lowest rate (p, j), to offers (p, j), that keeps the limits; False where none does."""
        for p, j in zip(
            *np.unravel_index(np.argsort(rate, axis=None, kind="stable")[:_TRIED], rate.shape), strict=True
        ):
            if not np.isfinite(rate[p, j]):
                return False
            use = self.used(int(at[p]), int(place[p]), int(to[p, j]))
            if judge(self.rows, use)[1]:
                self._make(int(at[p]), int(place[p]), int(to[p, j]), use)
                return True
        return False

    def _make(self, at: int, place: int, new: int, use: Floats) -> None:
        old = int(self.plan[self.some[at], place])
        if old >= 0:
            self.root[old] -= self.load[at, old]
        if new >= 0:
            self.root[new] += self.load[at, new]
        self.plan[self.some[at], place] = new
        self.use = use


def eased(
    problem: Problem, rows: Rows, risk: Risk, choice: NDArray[np.int64], some: NDArray[np.intp], cap: float
) -> NDArray[np.int64]:
    """A plan (n, most) of less risk: some customers lose an offer or, with one offer per customer, get another.

    Args:
        problem, rows, risk: counts rounded inwards.
        choice: (n, most) inside the limits; every change keeps them.
        some: customers who may be changed.
        cap: where to stop. The plan returned may still be above it, when no change helps or too many are needed.
    """
    state = _State.of(problem, rows, risk, choice, some)
    for _ in range(_STEPS):
        if state.sd <= cap or not _ease(state):
            break
    return state.plan


def _ease(state: _State) -> bool:
    """The change that loses least value per unit of sd, if any helps."""
    at, place = np.nonzero(state.plan[state.some] >= 0)
    if not len(at):
        return False
    sd, k = state.sd, len(state.root)
    old = state.plan[state.some[at], place]
    less, more = state.squares(at, old)
    worth = state.value[at, old][:, None]
    square, loss, to = less[:, None], worth, np.full((len(at), 1), -1)
    if state.problem.most == 1:
        others = np.where(np.arange(k) == old[:, None], 0.0, less[:, None] + more)
        square, loss = np.column_stack([square, others]), np.column_stack([loss, worth - state.value[at]])
        to = np.column_stack([to, np.broadcast_to(np.arange(k), (len(at), k))])
    gain = sd - np.sqrt(np.maximum(sd * sd + square, 0.0))
    helps = (gain > _NOTHING * sd) & np.isfinite(loss)
    return state.change(np.where(helps, loss / np.where(helps, gain, 1.0), np.inf), at, place, to)


def filled(
    problem: Problem, rows: Rows, risk: Risk, choice: NDArray[np.int64], some: NDArray[np.intp], cap: float
) -> NDArray[np.int64]:
    """A plan (n, 1) of more value within the limits and the cap: some customers get an offer, or a better one.

    Args:
        problem, rows, risk: one offer per customer, counts rounded inwards.
        choice: (n, 1) inside the limits and the cap.
        some: customers who may be changed.
        cap: what the sd may be.
    """
    state = _State.of(problem, rows, risk, choice, some)
    for _ in range(_STEPS if len(some) and len(state.root) else 0):
        if not _fill(state, cap):
            break
    return state.plan


def _fill(state: _State, cap: float) -> bool:
    """The change that gains most value per unit of sd and stays below the cap, if there is any."""
    at, k, sd = np.arange(len(state.some)), len(state.root), state.sd
    old = state.plan[state.some, 0]
    less, more = state.squares(at, old)
    gain = state.value - np.where(old >= 0, state.value[at, old], 0.0)[:, None]
    after = np.sqrt(np.maximum(sd * sd + less[:, None] + more, 0.0))
    fits = (gain > 0) & (after <= cap) & (np.arange(k) != old[:, None])
    rate = np.where(fits, -gain / np.maximum(after - sd, _NOTHING * max(cap, 1e-300)), np.inf)
    to = np.broadcast_to(np.arange(k), gain.shape)
    return state.change(rate, at, np.zeros_like(at), to)

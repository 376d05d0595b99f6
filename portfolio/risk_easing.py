"""One change after another, each the one that lowers the risk at the least loss of value, until the limit is kept."""

import numpy as np
from numpy.typing import NDArray

from portfolio.certificate import recount
from portfolio.limits import Problem, Rows
from portfolio.risk import Floats, Risk

_STEPS, _TRIED = 400, 20  # changes at most; candidates for one change whose limits are looked at


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
    plan = choice.copy()
    k, d = risk.shape
    who, offer = (x.ravel() for x in np.meshgrid(some, np.arange(k), indexing="ij"))
    load = risk.rooted_loads(who, offer)
    load = np.where(problem.eligible[who, offer][:, None], load, 0.0).reshape(len(some), k, d)
    value = np.where(problem.eligible[some], problem.value[some], -np.inf)
    root = risk.rooted(risk.exposures(plan))
    for _ in range(_STEPS):
        sd = float(np.linalg.norm(root))
        if sd <= cap:
            break
        change = _cheapest(problem, rows, plan, some, (load, value, root, sd))
        if change is None:
            break
        at, place, new = change
        old = int(plan[some[at], place])
        root[old] -= load[at, old]
        if new >= 0:
            root[new] += load[at, new]
        plan[some[at], place] = new
    return plan


def _cheapest(
    problem: Problem,
    rows: Rows,
    plan: NDArray[np.int64],
    some: NDArray[np.intp],
    state: tuple[Floats, Floats, Floats, float],
) -> tuple[int, int, int] | None:
    """Customer (of `some`), place and new offer (-1 = none) that lose least value per unit of sd, if any helps."""
    load, value, root, sd = state
    at, place = np.nonzero(plan[some] >= 0)
    if not len(at):
        return None
    old = plan[some[at], place]
    mine, k = load[at, old], len(root)
    less = np.square(mine).sum(1) - 2 * np.einsum("pd,pd->p", mine, root[old])  # of sd squared
    worth = value[at, old]
    squares, offers = [less[:, None]], [np.full((len(at), 1), -1)]
    losses = [worth[:, None]]
    if problem.most == 1:
        more = np.square(load[at]).sum(2) + 2 * np.einsum("pad,ad->pa", load[at], root)
        squares.append(np.where(np.arange(k) == old[:, None], 0.0, less[:, None] + more))
        offers.append(np.broadcast_to(np.arange(k), (len(at), k)))
        losses.append(worth[:, None] - value[at])
    square, loss, to = np.concatenate(squares, 1), np.concatenate(losses, 1), np.concatenate(offers, 1)
    gain = sd - np.sqrt(np.maximum(sd * sd + square, 0.0))
    rate = np.where((gain > 1e-9 * sd) & np.isfinite(loss), loss / np.maximum(gain, 1e-300), np.inf)
    order = np.argsort(rate, axis=None, kind="stable")[:_TRIED]
    for p, j in zip(*np.unravel_index(order, rate.shape), strict=True):
        if not np.isfinite(rate[p, j]):
            return None
        tried = plan.copy()
        tried[some[at[p]], place[p]] = to[p, j]
        if recount(problem, rows, tried)[1]:
            return int(at[p]), int(place[p]), int(to[p, j])
    return None

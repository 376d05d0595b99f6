"""A first guess at how risk and limits are to be priced, from softened choices of a sample of the customers.

With a temperature the dual is smooth, and its gradient is what is left of each limit and of the risk limit. A
quasi-Newton method in a box (Byrd, Lu, Nocedal and Zhu 1995) takes it down at falling temperatures. The guess decides
how soon the search ends, never what it proves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portfolio.limits import Problem, Rows
from portfolio.risk.terms import Floats, Risk

_SAMPLE = 5_000
_TEMPERATURES = (0.1, 0.03, 0.01, 0.003, 0.001)  # in units of a typical value
_STEPS, _MEMORY, _FLAT = 100, 20, 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class _Crowd:
    """s customers, each standing for `weight`, and how the dual's variables are scaled.

    `measure` (3, s, k) is contacts, cost and value of each eligible pair, 0 where not eligible; `unit` (m,) and `reach`
    turn prices and a direction into numbers near 1, `typical` is a customer's typical value.
    """

    rows: Rows
    risk: Risk
    measure: Floats
    eligible: NDArray[np.bool_]
    cell: NDArray[np.intp]
    who: NDArray[np.intp]
    weight: float
    typical: float
    unit: Floats
    reach: float

    @classmethod
    def of(cls, problem: Problem, rows: Rows, risk: Risk) -> "_Crowd":
        """About `_SAMPLE` customers, spread evenly over cells and values."""
        n = len(problem.value)
        best = np.max(np.where(problem.eligible, problem.value, -np.inf), axis=1, initial=-np.inf)
        edges = np.linspace(0, n, min(_SAMPLE, n) + 1).astype(np.int64)
        who = np.lexsort((best, problem.cell))[(edges[:-1] + edges[1:]) // 2]
        eligible, cell, weight = problem.eligible[who], problem.cell[who].astype(np.intp), n / len(who)
        arrays = (np.ones(eligible.shape), problem.cost[who], problem.value[who])
        measure = np.stack([np.where(eligible, x, 0.0) for x in arrays])
        k = eligible.shape[1]
        table = _tables(np.abs(measure), cell, problem.n_cells)
        unit = weight * np.einsum("rtga,tga->r", np.abs(rows.coefficient), table) / k
        typical = float(np.abs(measure[2]).max(1, initial=0.0).mean()) or 1.0
        even = np.where(eligible, np.abs(risk.sensitivity[who]), 0.0) / k
        reach = weight * float(np.sqrt(np.square(risk.rooted(_exposure(risk, who, even))).sum()))
        return cls(
            rows=rows,
            risk=risk,
            measure=measure,
            eligible=eligible,
            cell=cell,
            who=who,
            weight=weight,
            typical=typical,
            unit=typical * n / np.maximum(unit, 1e-12 * n),
            reach=typical * n / max(reach, 1e-300),
        )

    def direction(self, x: Floats) -> tuple[Floats, Floats]:
        """y (k, d) of the dual's variables, and its derivative's projection; as long as the price of risk, if any."""
        free = x[len(self.unit) :].reshape(self.risk.shape) * self.reach
        if self.risk.price is None:
            return free, np.zeros_like(free)
        length = float(np.linalg.norm(free)) or 1.0
        return free * (self.risk.price / length), free / length

    def dual(self, x: Floats, heat: float) -> tuple[float, Floats]:
        """The softened dual and its gradient, in units of a typical value per customer."""
        rows, risk = self.rows, self.risk
        price = x[: len(self.unit)] * self.unit
        y, along = self.direction(x)
        charge = np.einsum("tsa,tsa->sa", rows.charges(price)[:, self.cell], self.measure)
        net = np.where(self.eligible, self.measure[2] - charge - risk.surcharge(y, self.who), -np.inf)
        top = np.maximum(net.max(1), 0.0)
        tau = heat * self.typical
        chance = np.exp((net - top[:, None]) / tau)
        mass = chance.sum(1) + np.exp(-top / tau)
        chance /= mass[:, None]
        used = rows.consumption(self.weight * _tables(chance * self.measure, self.cell, rows.coefficient.shape[2]))
        exposed = risk.rooted(self.weight * _exposure(risk, self.who, chance * self._loads()))
        bound = np.where(price > 0, rows.upper, np.where(price < 0, rows.lower, used))
        idle = np.clip(used, rows.lower, rows.upper)  # at price 0 only a breach pulls
        length, limit = float(np.linalg.norm(y)), risk.maximum_sd or 0.0
        value = self.weight * float((top + tau * np.log(mass)).sum())
        value += float(np.sum(np.where(price != 0, price * bound, 0.0))) + limit * length
        pull = -exposed + (limit / length * y if length > 0 else 0.0)
        if risk.price is not None:
            free = float(np.linalg.norm(x[len(self.unit) :])) * self.reach or 1.0
            pull = (pull - along * float((along * pull).sum())) * (risk.price / free)
        slope = np.r_[(np.where(price != 0, bound, idle) - used) * self.unit, pull.ravel() * self.reach]
        scale = self.typical * self.weight * len(self.who)
        return value / scale, slope / scale

    def _loads(self) -> Floats:
        """(s, k) sensitivities, 0 where not eligible."""
        return np.where(self.eligible, self.risk.sensitivity[self.who], 0.0)


def _tables(x: Floats, cell: NDArray[np.intp], n_cells: int) -> Floats:
    """Sums (3, g, k) of (3, s, k) over the customers of each cell, who stand together: no library's threads add up."""
    out = np.zeros((3, n_cells, x.shape[2]))
    if len(cell):
        starts = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
        out[:, cell[starts]] = np.add.reduceat(x, starts, axis=1)
    return out


def _exposure(risk: Risk, who: NDArray[np.intp], load: Floats) -> Floats:
    """(k, d) of a softened plan whose chances times sensitivities are `load` (s, k)."""
    shared = np.ones((len(who), 1)) if risk.features is None else risk.features[who].astype(np.float64)
    out = np.einsum("sa,sf->af", load, shared)  # not a library's product: its bits depend on its threads
    if risk.pair_feature is None:
        return np.asarray(out)
    return np.column_stack([out, np.sum(load * risk.pair_feature[who], axis=0)])


def first_direction(problem: Problem, rows: Rows, risk: Risk, exposure: Floats) -> tuple[Floats, Floats]:
    """A direction y (k, d) and prices (m,) of the rows near the best ones.

    Args:
        problem: at most one offer per customer.
        rows: its limits, counts rounded inwards.
        risk: with a limit or a price.
        exposure: (k, d) of the plan without regard to risk: where to begin.
    """
    from scipy.optimize import minimize

    crowd = _Crowd.of(problem, rows, risk)
    low = np.where(np.isfinite(rows.lower), -rows.penalty, 0.0) / crowd.unit
    high = np.where(np.isfinite(rows.upper), rows.penalty, 0.0) / crowd.unit
    box = np.r_[np.column_stack([low, high]), np.tile([-np.inf, np.inf], (exposure.size, 1))]
    begin = risk.rooted(exposure)
    x = np.r_[np.zeros(len(low)), 0.1 * begin.ravel() / max(float(np.linalg.norm(begin)), 1e-300)]
    options = {"maxiter": _STEPS, "maxcor": _MEMORY, "ftol": _FLAT, "gtol": 1e-7}
    for heat in _TEMPERATURES:
        x = minimize(crowd.dual, x, args=(heat,), jac=True, method="L-BFGS-B", bounds=box, options=options).x
    return crowd.direction(x)[0], x[: len(low)] * crowd.unit

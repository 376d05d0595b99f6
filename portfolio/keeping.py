"""Can some limits be kept together? A plan that keeps them, or prices that prove that no plan does.

Nothing is worth anything here, only the limits speak. Customers answer charges with a softened choice at temperature 1:
where limits can be kept, the prices that minimise the dual are finite and the softened plan keeps the limits. Where
they cannot, prices grow along a direction whose exact dual value is negative, and that is a proof (Farkas): it is
always taken over all customers. A sample finds the prices, everybody judges them.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from portfolio.argmax import Shelf, SoftAnswer, SoftCrowd, measures_of
from portfolio.dual import Domain, Evaluate, Floats, descend, row_sizes
from portfolio.limits import Problem, Rows
from portfolio.prices import evaluator
from portfolio.several_crowd import SeveralCrowd, Taste

Verdict: TypeAlias = Literal["kept", "refuted", "open"]

_SAMPLE = 4_000
_BOX = 1e4  # prices end here, in temperatures per typical contact
_PROOF = 1e-7  # a proof must exceed this share of the priced sizes: rounding of sums lies far below
_CLEAR = 1e-3  # a proof of this share needs no further steps
_MARGIN = 0.01  # how much tighter the sample's limits are, in sizes, so that everybody's are kept
_KEPT = 1e-6  # relative breach that the softened plan of everybody may have
_STEPS, _CHUNK = 48, 6
_COOLING = (
    0.3,
    0.1,
    0.03,
    0.01,
    0.003,
    0.001,
    1e-4,
    1e-5,
    1e-6,
    1e-7,
    1e-8,
)  # per typical contact, for the smallest breach
_FROZEN = 1e-9  # where only the exact answer is wanted: nobody but the best counts, which is quick
_MODERATE = 5  # which of these suits everybody


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether rows can be kept together.

    Args:
        verdict: "kept" by a (fractional) plan of everybody; "refuted" by `price`; "open" when neither was found.
        price: (m,) the last prices.
    """

    verdict: Verdict
    price: Floats


@dataclass(frozen=True, slots=True)
class Hall:
    """All customers and a sample that speaks for them, in a world where nothing is worth anything."""

    everybody: Shelf
    sample: Shelf
    taste: Taste

    @classmethod
    def of(cls, problem: Problem) -> "Hall":
        """Lay out a problem; its value counts in value limits only."""
        shelf = Shelf.of(problem).without_value()
        return cls(shelf, shelf.sample(_SAMPLE), Taste.of(problem))

    def touched_by(self, rows: Rows) -> "Hall":
        """Only the offers that these rows count: any other is as good as no offer."""
        touched = np.asarray(rows.coefficient.any((0, 1)))
        if touched.all():
            return self
        every, few = (replace(s, eligible=s.eligible & touched[s.cell]) for s in (self.everybody, self.sample))
        return Hall(every, few, self.taste)

    def out_of_reach(self, rows: Rows) -> Floats:
        """(m,) how far each row misses its bounds because nobody is eligible for anything that it counts; else 0."""
        s = self.everybody
        k = s.eligible.shape[1]
        seen = np.stack([np.bincount(s.cell[s.eligible[:, a]], minlength=s.n_cells) for a in range(k)], 1) > 0
        idle = ~(rows.coefficient.any(1) & seen).any((1, 2))
        return np.where(idle, np.maximum(np.maximum(rows.lower, -rows.upper), 0.0), 0.0)

    def units(self, rows: Rows) -> Floats:
        """(m,) prices that charge a typical contact 1."""
        s = self.sample
        pairs = max(int(np.count_nonzero(s.eligible)), 1)
        cost, worth = (float(np.abs(np.where(s.eligible, x, 0.0)).sum()) / pairs for x in (s.cost, s.worth))
        reach = (np.abs(rows.coefficient).max((2, 3)) * np.array([1.0, cost, worth])).max(1)
        return np.asarray(1.0 / np.where(reach > 0, reach, 1.0))


def _crowd(shelf: Shelf, taste: Taste, heat: float, rows: Rows) -> SoftCrowd | SeveralCrowd:
    if taste.most == 1:
        return SoftCrowd(shelf, heat, measures_of(rows))
    return SeveralCrowd(shelf, taste, heat, measures_of(rows))


def _domain(hall: Hall, rows: Rows) -> Domain:
    """Prices in temperatures per typical contact; breaches relative to bounds or to what flows."""
    unit = hall.units(rows)
    free = _crowd(hall.sample, hall.taste, 1.0, rows).answer(np.zeros(rows.coefficient.shape[1:]), curvature=False)
    return Domain(rows.lower, rows.upper, unit, _BOX * unit, row_sizes(rows, free.response.use))


def _tighter(domain: Domain) -> Domain:
    """Limits moved inwards by a margin, or a quarter of a narrow band."""
    band = domain.upper - domain.lower
    by = np.minimum(_MARGIN * domain.size, 0.25 * np.where(np.isfinite(band), band, np.inf))
    return replace(domain, lower=domain.lower + by, upper=domain.upper - by)


def _proven(answer: SoftAnswer, domain: Domain, price: Floats) -> float:
    """By what share of the priced sizes the limits must be broken; not positive when these prices prove nothing."""
    priced = float(np.sum(np.abs(price) * domain.size))
    return -(answer.exact + domain.support(price)) / priced if priced > 0 else 0.0


def examine(hall: Hall, rows: Rows) -> Finding:
    """Can these m rows (all taken as hard) be kept together?"""
    domain = _domain(hall, rows)
    price = np.zeros(len(rows.names))
    stages = ((hall.sample, _tighter(domain), _STEPS), (hall.sample, domain, _STEPS), (hall.everybody, domain, 8))
    for shelf, limits, steps in stages:
        price = _search(_crowd(shelf, hall.taste, 1.0, rows), rows, limits, price, steps)
        answer = _crowd(hall.everybody, hall.taste, 1.0, rows).answer(rows.charges(price), curvature=False)
        if _proven(answer, domain, price) > _PROOF:
            return Finding("refuted", price)
        if (domain.breach(rows.consumption(answer.response.use)) <= _KEPT).all():
            return Finding("kept", price)
        if domain.at_box(price).any():
            price = domain.clip(np.zeros(len(price)))  # the sample went astray
    elastic = replace(domain, box=domain.unit)
    for price in _coldest(hall, rows, elastic):
        answer = _crowd(hall.everybody, hall.taste, _FROZEN, rows).answer(rows.charges(price), curvature=False)
        if _proven(answer, domain, price) > _PROOF:
            return Finding("refuted", price)
    return Finding("open", price)


def _search(crowd: SoftCrowd | SeveralCrowd, rows: Rows, limits: Domain, price: Floats, steps: int) -> Floats:
    """Newton until the crowd's limits are kept, or clearly refuted."""
    evaluate: Evaluate = evaluator(crowd, rows)
    for _ in range(0, steps, _CHUNK):
        found = descend(evaluate, limits, price, steps=_CHUNK, tolerance=0.3 * _KEPT)
        stands = bool((found.price == price).all())
        price = found.price
        if (limits.breach(found.consumption) <= 0.5 * _KEPT).all() or stands:
            break
        if _proven(crowd.answer(rows.charges(price), curvature=False), limits, price) > _CLEAR:
            break
    return price


def refutes(hall: Hall, rows: Rows, price: Floats) -> bool:
    """Whether these prices prove that the rows cannot be kept together."""
    crowd = _crowd(hall.everybody, hall.taste, _FROZEN, rows)
    answer = crowd.answer(rows.charges(price), curvature=False)
    return _proven(answer, _domain(hall, rows), price) > _PROOF


def smallest_breach(hall: Hall, rows: Rows, elastic: str) -> float:
    """How far one limit must be broken so that the others can be kept, in its own measure.

    Fractions of customers count. The answer is proven to be necessary, over all customers.
    """
    domain = _domain(hall, rows)
    own = np.array([name == elastic for name in rows.names])
    domain = replace(domain, box=np.where(own, 1.0, _BOX) * domain.unit)
    best = 0.0
    for price in _coldest(hall, rows, domain):
        answer = _crowd(hall.everybody, hall.taste, _FROZEN, rows).answer(rows.charges(price), curvature=False)
        paid = float(np.abs(price[own]).sum())
        best = max(best, -(answer.exact + domain.support(price)) / paid if paid > 0 else 0.0)
    return best


def _coldest(hall: Hall, rows: Rows, domain: Domain) -> tuple[Floats, Floats]:
    """Prices of the smallest breach, at which the dual is exact but for the last temperature.

    Prices follow a falling temperature on the sample, each step begun where the last two point to: among tied customers
    they approach their end in proportion to the temperature. Among customers who differ, everybody's own prices at a
    moderate temperature are better. So both are returned.
    """
    price = before = np.zeros(len(rows.names))
    trail: list[Floats] = []
    for at, heat in enumerate(_COOLING):
        ahead = (_COOLING[at - 1] - heat) / (_COOLING[at - 2] - _COOLING[at - 1]) if at > 1 else 0.0
        evaluate = evaluator(_crowd(hall.sample, hall.taste, heat, rows), rows)
        guess = price + ahead * (price - before)
        before, price = price, descend(evaluate, domain, guess, steps=10, tolerance=1e-5).price
        trail.append(price)
    evaluate = evaluator(_crowd(hall.everybody, hall.taste, _COOLING[_MODERATE], rows), rows)
    return price, descend(evaluate, domain, trail[_MODERATE], steps=2, tolerance=1e-5).price

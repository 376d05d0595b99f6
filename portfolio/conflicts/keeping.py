"""Can some limits be kept together? A plan that keeps them, or prices that prove that no plan does.

Nothing is worth anything here, only the limits speak. Customers answer charges with a softened choice at temperature 1:
where limits can be kept, the prices that minimise the dual are finite and the softened plan keeps the limits. Where
they cannot, prices grow along a direction whose exact dual value is negative, and that is a proof (Farkas): it is
always taken over all customers. A sample finds the prices, everybody judges them.
"""

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from portfolio.conflicts.cuts import lowest
from portfolio.curvature import Touch
from portfolio.dual import Domain, Evaluate, Floats, descend, row_sizes
from portfolio.limits import Problem, Rows
from portfolio.several.crowd import SeveralCrowd, SoftAnswer, Taste
from portfolio.several.shelf import Shelf

Verdict: TypeAlias = Literal["kept", "refuted", "open"]

_SAMPLE = 4_000
_BOX = 1e4  # prices end here, in temperatures per typical contact
_PROOF = 1e-7  # a proof must exceed this share of the priced sizes: rounding of sums lies far below
_CLEAR = 1e-3  # a proof of this share needs no further steps
_MARGIN = 0.01  # how much tighter the sample's limits are, in sizes, so that everybody's are kept
_KEPT = 1e-6  # relative breach that the softened plan of everybody may have
_STEPS, _CHUNK = 48, 6
_FALLING = 0.5  # a search goes on while a chunk of steps cuts the worst breach to this share
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
_TANGENTS, _SHARP = 30, 1e-4  # passes that sharpen a smallest breach, and to which share of itself
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

    def narrowed(self, rows: Rows) -> tuple["Hall", Rows]:
        """Without the offers that no row counts anywhere: few limits are quickly examined."""
        some = np.flatnonzero(rows.coefficient.any((0, 1, 2)))
        if len(some) in (0, rows.coefficient.shape[3]):
            return self, rows
        hall = Hall(self.everybody.offering(some), self.sample.offering(some), self.taste.offering(some))
        return hall, replace(rows, coefficient=np.ascontiguousarray(rows.coefficient[..., some]))

    def out_of_reach(self, rows: Rows) -> Floats:
        """(m,) how far each row misses its bounds because nobody is eligible for anything that it counts; else 0."""
        s = self.everybody
        k = s.eligible.shape[1]
        seen = np.stack([np.bincount(s.cell[s.eligible[:, a]], minlength=s.n_cells) for a in range(k)], 1) > 0
        idle = ~(rows.coefficient.any(1) & seen).any((1, 2))
        return np.where(idle, np.maximum(np.maximum(rows.lower, -rows.upper), 0.0), 0.0)

    def units(self, rows: Rows) -> Floats:
        """(m,) prices that charge a typical contact 1."""
        reach = (np.abs(rows.coefficient).max((2, 3)) * self.sample.per_contact()).max(1)
        return np.asarray(1.0 / np.where(reach > 0, reach, 1.0))


def _crowd(shelf: Shelf, taste: Taste, heat: float, rows: Rows) -> SeveralCrowd:
    return SeveralCrowd(shelf, taste, heat, Touch.of(rows).measures)


def _evaluator(crowd: SeveralCrowd, rows: Rows) -> Evaluate:
    touch = Touch.of(rows)
    return lambda price: crowd.answer(rows.charges(price), curvature=True).read(rows, touch)


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
    hall, rows = hall.narrowed(rows)
    domain = _domain(hall, rows)
    price = np.zeros(len(rows.names))
    for limits in (_tighter(domain), domain):
        price, over = _search(_crowd(hall.sample, hall.taste, 1.0, rows), rows, limits, price)
        if (verdict := _judged(hall, rows, domain, price, 1.0)) != "open":
            return Finding(verdict, price)
    elastic = replace(domain, box=domain.unit)
    trail: list[Floats] = []
    for crowd in ("everybody", "sample") if over <= _KEPT else ("sample", "everybody"):
        if crowd == "sample":
            trail = _colder(hall, rows, elastic)
            at, heat = trail[-1], _FROZEN
        else:
            price = domain.clip(np.zeros(len(price))) if domain.at_box(price).any() else price  # it went astray
            at, heat = _search(_crowd(hall.everybody, hall.taste, 1.0, rows), rows, domain, price)[0], 1.0
        if (verdict := _judged(hall, rows, domain, at, heat)) != "open":
            return Finding(verdict, at)
    at = _moderate(hall, rows, elastic, trail)
    return Finding(_judged(hall, rows, domain, at, _FROZEN), at)


def _judged(hall: Hall, rows: Rows, domain: Domain, price: Floats, heat: float) -> Verdict:
    """What everybody says to these prices."""
    answer = _crowd(hall.everybody, hall.taste, heat, rows).answer(rows.charges(price), curvature=False)
    if _proven(answer, domain, price) > _PROOF:
        return "refuted"
    kept = (domain.breach(rows.consumption(answer.response.use)) <= _KEPT).all()
    return "kept" if kept else "open"


def _search(crowd: SeveralCrowd, rows: Rows, limits: Domain, price: Floats) -> tuple[Floats, float]:
    """Prices and the worst relative breach there: Newton until limits are kept, refuted or breaches no longer fall.

    In a narrow conflict prices grow by a little in every step for ever: a falling temperature ends it sooner.
    """
    evaluate: Evaluate = _evaluator(crowd, rows)
    before = over = np.inf
    for _ in range(0, _STEPS, _CHUNK):
        found = descend(evaluate, limits, price, steps=_CHUNK, tolerance=0.3 * _KEPT)
        stands = bool((found.price == price).all())
        price = found.price
        over = float(limits.breach(found.consumption).max(initial=0.0))
        if over <= 0.5 * _KEPT or stands or over > _FALLING * before:
            break
        before = over
        if _proven(crowd.answer(rows.charges(price), curvature=False), limits, price) > _CLEAR:
            break
    return price, over


def refutes(hall: Hall, rows: Rows, price: Floats) -> bool:
    """Whether these prices prove that the rows cannot be kept together."""
    hall, rows = hall.narrowed(rows)
    crowd = _crowd(hall.everybody, hall.taste, _FROZEN, rows)
    answer = crowd.answer(rows.charges(price), curvature=False)
    return _proven(answer, _domain(hall, rows), price) > _PROOF


def smallest_breach(hall: Hall, rows: Rows, elastic: str) -> float:
    """How far one limit must be broken so that the others can be kept, in its own measure.

    Fractions of customers count. The answer is proven to be necessary, over all customers.
    """
    hall, rows = hall.narrowed(rows)
    domain = _domain(hall, rows)
    own = np.array([name == elastic for name in rows.names])
    domain = replace(domain, box=np.where(own, 1.0, _BOX) * domain.unit)
    crowd = _crowd(hall.everybody, hall.taste, _FROZEN, rows)

    def tangent(price: Floats) -> tuple[float, Floats]:
        answer = crowd.answer(rows.charges(price), curvature=False)
        return answer.exact, rows.consumption(answer.response.use)

    trail = _colder(hall, rows, domain)
    starts = [trail[-1], _moderate(hall, rows, domain, trail)]
    price, dual = lowest(tangent, domain, starts, steps=_TANGENTS, tolerance=_SHARP)
    paid = float(np.abs(price[own]).sum())
    return max(-dual / paid, 0.0) if paid > 0 else 0.0


def _colder(hall: Hall, rows: Rows, domain: Domain) -> list[Floats]:
    """Prices (m,) of the smallest breach on the sample at falling temperatures; at the last the dual is all but exact.

    Each step begins where the last two point to: among tied customers prices approach their end in proportion to the
    temperature.
    """
    price = before = np.zeros(len(rows.names))
    trail: list[Floats] = []
    for at, heat in enumerate(_COOLING):
        ahead = (_COOLING[at - 1] - heat) / (_COOLING[at - 2] - _COOLING[at - 1]) if at > 1 else 0.0
        evaluate = _evaluator(_crowd(hall.sample, hall.taste, heat, rows), rows)
        guess = price + ahead * (price - before)
        before, price = price, descend(evaluate, domain, guess, steps=10, tolerance=1e-5).price
        trail.append(price)
    return trail


def _moderate(hall: Hall, rows: Rows, domain: Domain, trail: list[Floats]) -> Floats:
    """Everybody's own prices (m,) at a moderate temperature: better than a sample's where customers differ."""
    evaluate = _evaluator(_crowd(hall.everybody, hall.taste, _COOLING[_MODERATE], rows), rows)
    return descend(evaluate, domain, trail[_MODERATE], steps=2, tolerance=1e-5).price

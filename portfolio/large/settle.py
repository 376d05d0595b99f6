"""Prices of a deterministic plan: roughly from samples, then exactly on those whom they leave undecided."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from portfolio.certificate import breaches
from portfolio.curvature import Touch
from portfolio.dual import Domain, Floats, descend, domain_of
from portfolio.large.linear import Kinds, kinds_of, solve_linear
from portfolio.large.parallel import Parallel, cheapest, parallel_rows
from portfolio.large.population import Population
from portfolio.large.softened import SoftSample
from portfolio.large.undecided import Undecided
from portfolio.limits import Rows
from portfolio.prices import Oracle, Stand, SureOracle

_SAMPLES, _MANY = (4_000, 20_000, 50_000), 200_000
_HEATS = ((0.2, 0.05, 0.0125), (0.0125, 0.003), (0.003, 0.001))  # temperatures on each sample, in typical values
_ROUGH = (1e-2, 1e-3, 1e-3)  # relative accuracy that a sample of that size deserves
_SINGLE = 1e-7  # differences of sums in single precision are rounding below this share
_STEPS, _FEW_STEPS = 20, 6
_NARROW = 5.0  # samples may contradict limits that everybody can keep: their prices end at so many typical scores
_CORRECTIONS, _SHRINKS = 3, 0.5  # passes that correct what a sample counts wrongly, while each halves the error
_BLURRED = 6.0  # samples do not tell apart what is fewer temperatures away
_FAR = 2.0  # prices stay within so many times the undecided's reach: farther away others would be undecided
_COOLING, _COLDEST = 0.1, 1e-9
_WORK = 40_000_000  # options looked at per temperature, where there are many
_FINE = 1e-6  # relative breach that a temperature is left with
_TIED = 4  # so many times more undecided than wanted, or than kinds of them, are tied: counted instead of softened
_UNMET = 0.3  # share of the gap that softening may leave before a linear program is asked
_NARROWER, _CROWDED = (1.0, 0.1, 0.0), 8  # where more times as many as wanted are undecided, prices are taken for surer
_MOST, _ALL = 0.4, 4_000_000  # with more of everybody undecided nobody is held to be decided, up to so many options
_LEASH = 50.0  # the program's prices end here, in typical scores, while others are held to be decided
_ROUNDING = 1e-12
_STUCK = 1e-3  # relative breach of a limit at the end of its box that calls for a diagnosis


@dataclass(frozen=True, slots=True)
class Market:
    """What stays the same while prices are looked for: the customers, the limits as rows, where prices may lie, the
    samples, and which rows count the same."""

    population: Population
    rows: Rows
    touch: Touch
    domain: Domain
    samples: tuple[SoftSample, ...]
    parallel: Parallel

    def heat(self) -> float:
        """The temperature at which the last sample leaves off, currency units."""
        return _HEATS[max(len(self.samples), 2) - 1][-1] * self.population.typical

    def narrow(self, sample: SoftSample, box: float = _NARROW) -> Domain:
        """Where the prices of a sample may lie."""
        if sample.size == self.population.size:
            return self.domain
        return replace(self.domain, box=np.minimum(self.domain.box, box * self.domain.unit))

    def cornered(self, price: Floats) -> bool:
        """Whether the price (m,) of a hard limit would leave the box of the last sample."""
        last = self.samples[-1]
        if last.size == self.population.size:
            return False
        box = self.narrow(last)
        return bool((box.at_box(price) & np.isinf(self.rows.penalty)).any())

    @classmethod
    def of(cls, population: Population, samples: tuple[SoftSample, ...], rows: Rows) -> "Market":
        """The domain comes from what a small sample would take freely."""
        touch, scale = Touch.of(rows), population.typical
        few = samples[0]
        free = few.answer(np.zeros(rows.coefficient.shape[1:]), 0.05 * scale, 1)[1]
        per_contact = np.array([1.0, *few.per_pair()])
        domain = domain_of(rows, scale, per_contact, free)
        return cls(population, rows, touch, domain, samples, parallel_rows(rows))


def samples_of(population: Population) -> tuple[SoftSample, ...]:
    """Growing samples; the last is everybody where that is not many."""
    n = len(population.cell)
    sizes = [s for s in _SAMPLES if s < n] + ([n] if n <= _SAMPLES[1] else [])
    return tuple(SoftSample.of(population, size) for size in sizes)


def sampled_price(market: Market, start: Floats | None, over: Callable[[], bool]) -> Floats:
    """Prices (m,) from samples, at falling temperatures; from known prices only the larger samples are asked."""
    rows = market.rows
    price = np.zeros(len(rows.names)) if start is None else market.domain.clip(start)
    last = len(market.samples) - 1
    ladder: list[tuple[int, tuple[float, ...]]] = [(i, _HEATS[i]) for i in range(last + 1)]
    if start is not None:
        ladder = [(min(last, 1), _HEATS[1][1:])]
    elif not last:
        ladder = [(0, (*_HEATS[0], *_HEATS[1][1:]))]
    for i, heats in ladder:
        domain = market.narrow(market.samples[i])
        for heat in heats:
            if over():
                return price
            evaluate = market.samples[i].evaluator(rows, market.touch, heat * market.population.typical)
            price = descend(evaluate, domain, price, steps=_STEPS, tolerance=_ROUGH[i], noise=_SINGLE).price
    return price


@dataclass(frozen=True, slots=True)
class Estimate:
    """Prices (m,), how far from them the best ones may lie (m,), and the passes over everybody it took."""

    price: Floats
    width: Floats
    passes: int = 0


def corrected_price(market: Market, oracle: Oracle, price: Floats, over: Callable[[], bool]) -> Estimate:
    """Prices after passes over everybody, each followed by Newton on the sample with limits shifted by its error.

    The best are those with the lowest dual value; what the last corrections still moved is how far they may be off.
    """
    rows, sample = market.rows, market.samples[-1]
    evaluate = sample.evaluator(rows, market.touch, market.heat())
    trail, dual, errors = [price], [], []
    while True:
        answer = oracle(rows.charges(price), curvature=False)
        counted = rows.consumption(answer.use)
        dual.append(answer.value + market.domain.support(price))
        errors.append(market.domain.violation(price, counted))
        first = evaluate(price)
        shifted = market.narrow(sample).shifted(first[1] - counted)
        price = descend(evaluate, shifted, price, steps=_FEW_STEPS, tolerance=1e-4, noise=_SINGLE, first=first).price
        trail.append(price)
        if over() or len(errors) == _CORRECTIONS or (len(errors) > 1 and errors[-1] > _SHRINKS * errors[-2]):
            break
    best = trail[int(np.argmin(dual))]
    width = np.max(np.abs(np.array(trail[-3:]) - best), axis=0)
    return Estimate(best, width, len(errors))


def thorough_price(market: Market, price: Floats, over: Callable[[], bool]) -> Estimate:
    """Prices from everybody, or from as many as can be asked often, in a wide box: where samples mislead."""
    sample = SoftSample.of(market.population, _MANY)
    domain = market.narrow(sample, 10.0 * _NARROW)
    for heat in (*_HEATS[0], *_HEATS[2]):
        evaluate = sample.evaluator(market.rows, market.touch, heat * market.population.typical)
        price = descend(evaluate, domain, price, steps=_STEPS, tolerance=1e-4, noise=_SINGLE).price
        if over():
            break
    return Estimate(price, np.zeros(len(price)))


@dataclass(frozen=True, slots=True)
class Settled:
    """Where the undecided end.

    Args:
        stand: where everybody stood.
        few: the undecided; share: (p,) of their options in the best softened plan.
        fixed: (3, g, k) what everybody else uses.
        price: (m,) with the lowest dual value found; dual: that value, if everybody else indeed stays.
        stuck: a hard limit stays broken although its price has reached the end of its box.
    """

    stand: Stand
    few: Undecided
    share: Floats
    fixed: Floats
    price: Floats
    dual: float
    stuck: bool


def settle(
    market: Market, oracle: SureOracle, at: Estimate, wanted: int, gap: float, over: Callable[[], bool]
) -> Settled:
    """Newton at falling temperatures on the customers with the smallest leads, everybody else fixed.

    Args:
        market: the customers and limits.
        oracle: everybody.
        at: prices to begin with; whose choice is sure inside their widths is not undecided.
        wanted: how many undecided customers at least.
        gap: relative distance of softened plan and dual value that ends the search.
        over: asked whether time is up.
    """
    stand, few, fixed, reach = _undecided(market, oracle, at, wanted)
    crowd = Crowd(stand, few, fixed, reach)
    alike = kinds_of(few) if len(few.customer) > _TIED * wanted else None
    found = None
    if alike is not None and alike.count < len(few.customer) / _TIED:
        found = _by_program(market, crowd, at, alike)
    if found is None or over():
        found, lost = _by_newton(market, crowd, at, gap, over)
        if lost > _UNMET * gap * abs(found.dual) and not over():
            other = _by_program(market, crowd, at, alike or kinds_of(few))
            if other is not None and _better(market, oracle, other, found):
                found = other
    return found


def _better(market: Market, oracle: Oracle, one: Settled, other: Settled) -> bool:
    """Whether one has the lower dual value, over the undecided and, its prices being far away, over everybody too."""
    slack = _ROUNDING * abs(other.dual)
    if one.dual > other.dual + slack:
        return False
    duals = [
        oracle(market.rows.charges(x.price), curvature=False).value + market.domain.support(x.price)
        for x in (one, other)
    ]
    return duals[0] <= duals[1] + slack


@dataclass(frozen=True, slots=True)
class Crowd:
    """Where everybody stands, the undecided, what the others use (3, g, k), and how far behind an option counts."""

    stand: Stand
    few: Undecided
    fixed: Floats
    reach: float

    def settled(self, market: Market, price: Floats, share: Floats, dual: float, use: Floats) -> Settled:
        """The end at a price (m,) where the undecided use (3, g, k)."""
        domain, breach = market.domain, breaches(market.rows, use + self.fixed)
        stuck = domain.at_box(price) & np.isinf(market.rows.penalty) & (breach > _STUCK * domain.size)
        return Settled(self.stand, self.few, share, self.fixed, price, dual, bool(stuck.any()))

    def everybody(self, market: Market) -> bool:
        """Whether nobody is decided."""
        return len(self.few.customer) == market.population.size


def _by_newton(
    market: Market, crowd: Crowd, at: Estimate, gap: float, over: Callable[[], bool]
) -> tuple[Settled, float]:
    """Softened at falling temperatures; and how far plan and dual value are apart, breaches counted at their prices."""
    rows, domain, scale = market.rows, market.domain, market.population.typical
    few, fixed, reach = crowd.few, crowd.fixed, crowd.reach
    if not crowd.everybody(market):
        domain = domain.around(at.price, at.width + _FAR * reach / scale * domain.unit)
    others, worth = rows.consumption(fixed), float(fixed[2].sum())
    hard = np.isinf(rows.penalty)
    heat = min(market.heat(), 0.1 * reach)
    steps = int(np.clip(_WORK / max(len(few.offer), 1), _FEW_STEPS, _STEPS))
    price, lowest, before = at.price, at.price, None
    dual, best, plan = np.inf, -np.inf, None
    while True:
        evaluate = few.evaluator(rows, market.touch, heat, fixed)
        found = descend(evaluate, domain, price, steps=steps, tolerance=_FINE)
        price = cheapest(market.parallel, domain, found.price)
        soft, _ = few.soften(rows.charges(price), heat)
        exact = soft.exact + worth - float(price @ others) + domain.support(price)
        if exact < dual:
            dual, lowest = exact, price
        breach = breaches(rows, soft.use + fixed)
        lost = float(np.sum(np.where(hard, np.abs(price) + domain.unit, np.where(hard, 0.0, rows.penalty)) * breach))
        if plan is None or soft.reached + worth - lost > best:
            best, plan = soft.reached + worth - lost, soft
        end = crowd.settled(market, lowest, plan.share, dual, plan.use)
        if end.stuck or dual - best <= 0.03 * gap * abs(dual) or heat <= _COLDEST * scale or over():
            return end, dual - best
        ahead = price if before is None else domain.clip(price + _COOLING * (price - before))
        before, price, heat = price, ahead, heat * _COOLING


def _by_program(market: Market, crowd: Crowd, at: Estimate, alike: Kinds) -> Settled | None:
    """By linear program; None where it is too large."""
    rows, domain, few, box = market.rows, market.domain, crowd.few, market.domain.box
    if not crowd.everybody(market):
        box = np.minimum(box, _LEASH * domain.unit + 2.0 * np.abs(at.price))
    found = solve_linear(few, alike, rows, box, crowd.fixed)
    if found is None:
        return None
    share, price = found
    soft, _ = few.soften(rows.charges(price), 1e-12 * market.population.typical)
    worth = float(crowd.fixed[2].sum()) - float(price @ rows.consumption(crowd.fixed))
    return crowd.settled(market, price, share, soft.exact + worth + domain.support(price), few.use_of(share))


def _undecided(market: Market, oracle: SureOracle, at: Estimate, wanted: int) -> tuple[Stand, Undecided, Floats, float]:
    """Where everybody stands, the undecided, what the others use, and how far behind an option counts."""
    population, rows = market.population, market.rows
    n, k = population.value.shape
    charges = rows.charges(at.price)
    for narrower in _NARROWER:
        width = narrower * np.einsum("r,rtga->tga", at.width, np.abs(rows.coefficient))
        stand = oracle.stand(charges, width)
        reach = float(np.partition(stand.lead, wanted - 1)[wanted - 1]) if wanted < n else population.typical
        reach = max(reach, _BLURRED * market.heat())
        some = np.nonzero(stand.lead <= reach)[0] if wanted < n else np.arange(n)
        if wanted >= n or len(some) <= max(_CROWDED * wanted, n // 8) or not at.width.any():
            break
    if len(some) > _MOST * n and n * (k + 1) <= _ALL:
        some, wanted = np.arange(n), n
    some = some[np.lexsort((population.key[some], population.cell[some]))]  # the order given must change no bit
    few = Undecided.of(population, charges, width, some, reach if wanted < n else np.inf)
    use = stand.response.use.copy()
    chosen = stand.choice[some].astype(np.int64)
    who, offer = some[chosen < k], chosen[chosen < k]
    where = population.cell[who] * k + offer
    for t, amount in enumerate((None, population.cost[who, offer], population.value[who, offer])):
        weight = None if amount is None else amount.astype(np.float64)
        use[t] -= np.bincount(where, weight, use[t].size).reshape(use[t].shape)
    return stand, few, use, reach

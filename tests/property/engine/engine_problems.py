"""Small random problems with limits of every kind, some of them tight, some of them absurd."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from bandit import Beliefs
from engine.objective import Terms, Worth, worth_of
from portfolio import Limit, Problem, Selection, Share

N, K, CELLS = 240, 4, 3

seeds = st.integers(0, 10_000)
_offers = st.one_of(st.none(), st.sets(st.integers(0, K - 1), min_size=1, max_size=K).map(lambda x: tuple(sorted(x))))
_cells = st.one_of(st.none(), st.sets(st.integers(0, CELLS - 1), min_size=1).map(lambda x: tuple(sorted(x))))
_measures = st.sampled_from(["count", "cost", "value"])
_penalties = st.one_of(st.none(), st.just(3.0))


@st.composite
def limits(draw) -> tuple[Limit | Share, ...]:
    """Maxima from nothing to more than anybody uses, minima, bands and shares; most are not feasible together."""
    out: list[Limit | Share] = []
    for i in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            minimum, maximum = sorted(draw(st.tuples(st.floats(0, 1), st.floats(0, 1))))
            sides = draw(st.sampled_from([(minimum, None), (None, maximum), (minimum, maximum)]))
            part, whole = (Selection(draw(_offers), draw(_cells)) for _ in range(2))
            out.append(Share(f"share {i}", draw(_measures), part, whole, *sides, draw(_penalties)))
        else:
            low = draw(st.one_of(st.none(), st.sampled_from([0.0, 2.0, 10.0])))
            high = draw(st.sampled_from([0.0, 1.0, 12.0, 90.0, 500.0]))
            low = None if low is None or low > high else low
            limit = Limit(f"limit {i}", draw(_measures), low, high, draw(_offers), draw(_cells), draw(_penalties))
            out.append(replace(limit, report_only=draw(st.booleans())))
    return tuple(out)


def population(seed: int, *, uncertainty: float = 0.5, objective: str = "profit") -> tuple[Worth, Problem]:
    """N customers in cells, K offers of which some are worth less than nothing, nobody eligible for all."""
    r = np.random.default_rng(seed)
    shape = (N, K + 1)
    mean = r.normal(-2.0, 0.8, shape).astype(np.float32)
    sd = (uncertainty * np.exp(r.normal(0, 0.3, shape))).astype(np.float32)
    terms = Terms(r.uniform(10, 60, K), r.uniform(0.5, 3, K), r.uniform(0, 5, K), 10.0)
    eligible = r.random((N, K)) < 0.7
    worth = worth_of(objective, Beliefs(mean, sd), eligible, terms, np.ones(K + 1))
    return worth, Problem(worth.value, worth.cost, eligible, r.integers(0, CELLS, N).astype(np.int32))


def under(problem: Problem, some: tuple[Limit | Share, ...]) -> Problem:
    """The same customers under limits."""
    return Problem(problem.value, problem.cost, problem.eligible, problem.cell, some)

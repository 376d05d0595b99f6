"""Learning and deciding beside Vowpal Wabbit: the same outcomes, the same customers, the same features, in one run.

Both start from nothing and learn a line per offer over the customers' features, ours without trees. To decide is to
give every offer its probability. Vowpal Wabbit's time leaves out writing its text, parsing where it says so, and the
draw of a choice; ours counts everything: reading the text, ψ, beliefs, certified probabilities and the choice.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.special import logit as logit_of

from allot.uniforms import stream, uniforms
from bandit import Basis, Columns, Posterior, Rows, choice_probabilities, fit_basis, start
from benchmarks.measure import said, timed

Floats = NDArray[np.float64]

OFFERS, FEATURES = 20, 20
FLOOR: Final = 10.0
"""Times as fast as Vowpal Wabbit, learning and deciding."""

VARIANTS: Final = {"squarecb": "--squarecb --gamma_scale 100", "bag": "--bag 5"}
"""Two that explore where they are unsure."""

WORK: Final = ("learning, from text", "learning", "deciding, from text", "deciding")
_KEY = stream(1, "learner")


@dataclass(frozen=True, slots=True)
class World:
    """A line per offer on the logit scale: outcomes (n,) of offers shown at random to customers (n, d), and others.

    `coming` (m, d) are to be decided on; `chance` (m, k) is their true chance of success.
    """

    customers: Floats
    arm: NDArray[np.int64]
    outcome: NDArray[np.int64]
    coming: Floats
    chance: Floats


@dataclass(frozen=True, slots=True)
class Ours:
    """CPU seconds (4,) in the order of `WORK`, wall seconds (m,) of one decision, probabilities (m, k)."""

    seconds: Floats
    wall: Floats
    probability: Floats


def world(n: int, m: int, *, seed: int = 0) -> World:
    """Twenty numbers per customer, about a quarter of the outcomes successes."""
    r = np.random.default_rng(seed)
    taste, level = 0.3 * r.normal(size=(OFFERS, FEATURES)), 0.5 * r.normal(size=OFFERS) - 1.5
    everybody = r.normal(size=(n + m, FEATURES)).clip(-4, 4).round(5)
    chance = expit(everybody @ taste.T + level)
    arm = r.integers(0, OFFERS, n)
    outcome = (r.random(n) < chance[np.arange(n), arm]).astype(np.int64)
    return World(everybody[:n], arm, outcome, everybody[n:], chance[n:])


class Learner:
    """The product's posterior over a constant logit, from arrays to choices."""

    def __init__(self, customers: Floats, rate: float) -> None:
        columns = Columns(tuple(f"x{j}" for j in range(FEATURES)), (), ())
        self.basis: Basis = fit_basis(customers, columns, levels={})
        self.centre = float(logit_of(rate))
        nothing = self._rows(customers[:0], np.zeros(0, np.int64), np.zeros(0))
        self.state: Posterior = start(
            nothing, nothing.logit, OFFERS + 1, centre=self.centre, block=self.basis.blocks, discount=1.0
        )

    def _rows(self, customers: Floats, arm: NDArray[np.int64], outcome: NDArray[Any]) -> Rows:
        return Rows(self.basis(customers), np.full(len(arm), self.centre), arm, outcome.astype(np.float64))

    def taught(self, customers: Floats, arm: NDArray[np.int64], outcome: NDArray[Any]) -> Posterior:
        """The state after one fold."""
        return self.state.update(self._rows(customers, arm, outcome), window=0)

    def decided(self, state: Posterior, customers: Floats) -> tuple[Floats, NDArray[np.int64]]:
        """Probabilities (m, k + 1), which include no offer, and a choice (m,) for each customer."""
        m = len(customers)
        beliefs = state.beliefs(self.basis(customers), np.full((m, OFFERS + 1), self.centre, np.float32), threads=1)
        sd = beliefs.sd[:, :-1] * state.temperature()[:-1].astype(np.float32)
        free, everything = np.zeros((m, OFFERS), np.float32), np.ones((m, OFFERS), np.bool_)
        chance = choice_probabilities(beliefs.mean[:, :-1], sd, np.ones(OFFERS), free, everything, threads=1)
        coin = uniforms(_KEY, np.arange(m, dtype=np.uint64))
        return chance, np.minimum((chance.cumsum(1) <= coin[:, None]).sum(1), OFFERS)


def ours(known: World) -> Ours:
    """Everything once to warm up, then once to be timed."""
    learner = Learner(known.customers, 0.2)
    lessons = _text(np.column_stack([known.arm, known.outcome, known.customers]))
    questions = _text(known.coming)
    state = learner.taught(known.customers, known.arm, known.outcome)

    def learn_text() -> Posterior:
        read = _read(lessons)
        return learner.taught(read[:, 2:], read[:, 0].astype(np.int64), read[:, 1])

    work: tuple[Callable[[], object], ...] = (
        learn_text,
        lambda: learner.taught(known.customers, known.arm, known.outcome),
        lambda: learner.decided(state, _read(questions)),
        lambda: learner.decided(state, known.coming),
    )
    for each in work:
        each()
    seconds = np.array([timed(each)[1] for each in work])
    wall = []
    for i in range(len(known.coming)):
        started = time.perf_counter()
        learner.decided(state, known.coming[i : i + 1])
        wall.append(time.perf_counter() - started)
    return Ours(seconds, np.array(wall), learner.decided(state, known.coming)[0][:, :-1])


def _text(numbers: Floats) -> bytes:
    """Comma-separated, as exact as what Vowpal Wabbit is given."""
    lines = io.BytesIO()
    np.savetxt(lines, numbers, fmt="%.6g", delimiter=",")
    return lines.getvalue()


def _read(text: bytes) -> Floats:
    import pyarrow.csv as csv

    table = csv.read_csv(io.BytesIO(text), csv.ReadOptions(use_threads=False, autogenerate_column_names=True))
    return np.column_stack([column.to_numpy() for column in table.columns]).astype(np.float64)


def compared(known: World, own: Ours, peer: dict[str, NDArray[Any]]) -> list[tuple[Any, ...]]:
    """A row for every variant and kind of work: ours and theirs per second, how many times as fast, floor, kept."""
    count = [len(known.arm)] * 2 + [len(known.coming)] * 2
    rows = []
    for variant, seconds in zip(VARIANTS, peer["seconds"], strict=True):
        for work, n, mine, his in zip(WORK, count, own.seconds, seconds, strict=True):
            times = his / mine
            rows.append((work, variant, round(n / mine), round(n / his), f"{times:.1f}", said(times >= FLOOR)))
    return rows


def one_at_a_time(own: Ours, peer: dict[str, NDArray[Any]]) -> list[tuple[Any, ...]]:
    """p50 and p99 in µs of a single decision."""
    named = {"allot": own.wall}
    for variant, (text, parsed) in zip(VARIANTS, peer["wall"], strict=True):
        named |= {f"{variant}, from text": text, f"{variant}, parsed": parsed}
    return [(name, *(round(float(x), 1) for x in np.quantile(wall, (0.5, 0.99)) * 1e6)) for name, wall in named.items()]


def worth(known: World, own: Ours, peer: dict[str, NDArray[Any]]) -> dict[str, float]:
    """Mean true chance of success of what each policy would choose."""
    tables = {"allot": own.probability} | dict(zip(VARIANTS, peer["probability"], strict=True))
    out = {name: float((table * known.chance).sum(1).mean()) for name, table in tables.items()}
    return out | {"by chance": float(known.chance.mean()), "the best": float(known.chance.max(1).mean())}

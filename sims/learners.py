"""Who decides and learns: ours and the baselines, behind one interface over one world's arrays."""

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit import Beliefs, Learnt, Rows
from engine.objective import Terms, Worth, worth_of
from sims.people import Floats, Ints
from sims.response import sigmoid

Singles: TypeAlias = NDArray[np.float32]
Told: TypeAlias = tuple[Ints, Ints, Floats]


class Learner(Protocol):
    """Scores customers, of whom some are then decided on, and hears later how it went."""

    def scores(self, rows: Ints, r: np.random.Generator, /) -> Floats:
        """(n, k) what each offer is thought to be worth over no offer, exploration included, currency units.

        Args:
            rows: (n,) customers, as rows of the world's population.
            r: source of chance.
        """

    def hear(self, rows: Ints, arm: Ints, outcome: Floats, window: int, /) -> None:
        """Outcomes (r,), 0 or 1, of offers `arm` (r,) shown to customers `rows` (r,) on the day `window`."""

    def correct(self, rows: Ints, arm: Ints, outcome: Floats, window: int, /) -> None:
        """These outcomes of that day are right; the opposite had been heard."""


@dataclass(frozen=True, slots=True)
class Money:
    """What a success with each offer earns net of redemption, and what a contact costs; (k,) currency units each."""

    net: Floats
    fee: Floats

    def worth(self, chance: Floats) -> Floats:
        """(n, k) of a chance of success (n, k)."""
        out: Floats = chance * self.net - self.fee
        return out


class Fixed:
    """The same scores (population, k) for ever: an oracle, a static policy, or a model that is believed as it is."""

    def __init__(self, table: Floats) -> None:
        self._table = table

    def scores(self, rows: Ints, _r: np.random.Generator) -> Floats:
        """The rows of the table."""
        return self._table[rows]

    def hear(self, _rows: Ints, _arm: Ints, _outcome: Floats, _window: int) -> None:
        """Learns nothing."""

    correct = hear


class Uniform:
    """Every eligible offer, or none, with equal chance."""

    def __init__(self, offers: int) -> None:
        self._offers = offers

    def scores(self, rows: Ints, r: np.random.Generator) -> Floats:
        """All options are alike."""
        drawn: Floats = r.random((len(rows), self._offers)) - r.random((len(rows), 1))
        return drawn

    def hear(self, _rows: Ints, _arm: Ints, _outcome: Floats, _window: int) -> None:
        """Learns nothing."""

    correct = hear


class EpsilonGreedy:
    """Another learner, but a share of the customers in [0, 1] is decided on by chance."""

    def __init__(self, inner: Learner, share: float) -> None:
        self._inner, self._share = inner, share

    def scores(self, rows: Ints, r: np.random.Generator) -> Floats:
        """The inner learner's; for who is explored they change places among the offers, so that they stay money."""
        explored = r.random(len(rows)) < self._share
        out = self._inner.scores(rows, r)
        out[explored] = r.permuted(out[explored], axis=1)
        return out

    def hear(self, rows: Ints, arm: Ints, outcome: Floats, window: int) -> None:
        """The inner learner hears all of it."""
        self._inner.hear(rows, arm, outcome, window)

    def correct(self, rows: Ints, arm: Ints, outcome: Floats, window: int) -> None:
        """The inner learner too."""
        self._inner.correct(rows, arm, outcome, window)


class Residual:
    """The product's posterior over logits (population, k + 1): Thompson sampling with independent marginal draws.

    Over a constant logit it is plain Bayesian logistic regression. `temperature` None: the posterior's own.
    """

    def __init__(
        self,
        state: Learnt,
        basis: Singles,
        logit: Singles,
        money: Money,
        *,
        temperature: float | None = None,
    ) -> None:
        self._state, self._basis, self._logit, self._money = state, basis, logit, money
        self._temperature = temperature
        self._young: Rows | None = None
        self._told: dict[int, Told] = {}
        self._before: dict[int, Learnt] = {}

    def scores(self, rows: Ints, r: np.random.Generator) -> Floats:
        """One draw of every logit, each by itself."""
        beliefs, played = self._beliefs(rows)
        drawn = beliefs.mean + played * beliefs.sd * r.normal(size=beliefs.mean.shape)
        return self._money.worth(sigmoid(drawn[:, :-1]))

    def beliefs(self, rows: Ints) -> Beliefs:
        """What is believed of customers (n,), before any temperature."""
        return self._beliefs(rows)[0]

    def worth(self, rows: Ints, eligible: NDArray[np.bool_]) -> Worth:
        """What the product's policy is made of: beliefs, temperature and money of customers (n,)."""
        beliefs, played = self._beliefs(rows)
        terms = Terms(self._money.net, self._money.fee, np.zeros(len(self._money.net)))
        return worth_of("profit", beliefs, eligible, terms, played)

    def hear(self, rows: Ints, arm: Ints, outcome: Floats, window: int) -> None:
        """Fold the window; where later ones have been folded already, these again, from before it."""
        if window in self._told:
            old = self._told[window]
            rows, arm, outcome = (np.concatenate(both) for both in zip(old, (rows, arm, outcome), strict=True))
        self._fold(window, (rows, arm, outcome))

    def correct(self, rows: Ints, _arm: Ints, outcome: Floats, window: int) -> None:
        """Fold again from before the window; a customer is decided on once a day."""
        heard, shown, was = self._told[window]
        order = np.argsort(heard)
        right = was.copy()
        right[order[np.searchsorted(heard, rows, sorter=order)]] = outcome
        self._fold(window, (heard, shown, right))

    def glimpse(self, rows: Ints, arm: Ints, outcome: Floats, weight: Floats) -> None:
        """Take account of rows (r,) whose outcomes may still come, until more is heard; see `Posterior.overlay`."""
        self._young = Rows(self._basis[rows], self._logit[rows, arm], arm, outcome, weight)

    def _beliefs(self, rows: Ints) -> tuple[Beliefs, Floats]:
        """About customers (n,), and the temperature (k + 1,) with which they are played."""
        believed = self._state if self._young is None else self._state.overlay(self._young)
        beliefs = believed.beliefs(self._basis[rows], self._logit[rows], threads=1)
        temperature = believed.temperature()
        return beliefs, temperature if self._temperature is None else np.full(len(temperature), self._temperature)

    def _fold(self, window: int, told: Told) -> None:
        """The state before a window is kept, so that whatever comes late changes what it would have changed in time."""
        later = sorted(one for one in self._before if one >= window)
        state = self._before[later[0]] if later else self._state
        self._told[window] = told
        for one in sorted({window, *later}):
            self._before[one] = state
            rows, arm, outcome = self._told[one]
            state = state.update(Rows(self._basis[rows], self._logit[rows, arm], arm, outcome), window=one)
        self._state, self._young = state, None


class Linear:
    """Ridge regression of what each offer earned: LinTS (Agrawal and Goyal 2013), LinUCB (Li et al. 2010), or greedy.

    `width` α is the number of standard errors that are drawn or added; rewards have unit noise variance.
    """

    def __init__(self, basis: Floats, money: Money, width: float, kind: Literal["draw", "add"] = "draw") -> None:
        arms, d = len(money.net), basis.shape[1]
        self._basis, self._money, self._width, self._kind = basis, money, width, kind
        self._gram, self._sum = np.tile(np.eye(d), (arms, 1, 1)), np.zeros((arms, d))

    def scores(self, rows: Ints, r: np.random.Generator) -> Floats:
        """What is expected to be earned, and α standard errors of it."""
        x, covariance = self._basis[rows], np.linalg.inv(self._gram)
        mean: Floats = x @ np.einsum("aij,aj->ai", covariance, self._sum).T
        if self._width == 0.0:
            return mean
        sd = np.sqrt(np.einsum("ni,aij,nj->na", x, covariance, x, optimize=True))
        out: Floats = mean + self._width * sd * (r.normal(size=mean.shape) if self._kind == "draw" else 1.0)
        return out

    def hear(self, rows: Ints, arm: Ints, outcome: Floats, _window: int) -> None:
        """Nothing is ever forgotten."""
        self.add(self._basis[rows], arm, outcome)

    def correct(self, rows: Ints, arm: Ints, outcome: Floats, _window: int) -> None:
        """What was earned is put right; who was shown what stays."""
        put_right = (2.0 * outcome - 1.0) * self._money.net[arm]
        np.add.at(self._sum, arm, put_right[:, None] * self._basis[rows])

    def add(self, x: Floats, arm: Ints, outcome: Floats) -> None:
        """Rows (r, d) of a log, or of a window."""
        earned = outcome * self._money.net[arm] - self._money.fee[arm]
        for a in np.unique(arm):
            here = arm == a
            self._gram[a] += x[here].T @ x[here]
            self._sum[a] += x[here].T @ earned[here]


class BetaSegment:
    """A Beta-Bernoulli posterior for each segment and offer, drawn for each customer (Thompson 1933)."""

    def __init__(self, segment: Ints, money: Money, rate: float) -> None:
        """`segment` (population,) codes; every pair starts as if one success in 1 / rate trials had been seen."""
        self._segment, self._money = segment, money
        shape = (int(segment.max()) + 1, len(money.net))
        self._won, self._lost = np.ones(shape), np.full(shape, 1.0 / rate - 1.0)

    def scores(self, rows: Ints, r: np.random.Generator) -> Floats:
        """One draw of every chance."""
        segment = self._segment[rows]
        return self._money.worth(r.beta(self._won[segment], self._lost[segment]))

    def hear(self, rows: Ints, arm: Ints, outcome: Floats, _window: int) -> None:
        """Nothing is ever forgotten."""
        self.add(self._segment[rows], arm, outcome)

    def correct(self, rows: Ints, arm: Ints, outcome: Floats, _window: int) -> None:
        """One success more and one failure less, or the other way round."""
        segment = self._segment[rows]
        np.add.at(self._won, (segment, arm), 2.0 * outcome - 1.0)
        np.add.at(self._lost, (segment, arm), 1.0 - 2.0 * outcome)

    def add(self, segment: Ints, arm: Ints, outcome: Floats) -> None:
        """Rows of a log, or of a window."""
        np.add.at(self._won, (segment, arm), outcome)
        np.add.at(self._lost, (segment, arm), 1.0 - outcome)

"""What kind of outcome is learnt, a success or an amount: everything in which beliefs about the two differ."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError

if TYPE_CHECKING:  # kernels are imported where they are used: to name a kind needs none
    from bandit.beliefs import Beliefs
    from bandit.calibration import Calibration
    from bandit.laplace import Likelihood
    from bandit.scores import Scores

Floats: TypeAlias = NDArray[np.float64]


class Kind(Protocol):
    """A score is what a model says of a pair: the logit of a success, or the amount itself."""

    @property
    def name(self) -> str:
        """ "success" or "amount"."""

    @property
    def objective(self) -> str:
        """What LightGBM is told to grow trees for."""

    @property
    def no_better(self) -> str:
        """What is said of trees that are no better than `level`."""

    @property
    def loss(self) -> str:
        """What `losses` are called on average."""

    @property
    def taken(self) -> bool:
        """Whether an outcome says that an offer was taken, so that offers can be ranked by it."""

    def check(self, outcome: NDArray[Any]) -> None:
        """Raises ShapeError where an outcome is none of this kind."""

    def level(self, outcome: Floats, weight: Floats) -> float:
        """The score of everybody, where nothing more is known."""

    def calibration(self, raw: Floats, outcome: Floats, weight: Floats) -> "Calibration":
        """The line that mends the scores (r,) of rows that a model was not fitted to, shrunk to the identity."""

    def likelihood(self, outcome: Floats, weight: Floats) -> "tuple[Likelihood, float]":
        """How a line is fitted to such outcomes (r,), and the unit of its weights."""

    def losses(self, score: NDArray[Any], outcome: NDArray[Any]) -> Floats:
        """(r,) how wrong scores are: −log P(outcome) in nats, or squared errors."""

    def loss_in_words(self, loss: float) -> str:
        """A mean of `losses`, or a difference of two, as people read it."""

    def mean(self, score: NDArray[Any]) -> Floats:
        """Mean outcome where the score is certain, float64, same shape."""

    def expected(self, mean: NDArray[Any], sd: NDArray[Any]) -> NDArray[Any]:
        """Mean outcome of beliefs, same shape."""

    def scores(
        self,
        beliefs: "Beliefs",
        worth: Floats,
        fee: Floats,
        eligible: NDArray[np.bool_],
        outside: float | Floats | None,
    ) -> "Scores":
        """What competes for each customer.

        Args:
            beliefs: (n, k + 1), no offer last; sd already multiplied by the temperature.
            worth: (k,) or (n, k) what a success, or one unit of the amount, is worth.
            fee: (k,) or (n, k) what playing the offer costs, currency units.
            eligible: (n, k) bool.
            outside: the same as `worth` of no offer, one number or (n,); None: no offer is worth nothing.
        """


@dataclass(frozen=True, slots=True)
class Successes:
    """Outcomes are 0 or 1, scores logits."""

    name: str = "success"
    objective: str = "binary"
    no_better: str = "trees do not beat the rate of successes on held-out rows"
    loss: str = "log loss"
    taken: bool = True

    def check(self, outcome: NDArray[Any]) -> None:
        """See `Kind`."""
        if not np.isin(outcome, (0.0, 1.0)).all():
            raise ShapeError("An outcome is neither 0 nor 1.", where="outcome")

    def level(self, outcome: Floats, weight: Floats) -> float:
        """Logit of the rate of successes with one success and one failure added."""
        successful = float((weight * outcome).sum()) + 1.0
        return float(np.log(successful / (float(weight.sum()) + 2.0 - successful)))

    def calibration(self, raw: Floats, outcome: Floats, weight: Floats) -> "Calibration":
        """Platt's line."""
        from bandit.calibration import fit_calibration

        return fit_calibration(raw, outcome, weight)

    def likelihood(self, outcome: Floats, weight: Floats) -> "tuple[Likelihood, float]":  # noqa: ARG002 - as in `Kind`
        """The logistic one, in logits."""
        from bandit.laplace import mode

        return mode, 1.0

    def losses(self, score: NDArray[Any], outcome: NDArray[Any]) -> Floats:
        """−log P(outcome), nats."""
        from bandit.calibration import log_losses

        return log_losses(score, outcome)

    def loss_in_words(self, loss: float) -> str:
        """To four decimals."""
        return f"{loss:.4f}"

    def mean(self, score: NDArray[Any]) -> Floats:
        """The chance of a logit."""
        from bandit.calibration import sigmoid

        return sigmoid(score)

    def expected(self, mean: NDArray[Any], sd: NDArray[Any]) -> NDArray[Any]:
        """Posterior mean chance."""
        from bandit.choice import mean_success

        return mean_success(mean, sd)

    def scores(
        self,
        beliefs: "Beliefs",
        worth: Floats,
        fee: Floats,
        eligible: NDArray[np.bool_],
        outside: float | Floats | None,
    ) -> "Scores":
        """See `Kind`."""
        from bandit.scores import Outside, Scores

        k = eligible.shape[1]
        nothing = 0.0 if outside is None else Outside(beliefs.mean[:, k], beliefs.sd[:, k], outside)
        mean, sd = (np.ascontiguousarray(x[:, :k]) for x in (beliefs.mean, beliefs.sd))
        return Scores(mean, sd, worth, fee, eligible, nothing)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Outcomes and scores are amounts, in one unit; noise around their means is Gaussian and the same for everybody."""

    name: str = "amount"
    objective: str = "regression"
    no_better: str = "trees do not beat the mean amount on held-out rows"
    loss: str = "mean squared error"
    taken: bool = False

    def check(self, outcome: NDArray[Any]) -> None:
        """See `Kind`."""
        if not np.isfinite(outcome).all():
            raise ShapeError("An amount is not a finite number.", where="outcome")

    def level(self, outcome: Floats, weight: Floats) -> float:
        """The mean; 0 of none."""
        return float(np.average(outcome, weights=weight)) if len(outcome) else 0.0

    def calibration(self, raw: Floats, outcome: Floats, weight: Floats) -> "Calibration":
        """Least squares, shrunk as Platt's line is: in units of the noise, about the mean score."""
        from bandit.calibration import fit_line

        likelihood, unit = self.likelihood(outcome - raw, weight)
        return fit_line(raw, outcome, weight, likelihood, unit, self.level(raw, weight))

    def likelihood(self, outcome: Floats, weight: Floats) -> "tuple[Likelihood, float]":
        """The Gaussian one, with the variance of the outcomes as noise."""
        from bandit.gaussian import unit_of, with_noise

        noise = self.level((outcome - self.level(outcome, weight)) ** 2, weight) or 1.0
        return with_noise(noise), unit_of(noise)

    def losses(self, score: NDArray[Any], outcome: NDArray[Any]) -> Floats:
        """Squared errors."""
        return np.asarray((np.asarray(outcome, np.float64) - score) ** 2, np.float64)

    def loss_in_words(self, loss: float) -> str:
        """To six digits: a square has no usual size."""
        return f"{loss:,.6g}"

    def mean(self, score: NDArray[Any]) -> Floats:
        """The score."""
        return np.asarray(score, np.float64)

    def expected(self, mean: NDArray[Any], sd: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002 - as in `Kind`
        """Posterior mean amount."""
        return mean

    def scores(
        self,
        beliefs: "Beliefs",
        worth: Floats,
        fee: Floats,
        eligible: NDArray[np.bool_],
        outside: float | Floats | None,
    ) -> "Scores":
        """See `Kind`."""
        from bandit.amounts import amount_scores
        from bandit.beliefs import Beliefs

        k = eligible.shape[1]
        offers = Beliefs(*((worth * x[:, :k]).astype(np.float32) for x in (beliefs.mean, beliefs.sd)))
        if outside is None:
            return amount_scores(offers, fee, eligible)
        each = np.reshape(outside, (-1, 1))
        nothing = Beliefs(*((each * x[:, k:]).astype(np.float32) for x in (beliefs.mean, beliefs.sd)))
        return amount_scores(offers, fee, eligible, outside=nothing)


SUCCESSES: Final = Successes()
AMOUNTS: Final = Amounts()


def kind_named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ShapeError: there is none.
    """
    kinds: dict[str, Kind] = {SUCCESSES.name: SUCCESSES, AMOUNTS.name: AMOUNTS}
    if name not in kinds:
        raise ShapeError(f"There is no kind of outcome {name!r}.", remedy=f"It is {' or '.join(kinds)}.")
    return kinds[name]

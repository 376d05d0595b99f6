"""How wrong can a whole plan be? Estimates of one offer's customers err together, so their errors do not average out.

Offer a's weights are w_a ~ N(m_a, V_a) and a pair's value moves by s_ia ψ_ia'(w_a - m_a), to first order. A plan's
total value then misses its mean by Σ_a E_a'(w_a - m_a) with E_a the sum of s_ia ψ_ia over its pairs: however many
customers there are, d numbers per offer say how exposed it is, and Var = Σ_a E_a' V_a E_a.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import LimitError, ShapeError
from portfolio.solution import Solution

Floats: TypeAlias = NDArray[np.float64]

_BLOCK = 4096  # customers charged together: they stay in the cache
_NEGATIVE = 1e-7  # of the largest eigenvalue: a covariance may be this far from positive, by rounding


@dataclass(frozen=True, slots=True, eq=False)
class Risk:
    """What the values' common errors are, and how much of them a plan may carry.

    Args:
        sensitivity: (n, k) s, currency units of value per unit of logit.
        covariance: (k, d, d) V of each offer's weights, or (k,) where d = 1.
        features: (n, f) ψ's columns that all offers share; None = one constant, so that an offer errs as one.
        pair_feature: (n, k) one more column of ψ, different for every offer; d = f + 1 then, else d = f.
        maximum_sd: the largest standard deviation of the plan's total value, currency units.
        price: or what one unit of that standard deviation costs, currency units per currency unit.

    Raises:
        ShapeError: arrays disagree, are not finite, or a covariance is not positive semi-definite.
        LimitError: not exactly one of `maximum_sd` and `price`, or a negative one.
    """

    sensitivity: NDArray[np.floating]
    covariance: Floats
    features: NDArray[np.floating] | None = None
    pair_feature: NDArray[np.floating] | None = None
    maximum_sd: float | None = None
    price: float | None = None
    _root: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.sensitivity.ndim != 2:
            raise ShapeError(f"sensitivity has shape {self.sensitivity.shape}, not (n, k).")
        n, k = self.sensitivity.shape
        if self.features is not None and (self.features.ndim != 2 or len(self.features) != n):
            raise ShapeError(f"features {self.features.shape} and sensitivity {(n, k)} are not of the same customers.")
        if self.pair_feature is not None and self.pair_feature.shape != (n, k):
            raise ShapeError(f"pair_feature has shape {self.pair_feature.shape}, not {(n, k)}.")
        for name, array in (("features", self.features), ("pair_feature", self.pair_feature)):
            if array is not None and not np.isfinite(array).all():
                raise ShapeError("a number is not finite.", where=name)
        covariance = np.asarray(self.covariance, np.float64)
        blocks = covariance[:, None, None] if covariance.ndim == 1 else covariance
        shared = 1 if self.features is None else self.features.shape[1]
        d = shared + (self.pair_feature is not None)
        if blocks.shape != (k, d, d):
            raise ShapeError(f"covariance has shape {covariance.shape}, not {(k, d, d)}.")
        object.__setattr__(self, "_root", _root_of(blocks))
        bounds = [x for x in (self.maximum_sd, self.price) if x is not None]
        if len(bounds) != 1 or not (np.isfinite(bounds[0]) and bounds[0] >= 0):
            raise LimitError(
                f"maximum_sd is {self.maximum_sd} and price is {self.price}.",
                where="risk",
                remedy="Give one of them, a number not below 0.",
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(k, d) of an exposure."""
        return self._root.shape[0], self._root.shape[1]

    def exposures(self, choice: NDArray[np.integer]) -> Floats:
        """E (k, d) of a plan, summed in float64.

        Args:
            choice: (n,) or (n, most), -1 = no offer.
        """
        out = np.zeros(self.shape)
        picks = choice if choice.ndim == 2 else choice[:, None]
        for a in range(len(out)):
            rows = np.nonzero((picks == a).any(1))[0]
            out[a] = (self.loads(rows, np.full(len(rows), a))).sum(0)
        return out

    def loads(self, customer: NDArray[np.integer], offer: NDArray[np.integer]) -> Floats:
        """(p, d) s ψ of some pairs: what each adds to its offer's exposure."""
        shared = np.ones((len(customer), 1)) if self.features is None else self.features[customer].astype(np.float64)
        if self.pair_feature is not None:
            shared = np.column_stack([shared, self.pair_feature[customer, offer].astype(np.float64)])
        return np.asarray(shared * self.sensitivity[customer, offer].astype(np.float64)[:, None])

    def rooted_loads(self, customer: NDArray[np.integer], offer: NDArray[np.integer]) -> Floats:
        """(p, d) what each of some pairs adds to its offer's part of V^(1/2)E."""
        return np.asarray(np.einsum("pij,pj->pi", self._root[offer], self.loads(customer, offer)))

    def rooted(self, exposure: Floats) -> Floats:
        """V^(1/2) E (k, d): its length is the standard deviation."""
        return np.asarray(np.einsum("aij,...aj->...ai", self._root, exposure))

    def deviation(self, exposure: Floats) -> float:
        """Standard deviation of the total value of a plan with exposures (k, d), currency units."""
        return float(np.sqrt(np.square(self.rooted(exposure)).sum()))

    def slope(self, direction: Floats) -> Floats:
        """V^(1/2) y (k, d) of a direction y: how fast y'V^(1/2)E, at most |y| times the sd, grows with each E."""
        return np.asarray(np.einsum("aij,...aj->...ai", self._root, direction))

    def surcharge(self, direction: Floats, who: NDArray[np.integer] | None = None) -> Floats:
        """(n, k) what each pair adds to y'V^(1/2)E, for a direction y (k, d); of the customers `who`, None = all."""
        slope = self.slope(direction)
        n, k = self.sensitivity.shape if who is None else (len(who), len(slope))
        out = np.empty((n, k))
        for first in range(0, n, _BLOCK):
            rows = slice(first, first + _BLOCK)
            self._charge(rows if who is None else who[rows], slope, out[rows])
        return out

    def _charge(self, rows: slice | NDArray[np.integer], slope: Floats, out: Floats) -> None:
        """Write the surcharge of some customers; column after column, so that no library's threads touch its bits."""
        if self.features is None:
            out[:] = slope[:, 0]
        else:
            out[:] = 0.0
            for j, column in enumerate(self.features[rows].T.astype(np.float64)):
                out += column[:, None] * slope[:, j]
        if self.pair_feature is not None:
            out += self.pair_feature[rows] * slope[:, -1]
        out *= self.sensitivity[rows]

    def within(self, sd: float) -> bool:
        """Whether a standard deviation, recounted, keeps the limit, up to the rounding of sums."""
        return self.maximum_sd is None or sd <= self.maximum_sd * (1 + 1e-9)

    def worth(self, value: float, sd: float) -> float:
        """What is maximised: the value, less the priced risk."""
        return value - (self.price or 0.0) * sd


def _root_of(blocks: Floats) -> Floats:
    """Symmetric square roots (k, d, d).

    Raises:
        ShapeError: a block is not finite, symmetric and positive semi-definite.
    """
    root = np.zeros_like(blocks)
    for a, block in enumerate(blocks):
        size = float(np.abs(block).max(initial=0.0))
        if not np.isfinite(size) or np.abs(block - block.T).max(initial=0.0) > 1e-6 * size:
            raise ShapeError("a covariance is not finite and symmetric.", where=f"covariance of offer {a}")
        level, axes = np.linalg.eigh((block + block.T) / 2)
        if level.min(initial=0.0) < -_NEGATIVE * size:
            raise ShapeError(
                f"a covariance has the negative eigenvalue {level.min():g}.",
                where=f"covariance of offer {a}",
                remedy="Give a positive semi-definite matrix.",
            )
        root[a] = (axes * np.sqrt(np.maximum(level, 0.0))) @ axes.T
    return root


@dataclass(frozen=True, slots=True)
class RiskSolution:
    """A whole plan inside the limits and the risk limit, and its proof.

    Args:
        solution: the plan; `value` is what it is planned to earn. `bound` and `gap` are of its worth, see below.
        worth: what is maximised. Under a risk limit that is the value; under a price of risk, value - price * sd.
        sd: standard deviation of the plan's total value, recounted from the choice, currency units.
        exposures: (k, d) of the plan.
        risk_price: what one more unit of sd would be worth, near the plan; 0 where the limit does not bind. Under a
            price of risk, that price.
        iterations: how often the plan at modified values was solved.
        free_value, free_sd: of the plan without regard to risk.
        words: why there is no plan; empty when there is one.
    """

    solution: Solution
    worth: float
    sd: float
    exposures: Floats
    risk_price: float
    iterations: int
    free_value: float
    free_sd: float
    words: str = ""

    @property
    def bound(self) -> float:
        """What no whole plan inside the limits exceeds in worth.

        Under a risk limit: no plan that keeps it has a higher value. Under a price of risk: no plan has a higher
        value - price * sd; a plan may have a higher value than this bound.
        """
        return self.solution.bound

    @property
    def loss(self) -> float:
        """Planned value that regard to risk costs, currency units."""
        return self.free_value - self.solution.value

"""What has been learnt since training: by one posterior, or by several that are weighed by their foresight."""

from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bandit.beliefs import Beliefs
from bandit.experts import Experts
from bandit.posterior import Posterior, Rows

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]
Keys: TypeAlias = NDArray[np.uint64]


class Learnt(Protocol):
    """State in, state out: what `Posterior` and `Experts` have in common. K arms; the weights have d columns."""

    @property
    def count(self) -> Floats:
        """(K,) discounted number of each arm's decisions."""

    @property
    def centre(self) -> float:
        """Mean logit, a constant."""

    @property
    def noise_variance(self) -> float | None:
        """Of amounts around their mean, in squared units of the outcome; None: outcomes are 0 or 1."""

    @property
    def shares(self) -> dict[str, float]:
        """Who is believed, and by how much; together 1."""

    def update(self, rows: Rows, *, window: int) -> Self:
        """Fold one calendar window of matured rows."""

    def overlay(self, rows: Rows) -> Self:
        """A copy that also takes account of rows not yet matured; only for beliefs, never to be folded further."""

    def widened(self, count: int, kin: Keys | None = None) -> Self:
        """With `count` more cold arms, of whom at most their `kin` (count, q) is known, last before no offer."""

    def beliefs(self, basis: Singles, logit: NDArray[Any], *, threads: int = 2) -> Beliefs:
        """Mean and sd (n, K) of the logits of customers, from their basis (n, p) and prior logits (n, K)."""

    def temperature(self) -> Floats:
        """(K,) how much of its doubt each arm is played with."""

    def seen(self, basis: Singles) -> Singles:
        """The columns (n, d − 1) that the weights go with, before the slope on the prior's logit."""

    def weights(self) -> tuple[Floats, Floats]:
        """Means (K, d) and covariances (K, d, d) of the weights."""

    def voices(self) -> Floats:
        """(len(shares), K, d) what each who is believed adds to the means of the weights."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, without pickle; `learnt_from_arrays` reads them."""


def learnt_from_arrays(arrays: dict[str, NDArray[Any]]) -> Learnt:
    """What `to_arrays` gave, of either kind.

    Raises:
        ShapeError: an array is missing.
    """
    return Experts.from_arrays(arrays) if "score" in arrays else Posterior.from_arrays(arrays)

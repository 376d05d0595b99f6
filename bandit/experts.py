"""Several posteriors of one kind, weighed by how well each foresaw what came.

The first is the posterior itself; the second forgets faster; the third also sees random waves of the customer. Their
mixture is handed on as the Gaussian of the same mean and variance, so that nothing downstream knows of it.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.fourier import Fourier, fit_fourier
from bandit.hierarchy import FOURIER
from bandit.posterior import Beliefs, Posterior, Rows
from bandit.posterior_start import start

Floats: TypeAlias = NDArray[np.float64]

_QUICK_DISCOUNT = 0.88
_MEMORY = 0.98  # what a day leaves of a score
_NEGLIGIBLE = 1e-3  # weight below which a posterior is not asked


@dataclass(frozen=True, slots=True, eq=False)
class Experts:
    """Posteriors `plain`, `quick` and `curved`, the `waves` that the last one sees, and `score` (3,).

    A score is the discounted log likelihood, in nats, of the outcomes that came, each foreseen from the windows before.
    """

    plain: Posterior
    quick: Posterior
    curved: Posterior
    waves: Fourier
    score: Floats

    def update(self, rows: Rows, *, window: int) -> "Experts":
        """Fold one calendar window of matured rows, as `Posterior.update`, after scoring each posterior on it.

        Raises:
            ShapeError: the window is not later than the last one, or rows do not fit.
        """
        seen = (rows, rows, replace(rows, basis=self.waves(rows.basis)))
        days = 0 if self.plain.window is None else window - self.plain.window
        gain = [_foresight(state, part) for state, part in zip(self.members, seen, strict=True)]
        plain, quick, curved = (s.update(part, window=window) for s, part in zip(self.members, seen, strict=True))
        return Experts(plain, quick, curved, self.waves, _MEMORY**days * self.score + np.array(gain))

    def overlay(self, rows: Rows) -> "Experts":
        """A copy that also takes account of rows not yet matured, as `Posterior.overlay`; scores stay as they are."""
        curved = self.curved.overlay(replace(rows, basis=self.waves(rows.basis)))
        return Experts(self.plain.overlay(rows), self.quick.overlay(rows), curved, self.waves, self.score)

    def beliefs(self, basis: NDArray[np.float32], logit: NDArray[Any], *, threads: int = 2) -> Beliefs:
        """Mean and sd of the mixture, as `Posterior.beliefs`; posteriors that have proved worthless are not asked.

        Args:
            basis: (n, p) float32, without the waves.
            logit: (n, K) prior logits.
            threads: the bits do not depend on it.

        Raises:
            ShapeError: the arrays do not fit the states.
        """
        weight = np.where(self.weights >= _NEGLIGIBLE, self.weights, 0.0)
        weight /= weight.sum()
        asked = [(np.float32(w), state) for w, state in zip(weight, self.members, strict=True) if w > 0.0]
        found = [
            (w, state.beliefs(self.waves(basis) if state is self.curved else basis, logit, threads=threads))
            for w, state in asked
        ]
        if len(found) == 1:
            return found[0][1]
        mean = np.sum([w * b.mean for w, b in found], axis=0)
        variance = np.sum([w * (b.sd**2 + (b.mean - mean) ** 2) for w, b in found], axis=0)
        return Beliefs(mean, np.sqrt(variance))

    @property
    def members(self) -> tuple[Posterior, Posterior, Posterior]:
        """The posteriors, in the order of `score`."""
        return self.plain, self.quick, self.curved

    @property
    def weights(self) -> Floats:
        """(3,) how much each posterior counts: proportional to its discounted likelihood."""
        likelihood = np.exp(self.score - self.score.max())
        share: Floats = likelihood / likelihood.sum()
        return share

    @property
    def window(self) -> int | None:
        """Day number of the last window folded; None before the first."""
        return self.plain.window

    def temperature(self) -> Floats:
        """(K,) τ, as `Posterior.temperature`."""
        return self.plain.temperature()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, without pickle."""
        out: dict[str, NDArray[Any]] = {"score": self.score}
        out |= {f"waves.{name}": getattr(self.waves, name) for name in ("direction", "phase", "centre")}
        for name in ("plain", "quick", "curved"):
            out |= {f"{name}.{key}": array for key, array in getattr(self, name).to_arrays().items()}
        return out

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[Any]]) -> "Experts":
        """What `to_arrays` gave.

        Raises:
            ShapeError: an array is missing.
        """

        def of(name: str) -> dict[str, NDArray[Any]]:
            return {key.removeprefix(f"{name}."): a for key, a in arrays.items() if key.startswith(f"{name}.")}

        waves = of("waves")
        for name in ("direction", "phase", "centre"):
            if name not in waves:
                raise ShapeError("An array of the state is missing.", where=f"waves.{name}")
        if "score" not in arrays:
            raise ShapeError("An array of the state is missing.", where="score")
        plain, quick, curved = (Posterior.from_arrays(of(name)) for name in ("plain", "quick", "curved"))
        return Experts(plain, quick, curved, Fourier(**waves), arrays["score"])


def start_experts(
    log_rows: Rows,
    as_cold: NDArray[Any],
    arms: int,
    *,
    centre: float,
    block: NDArray[Any] | tuple[int, ...],
    seed: int,
    discount: float = 0.95,
    window: int | None = None,
) -> Experts:
    """Three posteriors from the log, all of one weight.

    Args:
        log_rows, as_cold, arms, centre, block, discount, window: as for `start`.
        seed: of the waves.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    waves = fit_fourier(log_rows.basis, seed=seed)
    plain = start(log_rows, as_cold, arms, centre=centre, block=block, discount=discount, window=window)
    blocks = (*block[:-1], *(FOURIER,) * len(waves.phase), block[-1])
    rows = replace(log_rows, basis=waves(log_rows.basis))
    curved = start(rows, as_cold, arms, centre=centre, block=blocks, discount=discount, window=window)
    quick = replace(plain, discount=min(discount, _QUICK_DISCOUNT))
    return Experts(plain, quick, curved, waves, np.zeros(3))


def _foresight(state: Posterior, rows: Rows) -> float:
    """Log likelihood of the rows' outcomes before they are learnt from, weights of the rows counted."""
    logit, sd = state.shown(rows)
    spread = logit / np.sqrt(1.0 + np.pi * sd**2 / 8.0)  # a logistic curve averaged over a Gaussian (MacKay 1992)
    likelihood = rows.outcome * spread - np.logaddexp(0.0, spread)
    return float((likelihood if rows.weight is None else rows.weight * likelihood).sum())

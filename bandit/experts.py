"""Several posteriors of one kind, weighed by how well each foresaw what came.

The first is the posterior itself; the second forgets faster; the third also sees random waves of the customer. All are
lines in the columns that the third sees, so their mixture is handed on as one Gaussian of the weights, with the
mixture's mean and covariance, and nothing downstream knows of it.
"""

from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.beliefs import Beliefs, Lines, factor_of_covariance, same
from bandit.fourier import Fourier, fit_fourier
from bandit.hierarchy import FOURIER
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]

_QUICK_DISCOUNT = 0.88
_MEMORY = 0.98  # what a day leaves of a score
_NEGLIGIBLE = 1e-3  # share below which a posterior is not asked


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
    _lines: Lines | None = field(default=None, init=False, repr=False)

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

    def widened(self, count: int, kin: NDArray[np.uint64] | None = None) -> "Experts":
        """With `count` more cold arms without evidence, last before no offer, as `Posterior.widened`."""
        plain, quick, curved = (state.widened(count, kin) for state in self.members)
        return Experts(plain, quick, curved, self.waves, self.score)

    def beliefs(self, basis: Singles, logit: NDArray[Any], *, threads: int = 2) -> Beliefs:
        """Mean and sd of the mixture, as `Posterior.beliefs`.

        Args:
            basis: (n, p) float32, without the waves.
            logit: (n, K) prior logits.
            threads: the bits do not depend on it.

        Raises:
            ShapeError: the arrays do not fit the states.
        """
        return self.lines.beliefs(basis, logit, threads=threads)

    @property
    def lines(self) -> Lines:
        """The mixture's weights as beliefs need them, worked out once; of one who counts alone, they are his."""
        if self._lines is not None:
            return self._lines
        alone = [state for state, share in zip(self.members, self.shares.values(), strict=True) if share == 1.0]
        if alone:
            made = replace(alone[0].lines, seen=self.waves if self._sees_waves else same)
        else:
            mean, covariance = self.weights()
            factor = factor_of_covariance(covariance)
            made = Lines(mean.astype(np.float32), factor, self.centre, self.waves if self._sees_waves else same)
        object.__setattr__(self, "_lines", made)
        return made

    def weights(self) -> tuple[Floats, Floats]:
        """Means (K, d) and covariances (K, d, d) of the mixture's weights, in the columns of `seen` and the slope."""
        voices = self.voices()
        mean: Floats = voices.sum(0)
        covariance = np.zeros((*mean.shape, mean.shape[1]))
        for state, share, voice in zip(self.members, self.shares.values(), voices, strict=True):
            if share > 0.0:
                own, off = self._own(state), voice / share - mean
                covariance[:, own[:, None], own] += share * state.weights()[1]
                covariance += share * off[:, :, None] * off[:, None, :]
        return mean, covariance

    def voices(self) -> Floats:
        """(3, K, d) posterior means of each one's weights times his share: together, the mixture's mean."""
        width = len((self.curved if self._sees_waves else self.plain).block)
        out = np.zeros((3, len(self.count), width))
        for voice, state, share in zip(out, self.members, self.shares.values(), strict=True):
            if share > 0.0:
                voice[:, self._own(state)] = share * state.weights()[0]
        return out

    def seen(self, basis: Singles) -> Singles:
        """The columns that the weights go with, before the slope: the basis, and the waves while they count."""
        return self.waves(basis) if self._sees_waves else basis

    @property
    def members(self) -> tuple[Posterior, Posterior, Posterior]:
        """The posteriors, in the order of `score`."""
        return self.plain, self.quick, self.curved

    @property
    def shares(self) -> dict[str, float]:
        """How much each is believed: proportional to its discounted likelihood, 0 where that has proved worthless."""
        likelihood = np.exp(self.score - self.score.max())
        share = likelihood / likelihood.sum()
        share[share < _NEGLIGIBLE] = 0.0
        return dict(zip(("plain", "quick", "curved"), (share / share.sum()).tolist(), strict=True))

    @property
    def count(self) -> Floats:
        """(K,) discounted number of each arm's decisions, as the plain posterior counts them."""
        return self.plain.count

    @property
    def noise_variance(self) -> float | None:
        """Of amounts around their mean; None: outcomes are 0 or 1."""
        return self.plain.noise_variance

    @property
    def centre(self) -> float:
        """Mean logit, a constant."""
        return self.plain.centre

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

    @property
    def _sees_waves(self) -> bool:
        return self.shares["curved"] > 0.0

    def _own(self, state: Posterior) -> NDArray[np.intp]:
        """Which columns of the mixture's weights are a member's: the basis, its waves if it has any, and the slope."""
        last = len((self.curved if self._sees_waves else self.plain).block) - 1
        return np.array([*range(len(state.block) - 1), last])


def start_experts(
    log_rows: Rows,
    as_cold: NDArray[Any],
    arms: int,
    *,
    centre: float,
    block: NDArray[Any] | tuple[int, ...],
    seed: int,
    kin: NDArray[np.uint64] | None = None,
    discount: float = 0.95,
    window: int | None = None,
) -> Experts:
    """Three posteriors from the log, all of one weight.

    Args:
        log_rows, as_cold, arms, centre, block, kin, discount, window: as for `start`.
        seed: of the waves.

    Raises:
        ShapeError: the arrays do not fit together.
    """
    waves = fit_fourier(log_rows.basis, seed=seed)
    plain = start(log_rows, as_cold, arms, centre=centre, block=block, kin=kin, discount=discount, window=window)
    blocks = (*block[:-1], *(FOURIER,) * len(waves.phase), block[-1])
    rows = replace(log_rows, basis=waves(log_rows.basis))
    curved = start(rows, as_cold, arms, centre=centre, block=blocks, kin=kin, discount=discount, window=window)
    quick = replace(plain, discount=min(discount, _QUICK_DISCOUNT))
    return Experts(plain, quick, curved, waves, np.zeros(3))


def _foresight(state: Posterior, rows: Rows) -> float:
    """Log likelihood of the rows' outcomes before they are learnt from, weights of the rows counted."""
    logit, sd = state.shown(rows)
    spread = logit / np.sqrt(1.0 + np.pi * sd**2 / 8.0)  # a logistic curve averaged over a Gaussian (MacKay 1992)
    likelihood = rows.outcome * spread - np.logaddexp(0.0, spread)
    return float((likelihood if rows.weight is None else rows.weight * likelihood).sum())

"""What we have learnt since: a Bayesian logistic residual over the prior's logit, per arm, tied by a hierarchy.

logit p(x, a) = ℓ(x, a) + ψ(x, ℓ)·w_a with ψ = [basis(x), ℓ − mean ℓ]. State in, state out. Where outcomes are amounts,
the same line is their mean, ℓ the amount that the prior expects.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import ShapeError
from bandit.beliefs import Beliefs, Lines, factor_of_precision
from bandit.gaussian import with_noise
from bandit.hierarchy import Anchor, Group, Sites, em_step
from bandit.laplace import Batch, Likelihood, mode
from bandit.posterior_kernels import beliefs_of
from bandit.relatives import Relatives

Floats: TypeAlias = NDArray[np.float64]
Singles: TypeAlias = NDArray[np.float32]

_WINDOW_STRENGTH = 8.0  # ν, in arms: how much the log's variances weigh against a window's
_FEWEST_DECISIONS = 1.0  # discounted; below this an arm has no effective data
_THREADS = 2
_WORTH_THREADS = 20_000  # rows; fewer are through before a thread has started
_OPTIONAL = {"window": np.int64, "noise_variance": np.float64}  # fields that may be None: arrays of none or one


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Decisions with outcomes, in a fixed order (by decision id).

    `basis` (r, p) float32; `logit` (r,) of the arm shown; `arm` (r,) 0..K − 1; `outcome` (r,) 0 or 1, or amounts where
    the state says so; `weight` (r,) ≥ 0, or None for 1.
    """

    basis: NDArray[np.float32]
    logit: NDArray[Any]
    arm: NDArray[np.int64]
    outcome: NDArray[Any]
    weight: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        columns = [self.logit, self.arm, self.outcome, *([] if self.weight is None else [self.weight])]
        if self.basis.ndim != 2 or any(column.shape != (len(self.basis),) for column in columns):
            shapes = [column.shape for column in columns]
            raise ShapeError(
                f"A basis of shape {self.basis.shape} and columns of shapes {shapes} are not one row each."
            )
        if not np.isfinite(self.outcome).all():
            raise ShapeError("An outcome is not finite.", where="outcome")
        if not np.isfinite(self.logit).all():
            raise ShapeError("A logit is not finite.", where="logit")
        if self.weight is not None and not (np.isfinite(self.weight) & (self.weight >= 0)).all():
            raise ShapeError("A weight is negative or not finite.", where="weight")


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """The state after some windows; K arms, d columns of ψ; groups are 0 warm, 1 cold.

    Attributes:
        precision: (K, d, d) J, each arm's evidence.
        shift: (K, d) h; the weights of arm a are N(Λ⁻¹(Σ⁻¹μ + h), Λ⁻¹) with Λ = Σ⁻¹ + J.
        cold: (K,) bool, which group an arm belongs to.
        mean, variance: (2, d) μ and σ² of the groups.
        anchor_mean, anchor_variance: (2, d) the values learnt on the log, to which windows stay anchored.
        lift, width: (K, d) what relatives say of an arm: before any evidence, its weights are N(μ + lift, width·σ²).
        relatives: from whom newcomers have theirs.
        block: (d,) block of each column.
        centre: mean logit, a constant.
        count: (K,) discounted number of each arm's decisions.
        discount: γ, what a day leaves of the evidence.
        window: day number of the last window folded; None before the first.
        noise_variance: of amounts around their mean, in squared units of the outcome; None: outcomes are 0 or 1.
    """

    precision: Floats
    shift: Floats
    cold: NDArray[np.bool_]
    mean: Floats
    variance: Floats
    anchor_mean: Floats
    anchor_variance: Floats
    lift: Floats
    width: Floats
    relatives: Relatives
    block: NDArray[np.int64]
    centre: float
    count: Floats
    discount: float
    window: int | None
    noise_variance: float | None = None
    _lines: Lines | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        arms, d = self.shift.shape
        groups = [a.shape for a in (self.mean, self.variance, self.anchor_mean, self.anchor_variance)]
        if self.precision.shape != (arms, d, d) or any(shape != (2, d) for shape in groups):
            raise ShapeError(
                f"Evidence {self.precision.shape} and groups {groups} do not fit {arms} arms, {d} columns."
            )
        if self.cold.shape != (arms,) or self.count.shape != (arms,) or self.block.shape != (d,):
            raise ShapeError(
                f"Flags {self.cold.shape}, counts {self.count.shape} or blocks {self.block.shape} do not fit."
            )
        if self.lift.shape != (arms, d) or self.width.shape != (arms, d) or self.relatives.variance.shape != (d,):
            raise ShapeError(f"Lifts {self.lift.shape} and widths {self.width.shape} do not fit {arms} arms.")
        if not 0.0 < self.discount <= 1.0:
            raise ShapeError(f"A discount of {self.discount} a day is not in (0, 1].", where="discount")
        if self.noise_variance is not None and not 0.0 < self.noise_variance < np.inf:
            raise ShapeError(f"A variance of {self.noise_variance} is not positive.", where="noise_variance")

    def update(self, rows: Rows, *, window: int) -> "Posterior":
        """Fold one calendar window of matured rows.

        Evidence is discounted by the days since the last window; an arm with rows keeps its mean through that, an
        idle one moves towards its group. Then each arm's rows are added at their mode, and the hierarchy takes one
        step.

        Args:
            rows: of this window, all of them at once; there may be none.
            window: day number, later than the last one folded.

        Raises:
            ShapeError: the window is not later, or rows do not fit the state.
        """
        if self.window is not None and window <= self.window:
            raise ShapeError(
                f"Window {window} does not come after window {self.window}, the last one folded.",
                remedy="Fold again from a state before it.",
            )
        check_rows(rows, *self.shift.shape, amounts=self.noise_variance is not None)
        kept = self.discount ** (0 if self.window is None else window - self.window)
        seen = np.bincount(rows.arm, minlength=len(self.cold)) > 0
        faded = self._faded(kept, held=seen)
        added = faded._added(rows)
        return replace(added._hierarchy_step(), window=window)

    def widened(self, count: int, kin: NDArray[np.uint64] | None = None) -> "Posterior":
        """With `count` more cold arms without evidence, last before no offer. No other arm changes.

        Args:
            count: how many.
            kin: (count, q) keys of what they have in common with other arms, as for `start`; None: nothing.
        """
        at = np.full(count, len(self.cold) - 1)
        lift, width = self.relatives.of(np.zeros((count, 0), np.uint64) if kin is None else kin)
        return replace(
            self,
            lift=np.insert(self.lift, at, lift, axis=0),
            width=np.insert(self.width, at, width, axis=0),
            precision=np.insert(self.precision, at, 0.0, axis=0),
            shift=np.insert(self.shift, at, 0.0, axis=0),
            cold=np.insert(self.cold, at, True),
            count=np.insert(self.count, at, 0.0),
        )

    def overlay(self, rows: Rows) -> "Posterior":
        """A copy that also takes account of rows not yet matured; only for beliefs, never to be folded further.

        Args:
            rows: successes with weight 1, failures with the share of outcomes that arrive by their age.

        Raises:
            ShapeError: rows do not fit the state.
        """
        check_rows(rows, *self.shift.shape, amounts=self.noise_variance is not None)
        return self._added(rows)

    def beliefs(self, basis: NDArray[np.float32], logit: NDArray[Any], *, threads: int = 2) -> Beliefs:
        """What the logits, or mean amounts, are believed to be.

        Args:
            basis: (n, p) float32, p = d − 1.
            logit: (n, K) prior logits, or the amounts that the prior expects.
            threads: the bits do not depend on it.

        Raises:
            ShapeError: the arrays do not fit the state.
        """
        return self.lines.beliefs(basis, logit, threads=threads)

    def shown(self, rows: Rows) -> tuple[Floats, Floats]:
        """Believed means and sds (r,) of the logits, or mean amounts, of the arms shown in some rows.

        Raises:
            ShapeError: rows do not fit the state.
        """
        check_rows(rows, *self.shift.shape, amounts=self.noise_variance is not None)
        weight, factor = self.lines.weight, self.lines.factor
        centre, logit = np.float32(self.centre), np.asarray(rows.logit, np.float32)[:, None]
        mean, sd = np.empty((len(logit), 1), np.float32), np.empty((len(logit), 1), np.float32)
        for arm in np.unique(rows.arm):
            here, own = np.flatnonzero(rows.arm == arm), slice(arm, arm + 1)
            m, s = np.empty((len(here), 1), np.float32), np.empty((len(here), 1), np.float32)
            basis = np.ascontiguousarray(rows.basis[here], np.float32)
            beliefs_of(basis, logit[here], centre, weight[own], factor[own], m, s)
            mean[here], sd[here] = m, s
        return mean[:, 0].astype(np.float64), sd[:, 0].astype(np.float64)

    @property
    def lines(self) -> Lines:
        """The weights as beliefs need them, worked out once: for one customer that would be most of the time."""
        if self._lines is not None:
            return self._lines
        _, prior = self._start()
        factor = factor_of_precision(self.precision + np.eye(prior.shape[1]) * prior[:, None, :])
        made = Lines(self.weights()[0].astype(np.float32), factor, self.centre)
        object.__setattr__(self, "_lines", made)
        return made

    @property
    def shares(self) -> dict[str, float]:
        """Who is believed, and by how much: this posterior, fully."""
        return {"plain": 1.0}

    def seen(self, basis: Singles) -> Singles:
        """The columns that the weights go with, before the slope: the basis."""
        return basis

    def voices(self) -> Floats:
        """(1, K, d) posterior means of the weights, of everybody in `shares`."""
        return self.weights()[0][None]

    def temperature(self) -> Floats:
        """(K,) τ = .25 + .45·300/(300 + n_a): new arms explore, known ones hardly."""
        return 0.25 + 0.45 * 300.0 / (300.0 + self.count)

    def weights(self) -> tuple[Floats, Floats]:
        """Posterior means (K, d) and covariances (K, d, d) of the arms' residual weights."""
        start, prior = self._start()
        covariance = np.linalg.inv(self.precision + np.eye(prior.shape[1]) * prior[:, None, :])
        mean: Floats = np.einsum("aij,aj->ai", covariance, self.shift + prior * start)
        return mean, np.asarray(covariance, np.float64)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, without pickle."""
        plain = [f.name for f in fields(self) if f.init and f.name not in _OPTIONAL and f.name != "relatives"]
        out = {name: np.asarray(getattr(self, name)) for name in plain}
        out |= {f"relatives.{f.name}": getattr(self.relatives, f.name) for f in fields(Relatives)}
        for name, kind in _OPTIONAL.items():
            value = getattr(self, name)
            out[name] = np.array([] if value is None else [value], kind)
        return out

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[Any]]) -> "Posterior":
        """What `to_arrays` gave.

        Raises:
            ShapeError: an array is missing.
        """
        names = [f.name for f in fields(Posterior) if f.init and f.name != "relatives"]
        of_relatives = [f"relatives.{f.name}" for f in fields(Relatives)]
        missing = [name for name in (*names, *of_relatives) if name not in arrays]
        if missing:
            raise ShapeError("An array of the state is missing.", where=missing[0])
        values: dict[str, Any] = {name: arrays[name] for name in names}
        values["relatives"] = Relatives(*(arrays[name] for name in of_relatives))
        values["centre"] = float(arrays["centre"])
        values["discount"] = float(arrays["discount"])
        for name in _OPTIONAL:
            values[name] = arrays[name][0].item() if len(arrays[name]) else None
        return Posterior(**values)

    def _start(self) -> tuple[Floats, Floats]:
        """Means and precisions (K, d) of the arms' weights before any evidence of their own."""
        group = self.cold.astype(np.int64)
        return self.mean[group] + self.lift, 1.0 / (self.variance[group] * self.width)

    def _faded(self, kept: float, *, held: NDArray[np.bool_]) -> "Posterior":
        """Evidence times `kept`; the means of `held` arms stay where they were."""
        if kept == 1.0:
            return self
        start, prior = self._start()
        precision = kept * self.precision
        weight, _ = self.weights()
        holding = np.einsum("aij,aj->ai", precision, weight) + prior * (weight - start)
        shift = np.where(held[:, None], holding, kept * self.shift)
        return replace(self, precision=precision, shift=shift, count=kept * self.count)

    def _added(self, rows: Rows) -> "Posterior":
        """Each arm's rows as evidence at their mode; the bits do not depend on threads."""
        likelihood: Likelihood = mode if self.noise_variance is None else with_noise(self.noise_variance)
        precision, shift, count = self.precision.copy(), self.shift.copy(), self.count.copy()
        weight, _ = self.weights()
        starts, priors = self._start()

        def work(of_arm: tuple[int, NDArray[np.intp]]) -> None:
            arm, at = of_arm
            batch, prior = _batch(rows, at, self.centre), np.diag(priors[arm])
            w, curvature = likelihood(batch, weight[arm], precision[arm] + prior)
            precision[arm] += curvature
            shift[arm] = (precision[arm] + prior) @ w - prior @ starts[arm]
            count[arm] += batch.weight.sum()

        if len(rows.arm) < _WORTH_THREADS:
            for one in _places(rows):
                work(one)
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                for _ in pool.map(work, _places(rows)):
                    pass
        return replace(self, precision=precision, shift=shift, count=count)

    def _hierarchy_step(self) -> "Posterior":
        """One step on each group's μ and σ², by the arms that have data; the others would only echo the group."""
        mean, variance = np.empty_like(self.mean), np.empty_like(self.variance)
        for g in (0, 1):
            arms = np.flatnonzero((self.cold == bool(g)) & (self.count >= _FEWEST_DECISIONS))
            anchor = Anchor(self.anchor_mean[g], self.anchor_variance[g], self.anchor_variance[g], _WINDOW_STRENGTH)
            sites = Sites(self.precision[arms], self.shift[arms], self.lift[arms], self.width[arms])
            group = em_step(Group(self.mean[g], self.variance[g]), anchor, sites, self.block)
            mean[g], variance[g] = group.mean, group.variance
        return replace(self, mean=mean, variance=variance)


def batches(rows: Rows, centre: float) -> Iterator[tuple[int, Batch]]:
    """Each arm that has rows, and its rows in their order."""
    return ((arm, _batch(rows, at, centre)) for arm, at in _places(rows))


def _places(rows: Rows) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each arm that has rows, and where they are, in their order."""
    order = np.argsort(rows.arm, kind="stable")
    ends = np.cumsum(np.bincount(rows.arm))
    for arm, (first, last) in enumerate(pairwise([0, *ends.tolist()])):
        if last > first:
            yield arm, order[first:last]


def _batch(rows: Rows, at: NDArray[np.intp], centre: float) -> Batch:
    logit = np.asarray(rows.logit[at], np.float64)
    weight = np.ones(len(at)) if rows.weight is None else np.asarray(rows.weight[at], np.float64)
    basis = np.ascontiguousarray(rows.basis[at], np.float32)
    return Batch(basis, logit - centre, logit, np.asarray(rows.outcome[at], np.float64), weight)


def check_rows(rows: Rows, arms: int, d: int, *, amounts: bool) -> None:
    """That rows fit a state of K `arms` and d columns, and say yes or no unless they are `amounts`.

    Raises:
        ShapeError: they do not.
    """
    if rows.basis.shape[1] != d - 1:
        raise ShapeError(f"A basis of {rows.basis.shape[1]} columns does not fit a state of {d} with the slope.")
    if len(rows.arm) and not 0 <= rows.arm.min() <= rows.arm.max() < arms:
        raise ShapeError(f"An arm is not in 0..{arms - 1}.", where="arm")
    if not amounts and not np.isin(rows.outcome, (0.0, 1.0)).all():
        raise ShapeError("An outcome is neither 0 nor 1.", where="outcome", remedy="Amounts need a state of amounts.")

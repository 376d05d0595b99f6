"""The estimators: each says what a row puts in; values, intervals and comparisons follow from that elsewhere.

Throughout: log of n decisions; target (n, number of actions) probabilities of the policy to be judged, last column no
offer; q_hat (n, number of actions) modelled rewards that the log's own outcomes did not shape (or cross-fitted). w is
the weight target / propensity, D the model's mean reward under the target, e the model's error on the logged action.
Each raises ShapeError and DataError where the inputs do not fit together.
"""

import numpy as np

from allot import ShapeError
from offline_eval.estimate import Estimate, Terms, estimate
from offline_eval.log import Floats, Log
from offline_eval.tables import Table, modelled, weights

SAME = 1e-6  # relative; propensities are often stored as float32


def logged(log: Log) -> Estimate:
    """Mean reward of what was done: the logging policy's own value."""
    one = np.ones_like(log.reward)
    return _mean_of("logged", log, one, log.reward)


def ips(log: Log, target: Table) -> Estimate:
    """Inverse propensity scoring, mean of w r: unbiased (Horvitz and Thompson 1952)."""
    w = weights(log, target)
    return _mean_of("ips", log, w, w * log.reward)


def clipped_ips(log: Log, target: Table, clip: float) -> Estimate:
    """IPS with weights of at most `clip`; rows stay. Biased towards 0 by what is cut (Ionides 2008)."""
    _option("clip", clip, clip > 0, "a positive weight")
    w = weights(log, target)
    return _mean_of("clipped_ips", log, w, np.minimum(w, clip) * log.reward)


def snips(log: Log, target: Table) -> Estimate:
    """Self-normalised IPS, mean of w r / mean of w (Swaminathan and Joachims 2015); error by the delta method."""
    w = weights(log, target)
    return estimate("snips", Terms(np.zeros_like(w), w * log.reward, w, w, log.cluster))


def replay(log: Log, target: Table) -> Estimate:
    """Mean reward where the log happens to agree with a deterministic policy (Li, Chu, Langford and Wang 2011).

    Only for logs that chose uniformly: elsewhere the rows that agree are no fair sample, and snips is the remedy.

    Raises:
        ShapeError: the target is not deterministic, or the propensities differ.
    """
    w = weights(log, target)
    if not np.isin(w * log.propensity, (0.0, 1.0)).all():
        raise ShapeError("the target is not deterministic.", where="replay", remedy="snips takes any policy.")
    if not np.ptp(log.propensity) <= SAME * log.propensity[0]:
        raise ShapeError("the log did not choose uniformly.", where="replay", remedy="snips takes any log.")
    agrees = (w > 0).astype(np.float64)
    return estimate("replay", Terms(np.zeros_like(w), agrees * log.reward, agrees, w, log.cluster))


def dm(log: Log, target: Table, q_hat: Table) -> Estimate:
    """Direct method, mean of D. Its interval knows nothing of the model's error: never judge by it."""
    w, expected, _ = modelled(log, target, q_hat)
    return _corrected("dm", log, w, expected, np.zeros_like(expected))


def dr(log: Log, target: Table, q_hat: Table) -> Estimate:
    """Doubly robust, mean of D + w e: unbiased whatever the model (Dudík, Langford and Li 2011)."""
    w, expected, of_action = modelled(log, target, q_hat)
    return _corrected("dr", log, w, expected, w * (log.reward - of_action))


def sndr(log: Log, target: Table, q_hat: Table) -> Estimate:
    """Self-normalised DR, mean of D + mean of w e / mean of w; error by the delta method."""
    w, expected, of_action = modelled(log, target, q_hat)
    return estimate("sndr", Terms(expected, w * (log.reward - of_action), w, w, log.cluster))


def switch_dr(log: Log, target: Table, q_hat: Table, threshold: float) -> Estimate:
    """DR where w <= threshold, the model alone above it (Wang, Agarwal and Dudík 2017)."""
    _option("threshold", threshold, threshold >= 0, "a weight of at least 0")
    w, expected, of_action = modelled(log, target, q_hat)
    return _corrected("switch_dr", log, w, expected, np.where(w <= threshold, w, 0.0) * (log.reward - of_action))


def dr_os(log: Log, target: Table, q_hat: Table, shrinkage: float) -> Estimate:
    """DR with optimistic shrinkage, weights s w / (w^2 + s): s = 0 is dm, infinite is dr (Su et al. 2020)."""
    _option("shrinkage", shrinkage, shrinkage >= 0, "a number of at least 0")
    w, expected, of_action = modelled(log, target, q_hat)
    shrunk = w / (1 + w * w / shrinkage) if shrinkage > 0 else np.zeros_like(w)
    return _corrected("dr_os", log, w, expected, shrunk * (log.reward - of_action))


def subgaussian_ips(log: Log, target: Table, shrinkage: float) -> Estimate:
    """IPS with weights w / (1 - s + s w), at most 1/s; s = 0 is ips (Metelli, Russo and Restelli 2021)."""
    w = weights(log, target)
    return _mean_of("subgaussian_ips", log, w, _subgaussian(w, shrinkage) * log.reward)


def subgaussian_dr(log: Log, target: Table, q_hat: Table, shrinkage: float) -> Estimate:
    """DR whose correction carries the weights of `subgaussian_ips`; s = 0 is dr."""
    w, expected, of_action = modelled(log, target, q_hat)
    return _corrected("subgaussian_dr", log, w, expected, _subgaussian(w, shrinkage) * (log.reward - of_action))


def _mean_of(name: str, log: Log, w: Floats, weighted: Floats) -> Estimate:
    """A plain mean of weighted rewards."""
    return _corrected(name, log, w, np.broadcast_to(0.0, w.shape), weighted)


def _corrected(name: str, log: Log, w: Floats, expected: Floats, correction: Floats) -> Estimate:
    """A model's expectation plus a plain mean of corrections."""
    return estimate(name, Terms(expected, correction, np.broadcast_to(1.0, w.shape), w, log.cluster))


def _subgaussian(w: Floats, shrinkage: float) -> Floats:
    """w / (1 - s + s w), whose limit at w = 0 is 0 for s = 1, too."""
    _option("shrinkage", shrinkage, 0 <= shrinkage <= 1, "a number from 0 to 1")
    below = (1 - shrinkage) + shrinkage * w
    return np.divide(w, below, out=np.zeros_like(w), where=below > 0)


def _option(name: str, value: float, valid: bool, meaning: str) -> None:
    if not valid:
        raise ShapeError(f"{name} is {value:g}, not {meaning}.", where=name)

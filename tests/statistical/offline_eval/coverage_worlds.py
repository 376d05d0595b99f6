"""Many logs at once from worlds with a known truth, and what `evaluate` says about each of them.

A world is a finite number of contexts; a log of n rows is then no more than a count of each (context, action, reward),
and estimates, errors, skewness and floors are sums over these counts. `judge` is the arithmetic of `evaluate` on such
sums, thousands of logs at a time; a test holds it against `evaluate` itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from offline_eval.choosing import CHOICE, FEW_SUCCESSES, NEARLY, SKEWED, SUCCESS_FLOOR
from offline_eval.intervals import fewest_expected
from offline_eval.verdict import ESS_FLOOR, UNSUPPORTED_CEILING, WEIGHT_ERRORS, WEIGHT_ROUNDING

CONTEXTS = 100
OVERLAP = {"wide": (0.5, 1.0, 0.5), "mild": (0.8, 1.5, 0.3), "narrow": (1.5, 2.5, 0.1)}
BATCH = 500
Z = 1.959963984540054


@dataclass(frozen=True)
class World:
    """Tables (contexts, actions): chance of success, logging policy, target, reward model; contexts equally likely."""

    success: np.ndarray
    logging: np.ndarray
    target: np.ndarray
    q_hat: np.ndarray

    @property
    def truth(self):
        return float((self.target * self.success).sum(1).mean())

    def draw(self, n, logs, seed):
        """(logs, contexts, actions, 2) counts of failures and successes in logs of n rows."""
        chance = np.stack([self.logging * (1 - self.success), self.logging * self.success], -1) / CONTEXTS
        flat = chance.ravel() / chance.sum()
        counts = np.random.default_rng([20260101, seed]).multinomial(n, flat, size=logs)
        return counts.reshape(logs, *chance.shape)


def rows(counts):
    """The rows of a log, from its counts (contexts, actions, 2): context, action and reward, (n,) each."""
    context, action, reward = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    return context, action, reward.astype(float)


def world(rate, overlap, actions, model, seed=0):
    """Success rates of mean `rate`; `overlap` of target and log; a shrunk good model, or a bad one that says .5."""
    r = np.random.default_rng([7, seed, actions])
    x, taste = r.normal(size=(CONTEXTS, 5)), r.normal(size=(5, actions))
    lean = 0.8 * x @ taste / np.sqrt(5) + 0.5 * r.normal(size=actions)
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 / (1 + np.exp(-middle - lean))).mean() < rate else (low, middle)
    success = 1 / (1 + np.exp(-low - lean))
    logged, wanted, uniform = OVERLAP[overlap]
    logging = (1 - uniform) * softmax(logged * x @ r.normal(size=(5, actions)) / np.sqrt(5)) + uniform / actions
    target = softmax(wanted * x @ taste / np.sqrt(5))
    q_hat = 0.7 * success + 0.3 * success.mean() if model == "good" else np.full_like(success, 0.5)
    return World(success, logging, target, q_hat)


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


POWERS = [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]  # of w r and w


def judge(of, counts):
    """What `evaluate` says of each log: a dict of (logs,) value, low, high, supported, ess, successes, error."""
    logs, n, shape = len(counts), counts[0].sum(), counts.shape[1:]
    c = counts.reshape(logs, -1).astype(float)
    w = np.broadcast_to((of.target / of.logging)[..., None], shape).ravel()
    reward = np.broadcast_to([0.0, 1.0], shape).ravel()
    expected = np.broadcast_to((of.target * of.q_hat).sum(1)[:, None, None], shape).ravel()
    put_in = expected + w * (reward - np.broadcast_to(of.q_hat[..., None], shape).ravel())
    columns = [put_in, put_in**2, put_in**3, *((w * reward) ** p * w**q for p, q in POWERS)]
    m1, m2, m3, *mixed = (c @ np.column_stack(columns) / n).T
    m = dict(zip(POWERS, mixed, strict=True))
    dr = estimated(m1, m2 - m1**2, m3 - 3 * m1 * m2 + 2 * m1**3, n)
    scale = m[0, 1]
    rho = m[1, 0] / scale
    second = m[2, 0] - 2 * rho * m[1, 1] + rho**2 * m[0, 2]
    third = m[3, 0] - 3 * rho * m[2, 1] + 3 * rho**2 * m[1, 2] - rho**3 * m[0, 3]
    snips = estimated(rho, second / scale**2, third / scale**3, n)
    successes = n * np.divide(m[1, 0] ** 2, m[2, 0], out=np.zeros(logs), where=m[2, 0] > 0)
    ess = n * scale**2 / m[0, 2]
    successes = np.minimum(successes, rho * ess)
    thin = successes < FEW_SUCCESSES
    value, low, high, error = chosen(dr, snips)
    few_low, few_high = few(rho, m[2, 0] / (n * scale**2), m[0, 3] / m[0, 2] / (n * scale), successes)
    lost = unsupported(of, counts, n)
    off = np.abs(scale - 1 + lost) > WEIGHT_ERRORS * np.sqrt((m[0, 2] - scale**2) / n) + WEIGHT_ROUNDING
    return {
        "value": np.where(thin, rho, value),
        "low": np.where(thin, few_low, low),
        "high": np.where(thin, few_high, high),
        "error": error,
        "supported": (ess >= ESS_FLOOR) & (successes >= SUCCESS_FLOOR) & (lost <= UNSUPPORTED_CEILING) & ~off,
        "ess": ess,
        "successes": successes,
    }


def estimated(value, second, third, n):
    """Value, standard error and skewness from central moments of the rows' influence."""
    second = np.maximum(second, 1e-300)
    return value, np.sqrt(second / (n - 1)), third / np.maximum(second**1.5, 1e-300) / np.sqrt(n)


def chosen(dr, snips):
    """DR unless clearly noisier, the wider error in a near tie; normal or skewed interval."""
    ratio = dr[1] / snips[1]
    take_dr, tie = ratio <= NEARLY, (ratio <= NEARLY) & (ratio >= 1 / NEARLY)
    value, error, skew = (np.where(take_dr, one, other) for one, other in zip(dr, snips, strict=True))
    error = CHOICE * np.where(tie, np.maximum(dr[1], snips[1]), error)
    normal = np.abs(skew) <= SKEWED
    s = np.where(normal, 1.0, skew)
    below, above = (np.where(normal, y, 3 / s * (np.cbrt(1 + s * (y - s / 6)) - 1)) for y in (-Z, Z))
    return value, value - above * error, value - below * error, error


def few(y, variance, next_one, successes):
    """The interval of Fay and Feuer around weighted successes; its lower end knows of the floor they have passed."""
    some = y > 0
    y1, v1 = np.where(some, y, 1.0), np.where(some, variance, 1.0)
    found = y1**2 / v1
    floor = np.where(successes >= SUCCESS_FLOOR, SUCCESS_FLOOR / np.maximum(successes, 1) * found, 0.0)
    low = np.where(some, y1 / found * fewest_expected(found, floor, 0.025), 0.0)
    up, spread = y + next_one, variance + next_one**2
    return low, spread / (2 * up) * chdtri(2 * up**2 / spread, 0.025)


def unsupported(of, counts, n):
    """(logs,) the target's probability on actions that do not occur in the log."""
    by_context = counts.sum((2, 3)) / n
    return ((by_context @ of.target) * (counts.sum((1, 3)) == 0)).sum(1)


def play(of, n, logs, seed=0):
    """`judge` of many logs, batch by batch, so that memory stays small."""
    batches = [judge(of, of.draw(n, min(BATCH, logs - first), seed + first)) for first in range(0, logs, BATCH)]
    return {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}

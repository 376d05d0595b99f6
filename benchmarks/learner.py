"""How fast does what was learnt become a policy? `python -m benchmarks.learner`.

Choice probabilities of random posteriors with their largest error against 400 nodes on each of twelve panels, beliefs,
the affordable policy from beliefs, and everything for one customer. CPU seconds of all threads, after a warm-up; the
customers of probabilities and beliefs are worked on by one thread.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr

from allot.uniforms import stream, uniforms
from api.console import say, table
from bandit import Columns, Posterior, choice_probabilities, compile_grid, fit_basis
from benchmarks.instances import make_beliefs
from benchmarks.measure import MILLION, WARM, timed
from benchmarks.scoring import CUSTOMER, OFFERS, made

Floats = NDArray[np.floating[Any]]

PARTS: Final = ("probabilities", "beliefs", "policy", "one")
FLOORS: Final = {10: 400_000, 20: 200_000, 50: 90_000}  # customers per second
_PANELS, _NODES = 12, 400
_REFEREED = 100  # customers of each k whose probabilities are integrated apart
_WIDTH = 20  # columns of ψ


@dataclass(frozen=True, slots=True)
class Believed:
    """Random posteriors: mean and sd (n, k) of logits, margin (k,), price (n, k), eligible (n, k)."""

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    margin: NDArray[np.float64]
    price: NDArray[np.float32]
    eligible: NDArray[np.bool_]


def main() -> None:
    options = _options()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")
    if "probabilities" in options.only:
        rows = [_probabilities(name, kind, k) for name, kind in (("even", even), ("uneven", uneven)) for k in FLOORS]
        columns = ("posteriors", "offers", "customers per s", "floor", "with a chance", "largest error")
        table("Choice probabilities, one thread", columns, rows)
    if "beliefs" in options.only:
        rows = [(f"{options.customers:,} x {OFFERS}", _WIDTH, _beliefs(options.customers), "<= 1 for a million")]
        table("Beliefs, one thread", ("pairs", "d", "CPU s", "floor"), rows)
    if "policy" in options.only:
        rows = [(f"{options.customers:,} x {OFFERS}", 31, *_policy(options.customers), "<= 8 for a million")]
        table("Affordable policy from beliefs", ("pairs", "limits", "CPU s", "full passes", "floor"), rows)
    if "one" in options.only:
        columns = ("step", "p50 us", "p99 us", "floor")
        table(f"One customer with {OFFERS} offers", columns, _one(options.rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--customers", type=int, default=MILLION, help="of beliefs and of the policy")
    parser.add_argument("--rounds", type=int, default=2_000, help="customers one at a time")
    return parser.parse_args()


def even(n: int, k: int, *, seed: int = 0) -> Believed:
    """Every offer is eligible and earns the same: nearly all have a chance with everybody."""
    r = np.random.default_rng(seed)
    mean, sd = r.normal(-2.5, 0.8, (n, k)).astype(np.float32), r.lognormal(-1.3, 0.5, (n, k)).astype(np.float32)
    return Believed(mean, sd, np.ones(k), r.uniform(0, 0.05, (n, k)).astype(np.float32), np.ones((n, k), np.bool_))


def uneven(n: int, k: int, *, seed: int = 0) -> Believed:
    """Margins of 20 to 200, prices of 0 to 8, seven tenths of the pairs eligible."""
    r = np.random.default_rng(seed)
    mean, sd = r.normal(-2.5, 0.8, (n, k)).astype(np.float32), r.lognormal(-1.3, 0.5, (n, k)).astype(np.float32)
    return Believed(mean, sd, r.uniform(20, 200, k), r.uniform(0, 8, (n, k)).astype(np.float32), r.random((n, k)) < 0.7)


def _probabilities(name: str, kind: Callable[[int, int], Believed], k: int) -> tuple[Any, ...]:
    n = 400_000 // k
    who = kind(n, k)
    chance, best = _chances(who), np.inf
    for _ in range(3):
        _, seconds = timed(lambda: _chances(who))
        best = min(best, seconds)
    exact = [referee(who, i) for i in range(_REFEREED)]
    error = max(float(np.abs(chance[i, :k] - exact[i]).max()) for i in range(_REFEREED))
    return name, k, round(n / best), FLOORS[k], round((chance > 1e-12).sum(1).mean(), 1), f"{error:.0e}"


def _chances(who: Believed) -> NDArray[np.float64]:
    return choice_probabilities(who.mean, who.sd, who.margin, who.price, who.eligible, threads=1)


def referee(who: Believed, i: int) -> Floats:
    """(k,) one customer's probabilities, integrated over the score itself: no coordinate, no dropped arms, no level."""
    at = np.flatnonzero(who.eligible[i])
    mean, sd = who.mean[i, at].astype(np.float64), who.sd[i, at].astype(np.float64)
    margin, shift = who.margin[at], -who.price[i, at].astype(np.float64)
    low = max(0.0, (shift + margin * expit(mean - 8 * sd)).max())
    high = (shift + margin * expit(mean + 8 * sd)).max()
    out = np.zeros(who.mean.shape[1])
    if high <= low:
        return out
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    origin = low - 1e-3 * (high - low)
    edges = origin + np.exp(np.linspace(np.log(low - origin), np.log(high - origin), _PANELS + 1))
    half = 0.5 * np.diff(edges)[:, None]
    score = (edges[:-1, None] + half * (1 + nodes)).ravel()[:, None]
    won, lost = score - shift, shift + margin - score
    inside = (won > 0) & (lost > 0)
    won, lost = np.where(inside, won, 1.0), np.where(inside, lost, 1.0)
    z = np.where(inside, (np.log(won / lost) - mean) / sd, np.where(score > shift, 40.0, -40.0))
    below = log_ndtr(z)
    density = np.where(inside, np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi) * margin / (sd * won * lost), 0.0)
    others = np.exp(below.sum(1, keepdims=True) - below)
    out[at] = ((half * weights).ravel()[:, None] * density * others).sum(0)
    return out


def _posterior(arms: int, d: int, *, seed: int = 0) -> Posterior:
    """A state with evidence of a thousand rows per arm."""
    r = np.random.default_rng(seed)
    rows = r.normal(size=(arms, 1_000, d))
    group = np.full((2, d), 0.1)
    zero = np.zeros((2, d))
    return Posterior(
        precision=0.1 * np.einsum("ari,arj->aij", rows, rows),
        shift=r.normal(size=(arms, d)),
        cold=np.arange(arms) % 5 == 4,
        mean=zero,
        variance=group,
        anchor_mean=zero,
        anchor_variance=group,
        block=np.zeros(d, np.int64),
        centre=-2.0,
        count=np.full(arms, 1_000.0),
        discount=0.95,
        window=None,
    )


def _beliefs(customers: int) -> float:
    r = np.random.default_rng(1)
    posterior = _posterior(OFFERS, _WIDTH)
    basis = r.standard_normal((customers, _WIDTH - 1), np.float32)
    logit = r.standard_normal((customers, OFFERS), np.float32) - 2
    posterior.beliefs(basis[:WARM], logit[:WARM], threads=1)
    return timed(lambda: posterior.beliefs(basis, logit, threads=1))[1]


def _policy(customers: int) -> tuple[float, int]:
    from engine.policy import Setting, affordable_policy

    setting = Setting(share=0.0)
    small = make_beliefs(WARM)
    affordable_policy(small.beliefs, small.margin, small.problem, setting=setting)
    whole = make_beliefs(customers)
    policy, seconds = timed(lambda: affordable_policy(whole.beliefs, whole.margin, whole.problem, setting=setting))
    return seconds, policy.passes


def _one(rounds: int) -> list[tuple[Any, ...]]:
    """Features in, choice out; each step's own time, and the whole."""
    work = made(4, rounds)
    grid = compile_grid(work.booster, work.offers, CUSTOMER, work.cross.shape[2])
    columns = Columns(tuple(f"x{j}" for j in range(CUSTOMER)), (), (0, 1))
    basis = fit_basis(work.customers, columns, levels={"x0": 8, "x1": 8}, most=_WIDTH - 1)
    posterior = _posterior(OFFERS, len(basis.blocks))
    margin, price, eligible = np.ones(OFFERS), np.full((1, OFFERS), 0.02), np.ones((1, OFFERS), np.bool_)
    key, chosen = stream(1, "learner"), np.zeros(rounds, np.int64)
    took = np.empty((rounds, 5))
    for i in range(rounds):
        clock = [time.perf_counter()]
        logit = grid.logits(work.customers[i : i + 1], work.cross[i : i + 1])
        clock.append(time.perf_counter())
        beliefs = posterior.beliefs(basis(work.customers[i : i + 1]), logit, threads=1)
        clock.append(time.perf_counter())
        chance = choice_probabilities(beliefs.mean, beliefs.sd, margin, price, eligible, threads=1)
        clock.append(time.perf_counter())
        coin = uniforms(key, np.array([i], np.uint64))[0]
        chosen[i] = min(np.searchsorted(np.cumsum(chance[0]), coin), OFFERS)
        clock.append(time.perf_counter())
        took[i] = [*np.diff(clock), clock[-1] - clock[0]]
    took = np.sort(took[rounds // 10 :], axis=0) * 1e6
    steps = ("scores", "basis and beliefs", "probabilities", "choice", "all")
    middle, late = took[len(took) // 2], took[int(0.99 * len(took))]
    floors = ("", "", "", "", "p50 <= 150, p99 <= 400")
    return [(s, round(a, 1), round(b, 1), floor) for s, a, b, floor in zip(steps, middle, late, floors, strict=True)]


if __name__ == "__main__":
    main()

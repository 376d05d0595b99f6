"""How fast does what was learnt become a policy? `python -m benchmarks.learner`.

Choice probabilities of random posteriors with their largest error against an integration apart from the product,
beliefs, the fold of a million outcomes, the affordable policy from beliefs, everything for one customer by one
posterior or by three, and learning and deciding beside Vowpal Wabbit. CPU seconds of all threads, after a warm-up; only
the policy uses more than one.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from allot.uniforms import stream, uniforms
from api.console import say, table
from bandit import (
    Basis,
    Columns,
    Experts,
    Grid,
    Posterior,
    Rows,
    choice_probabilities,
    compile_grid,
    fit_basis,
    start_experts,
)
from benchmarks.believed import Believed, alike, even, posterior, referee, uneven
from benchmarks.instances import make_beliefs
from benchmarks.measure import MILLION, WARM, said, timed
from benchmarks.scoring import CUSTOMER, OFFERS, Work, made

PARTS: Final = ("probabilities", "beliefs", "fold", "policy", "one", "vowpal")
FLOORS: Final = {10: 400_000, 20: 200_000, 50: 90_000}  # customers per second, of random posteriors
LARGEST_ERROR, LARGEST_SHARE = 5e-7, 1e-3  # of a probability; of one of at least 1e-6
_REFEREED = 100  # customers of each k whose probabilities are integrated apart
_WIDTH = 20  # columns of ψ
_REPEATS: Final = 3


def main() -> None:
    options = _options()
    say(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS')}")
    if "probabilities" in options.only:
        rows = [_probabilities(kind, k) for kind in (even, uneven, alike) for k in FLOORS]
        columns = (
            "posteriors",
            "offers",
            "customers per s",
            "floor",
            "kept",
            "with a chance",
            "error",
            "of small ones",
        )
        table("Choice probabilities, one thread", (*columns, "kept"), rows)
    lines = []
    if "beliefs" in options.only:
        lines.append(_beliefs(options.customers))
    if "fold" in options.only:
        lines.append(_fold(options.customers))
    if "policy" in options.only:
        lines.append(_policy(options.customers))
    if lines:
        table("From outcomes to a policy", ("work", "CPU s", "floor for a million", "kept", ""), lines)
    if "one" in options.only:
        columns = ("step", "p50 us", "p99 us", "floor", "kept")
        for title, rows in _one(options.rounds):
            table(title, columns, rows)
    if "vowpal" in options.only:
        _vowpal(options.outcomes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--customers", type=int, default=MILLION, help="of beliefs, fold and policy")
    parser.add_argument("--rounds", type=int, default=2_000, help="customers one at a time")
    parser.add_argument("--outcomes", type=int, default=20_000, help="and decisions, beside Vowpal Wabbit")
    return parser.parse_args()


def _probabilities(kind: Callable[[int, int], Believed], k: int) -> tuple[Any, ...]:
    who = kind(400_000 // k, k)
    chance = _chances(who)
    fastest = min(timed(lambda: _chances(who))[1] for _ in range(_REPEATS))
    speed = len(chance) / fastest
    floor = FLOORS[k] if kind is not alike else None
    exact = np.array([referee(who, i) for i in range(_REFEREED)])
    off = np.abs(chance[:_REFEREED, :k] - exact)
    likely = exact >= 1e-6
    small = float((off[likely] / exact[likely]).max())
    return (
        *(kind.__name__, k, round(speed), floor or "", said(None if floor is None else speed >= floor)),
        *(round((chance > 1e-12).sum(1).mean(), 1), f"{off.max():.0e}", f"{small:.0e}"),
        said(bool(off.max() <= LARGEST_ERROR and small <= LARGEST_SHARE)),
    )


def _chances(who: Believed) -> NDArray[np.float64]:
    return choice_probabilities(who.mean, who.sd, who.margin, who.price, who.eligible, threads=1)


def _beliefs(customers: int) -> tuple[Any, ...]:
    r = np.random.default_rng(1)
    state = posterior(OFFERS, _WIDTH)
    basis = r.standard_normal((customers, _WIDTH - 1), np.float32)
    logit = r.standard_normal((customers, OFFERS), np.float32) - 2
    state.beliefs(basis[:WARM], logit[:WARM], threads=1)
    seconds = timed(lambda: state.beliefs(basis, logit, threads=1))[1]
    return f"beliefs, {customers:,} x {OFFERS}, d = {_WIDTH}", *_within(seconds, 1.0, customers), ""


def _fold(outcomes: int) -> tuple[Any, ...]:
    """Outcomes that come from the logits themselves, about one success in six."""
    r = np.random.default_rng(2)
    state = posterior(OFFERS + 1, _WIDTH)
    basis = r.standard_normal((outcomes, _WIDTH - 1), np.float32)
    logit = r.normal(-2.0, 1.0, outcomes)
    outcome = (r.random(outcomes) < 1.0 / (1.0 + np.exp(-logit))).astype(np.float64)
    rows = Rows(basis, logit, r.integers(0, OFFERS, outcomes), outcome)
    some = Rows(basis[:WARM], logit[:WARM], rows.arm[:WARM], outcome[:WARM])
    state.update(some, window=0)
    seconds = timed(lambda: state.update(rows, window=0))[1]
    return f"fold, {outcomes:,} outcomes, {OFFERS} offers, d = {_WIDTH}", *_within(seconds, 2.0, outcomes), ""


def _policy(customers: int) -> tuple[Any, ...]:
    from engine.policy import Setting, affordable_policy

    setting = Setting(share=0.0)
    small = make_beliefs(WARM)
    affordable_policy(small.beliefs, small.margin, small.problem, setting=setting)
    whole = make_beliefs(customers)
    policy, seconds = timed(lambda: affordable_policy(whole.beliefs, whole.margin, whole.problem, setting=setting))
    work = f"affordable policy, {customers:,} x {OFFERS} x 31 limits"
    return work, *_within(seconds, 8.0, customers), f"{policy.passes} full passes"


def _within(seconds: float, floor: float, count: int) -> tuple[str, str, str]:
    """CPU seconds, the floor, and whether it is kept; a floor is of a million."""
    return f"{seconds:.2f}", f"<= {floor:g}", said(seconds <= floor if count == MILLION else None)


def _one(rounds: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """Features in, choice out, by one posterior and by three; each step's own time, and the whole."""
    work = made(4, rounds)
    grid = compile_grid(work.booster, work.offers, CUSTOMER, work.cross.shape[2])
    columns = Columns(tuple(f"x{j}" for j in range(CUSTOMER)), (), (0, 1))
    basis = fit_basis(work.customers, columns, levels={"x0": 8, "x1": 8}, most=_WIDTH - 1)
    for state in (posterior(OFFERS, len(basis.blocks)), _experts(basis(work.customers), basis.blocks)):
        shares = [share for share in state.shares.values() if share]
        title = f"One customer with {OFFERS} offers, d = {state.lines.weight.shape[1]}, posteriors asked: {len(shares)}"
        yield title, _one_at_a_time(work, grid, basis, state)


def _experts(basis: NDArray[np.float32], blocks: tuple[int, ...]) -> Experts:
    """Three posteriors from outcomes that come from the logits themselves: no one foresees them better."""
    r = np.random.default_rng(3)
    logit, arm = r.normal(-2.0, 1.0, len(basis)), r.integers(0, OFFERS, len(basis))
    rows = Rows(basis, logit, arm, (r.random(len(basis)) < 1.0 / (1.0 + np.exp(-logit))).astype(np.float64))
    return start_experts(rows, logit, OFFERS, centre=-2.0, block=blocks, seed=1)


def _one_at_a_time(work: Work, grid: Grid, basis: Basis, state: Posterior | Experts) -> list[tuple[Any, ...]]:
    rounds = len(work.customers)
    margin, price, eligible = np.ones(OFFERS), np.full((1, OFFERS), 0.02), np.ones((1, OFFERS), np.bool_)
    key, chosen = stream(1, "learner"), np.zeros(rounds, np.int64)
    took = np.empty((rounds, 5))
    for i in range(rounds):
        clock = [time.perf_counter()]
        logit = grid.logits(work.customers[i : i + 1], work.cross[i : i + 1])
        clock.append(time.perf_counter())
        beliefs = state.beliefs(basis(work.customers[i : i + 1]), logit, threads=1)
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
    kept = ("", "", "", "", said(bool(middle[-1] <= 150 and late[-1] <= 400)))
    return [
        (s, round(a, 1), round(b, 1), f, k) for s, a, b, f, k in zip(steps, middle, late, floors, kept, strict=True)
    ]


def _vowpal(count: int) -> None:
    from benchmarks import learner_peers, peers

    if absent := peers.vowpal_missing():
        say(absent)
        return
    known = learner_peers.world(count, count)
    own = learner_peers.ours(known)
    job = {"customers": known.customers, "arm": known.arm, "outcome": known.outcome, "coming": known.coming}
    peer = peers.vowpal("speed", **job, offers=OFFERS, options=list(learner_peers.VARIANTS.values()))
    columns = ("work", "Vowpal Wabbit", "ours per s", "theirs per s", "times", "kept")
    title = f"{count:,} outcomes and decisions, {OFFERS} offers, {learner_peers.FEATURES} features, one thread"
    table(f"{title}; floor {learner_peers.FLOOR:g} times", columns, learner_peers.compared(known, own, peer))
    table("One decision at a time", ("", "p50 us", "p99 us"), learner_peers.one_at_a_time(own, peer))
    worth = learner_peers.worth(known, own, peer)
    table("Mean chance of success of what is chosen", tuple(worth), [tuple(round(x, 4) for x in worth.values())])
    if not all(worth[name] > worth["by chance"] for name in learner_peers.VARIANTS):
        raise SystemExit("A variant of Vowpal Wabbit did not learn: its figures mean nothing.")


if __name__ == "__main__":
    main()

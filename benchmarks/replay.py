"""Is it better than one offer for all, on real randomised logs? `python -m benchmarks.replay`.

Unbiased replay (Li et al. 2011): everybody knows the first half of a log, decides on the second, and hears where the
log did the same. The best single arm is chosen in hindsight, on the second half itself: a little too good for a fair
comparison, the more so the fewer successes there are. Below 50 successes nobody is said to be better or worse.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit as logit_of

from api.console import say, table
from bandit import Log, Rows, fit_basis, fit_prior, start
from benchmarks.classification_tasks import DATA
from benchmarks.measure import timed
from benchmarks.replay_logs import LOGS
from sims.learners import Fixed, Learner, Linear, Money, Residual, Uniform
from sims.replay import RandomisedLog, Replayed, always, replayed

FIRST_SEED = 1000
_LINTS_SD = 0.1  # α, as tuned for the classification sets
BEST = "best arm, in hindsight"
_FEWEST = 50  # successes on either side of a comparison


def learners(known: RandomisedLog, coming: RandomisedLog, seed: int) -> dict[str, Learner]:
    """Everybody who takes part, knowing one half and about to decide on the other."""
    k, rows = len(known.arms), len(known.arm)
    log = Log(known.customers, known.arm, known.outcome, np.zeros(rows), np.arange(rows, dtype=np.uint64))
    offers, money = np.arange(k + 1.0)[:, None], Money(np.ones(k), np.zeros(k))
    fitted = fit_prior(log, offers, known.columns, seed=seed, threads=1)
    served = fitted.prior.logits(coming.customers, threads=1)
    basis = fit_basis(known.customers, known.columns, levels=known.levels, gain=fitted.report.gain)
    psi, block = basis(coming.customers), basis.blocks
    seen = Rows(basis(known.customers), fitted.shown, known.arm, known.outcome)
    rate = float(logit_of((known.outcome.sum() + 1) / (rows + 2)))
    flat = np.full(rows, rate)
    plain = start(Rows(seen.basis, flat, seen.arm, seen.outcome), flat, k + 1, centre=rate, block=block)
    taught = Linear(psi.astype(np.float64), money, _LINTS_SD)
    taught.add(seen.basis.astype(np.float64), known.arm, known.outcome)
    full = start(seen, fitted.as_cold, k + 1, centre=fitted.prior.mean_logit, block=block)
    return {
        "allot": Residual(full, psi, served, money),
        "logistic-ts": Residual(plain, psi, np.full_like(served, rate), money),
        "lints-log": taught,
        "prior-greedy": Fixed(served[:, :-1].astype(np.float64)),
        "best-static": Fixed(np.tile(_rates(known), (len(coming.arm), 1))),
        "uniform": Uniform(k),
    }


def _rates(log: RandomisedLog) -> NDArray[np.float64]:
    """(k,) successes per decision of each arm."""
    k = len(log.arms)
    return np.bincount(log.arm, log.outcome, k) / np.maximum(np.bincount(log.arm, minlength=k), 1)


def played(known: RandomisedLog, coming: RandomisedLog, seed: int) -> dict[str, Replayed]:
    """Everybody's replay of the second half, and that of the best single arm."""
    out = {name: replayed(coming, one, seed=seed) for name, one in learners(known, coming, seed).items()}
    return out | {BEST: always(coming, int(_rates(coming).argmax()))}


def verdict(found: dict[str, Replayed]) -> str:
    """Whether the promise is kept: not significantly below the best single arm."""
    own, best = found["allot"], found[BEST]
    if min(one.outcome[one.matched].sum() for one in (own, best)) < _FEWEST:
        return f"cannot tell: fewer than {_FEWEST} successes"
    gain, error = own.minus(best)
    return f"{'kept' if gain + 1.96 * error >= 0 else 'BROKEN'}: not significantly below the best single arm"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--only", nargs="+", default=list(LOGS), choices=LOGS)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    options = parser.parse_args()
    for name in options.only:
        try:
            known, coming = LOGS[name](options.data)
        except FileNotFoundError:
            say(f"Left out: {name} is not in {options.data}. Name its folder by --data or ALLOT_DATA.")
            continue
        found, seconds = timed(partial(played, known, coming, options.seed))
        _told(found, coming, seconds)


def _told(found: dict[str, Replayed], log: RandomisedLog, seconds: float) -> None:
    rows = []
    for name, one in found.items():
        gain, error = one.minus(found[BEST])
        against = "" if name == BEST else f"{1e3 * gain:+.2f} ± {1e3 * 1.96 * error:.2f}"
        rows.append(
            (name, int(one.matched.sum()), int(one.outcome[one.matched].sum()), round(1e3 * one.value, 2), against)
        )
    title = f"{log.name}: {len(log.arm):,} decisions replayed, {len(log.arms)} arms, successes per 1,000"
    table(title, ("", "heard", "successes", "per 1,000", "minus the last, 95 %"), rows)
    say(f"{verdict(found)}. {seconds:.0f} CPU s")


if __name__ == "__main__":
    main()

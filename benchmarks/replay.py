"""Is it better than one offer for all, on real randomised logs? `python -m benchmarks.replay`.

Unbiased replay (Li et al. 2011): everybody knows the first half of a log, decides on the second, and hears where the
log did the same. The best single arm is chosen in hindsight, on the second half itself: a little too good for a fair
comparison, the more so the fewer successes there are. Below 50 successes nobody is said to be better or worse.
"""

import argparse
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import logit as logit_of

from api.console import say, table
from bandit import Log, Rows, fit_basis, fit_prior, start
from benchmarks.classification_tasks import DATA
from benchmarks.measure import timed
from benchmarks.replay_candidates import CHANCE, Judged, best_arm, chances, greedy, judged, rates
from benchmarks.replay_logs import LOGS
from sims.learners import Fixed, Learner, Linear, Money, Residual, Uniform
from sims.replay import RandomisedLog, Replayed, always, replayed

FIRST_SEED = 1000
_LINTS_SD = 0.1  # α, as tuned for the classification sets
BEST = "best arm, in hindsight"
_FEWEST = 50  # successes on either side of a comparison
_LISTED = 12  # arms, each a candidate in a row of its own


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
        "best-static": Fixed(np.tile(rates(known), (len(coming.arm), 1))),
        "uniform": Uniform(k),
    }


def played(known: RandomisedLog, coming: RandomisedLog, seed: int) -> dict[str, Replayed]:
    """Everybody's replay of the second half, and that of the best single arm."""
    out = {name: replayed(coming, one, seed=seed) for name, one in learners(known, coming, seed).items()}
    return out | {BEST: always(coming, best_arm(coming))}


def verdict(found: dict[str, Replayed]) -> str:
    """Whether the promise is kept: not significantly below the best single arm."""
    own, best = found["allot"], found[BEST]
    if min(one.outcome[one.matched].sum() for one in (own, best)) < _FEWEST:
        return f"cannot tell: fewer than {_FEWEST} successes"
    gain, error = own.minus(best)
    return f"{'kept' if gain + 1.96 * error >= 0 else 'BROKEN'}: not significantly below the best single arm"


def candidates(known: RandomisedLog, coming: RandomisedLog, seed: int) -> dict[str, Judged]:
    """What the evaluation says of ours, of the trees, and of what can only be bad; see `judged`."""
    honest = learners(known, coming, seed)
    lies = replace(known, outcome=np.random.default_rng([seed, 3]).permutation(known.outcome))
    misled = learners(lies, coming, seed)
    learnt = {name: chances(one, coming) for name, one in honest.items() if isinstance(one, Residual)} | {
        "prior-greedy": greedy(honest["prior-greedy"], coming),
        "the trees' least liked": greedy(honest["prior-greedy"], coming, least=True),
        "trees that learnt shuffled outcomes": greedy(misled["prior-greedy"], coming),
    }
    return judged(known, coming, learnt)


def refused(found: dict[str, Judged]) -> str:
    """Whether the other half of the promise is kept: nobody who is worse is called better."""
    worse = {name: one for name, one in found.items() if one.worse}
    if not worse:
        return "cannot tell: the first half shows no candidate to be worse"
    count = Counter(one.word for one in worse.values())
    wrong = [name for name, one in worse.items() if one.word == "better"]
    kept = f"BROKEN, {', '.join(wrong)}" if wrong else "kept"
    words = ", ".join(f"{count[word]} {word}" for word in ("worse", "not told apart", "withheld", "better"))
    return f"{kept}: of {len(worse)} candidates that the first half shows to be worse, none is called better ({words})"


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
        rivals, seconds = timed(partial(candidates, known, coming, options.seed))
        _judged(rivals, coming, seconds)


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


def _judged(found: dict[str, Judged], log: RandomisedLog, seconds: float) -> None:
    best = next(iter(found))
    listed = [
        name for name, one in found.items() if one.worse is None or len(log.arms) <= _LISTED or name in (best, CHANCE)
    ]
    rows = [(name, *_figures(found[name]), "" if name == best else found[name].word) for name in listed]
    title = f"{log.name}: candidates judged on the second half, per 1,000 decisions; {best} was best in the first"
    table(title, ("", "value, 95 %", "minus the best, 95 %", "verdict", "it is"), rows)
    others = Counter(one.word for name, one in found.items() if name not in listed)
    say(*(f"{count} other arms: {word}." for word, count in others.items()))
    say(f"{refused(found)}. {seconds:.0f} CPU s")


def _figures(one: Judged) -> tuple[str, str, str]:
    value, gap = next(x for x in one.report.estimates if x.estimator == "snips"), one.gap
    interval = f"{1e3 * value.value:.1f} ({1e3 * value.low:.1f} to {1e3 * value.high:.1f})"
    return interval, f"{1e3 * gap.value:+.1f} ({1e3 * gap.low:+.1f} to {1e3 * gap.high:+.1f})", one.report.verdict


if __name__ == "__main__":
    main()

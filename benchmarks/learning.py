"""Who learns best in the reference world, and what does lateness cost? `python -m benchmarks.learning`.

No limits: what is compared is learning. Shares of the oracle in per cent, paired over seeds.
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from api.console import say, table
from benchmarks.measure import difference, timed
from sims.days import LEARNERS, Known, linear, oracle_share, ours
from sims.late import late_share
from sims.world import nbo

Floats = NDArray[np.float64]

FIRST_SEED, TUNING = 1000, range(90, 96)
SEVEN = "all seven days late"
WIDTHS = (0.1, 0.3, 1.0, 3.0)  # α of LinTS, to be tuned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="at least 2")
    options = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    best, seconds = timed(tuned)
    say(f"LinTS, tuned on seeds {TUNING.start} to {TUNING.stop - 1}: α = {best[False]:g}, with the log {best[True]:g}.")
    shares, more = timed(lambda: played(seeds, best))
    _compared("Days of `nbo`", shares, "allot")
    late, last = timed(lambda: delayed(seeds))
    _compared("Successes up to seven days late", late, "weighted")
    say(*(f"{'kept' if kept else 'BROKEN'}: {floor}" for floor, kept in floors(shares, late)))
    say(f"{seconds + more + last:.0f} CPU s")


def tuned() -> dict[bool, float]:
    """LinTS' best α, with and without the log."""
    worlds = [Known(nbo(seed)) for seed in TUNING]
    return {
        log: max(WIDTHS, key=lambda a: float(np.mean([oracle_share(k, linear(k, a, log=log)) for k in worlds])))
        for log in (False, True)
    }


def played(seeds: range, width: dict[bool, float]) -> dict[str, Floats]:
    """Shares (seeds,) of every learner."""
    out: dict[str, list[float]] = {}
    for seed in seeds:
        known = Known(nbo(seed))
        players = LEARNERS | {
            "lints": lambda k: linear(k, width[False]),
            "lints-log": lambda k: linear(k, width[True], log=True),
        }
        for name, learner in players.items():
            out.setdefault(name, []).append(100.0 * oracle_share(known, learner(known)))
    return {name: np.array(values) for name, values in out.items()}


def delayed(seeds: range) -> dict[str, Floats]:
    """Shares (seeds,) of ours by what is made of young decisions, if every outcome were late, and if none were."""
    worlds = [Known(nbo(seed)) for seed in seeds]
    out = {how: np.array([100.0 * late_share(k, how) for k in worlds]) for how in ("waiting", "failures", "weighted")}
    out[SEVEN] = np.array([100.0 * oracle_share(k, ours(k), delay_days=7) for k in worlds])
    out["no delay"] = np.array([100.0 * oracle_share(k, ours(k), delay_days=1) for k in worlds])
    return out


def floors(shares: dict[str, Floats], late: dict[str, Floats]) -> list[tuple[str, bool]]:
    """What is promised, and whether it is kept."""
    own = shares["allot"]
    out = [
        (f"≥ 88 % of the oracle on average ({own.mean():.1f})", own.mean() >= 88.0),
        (f"≥ 82 % in the worst world ({own.min():.1f})", own.min() >= 82.0),
    ]
    for name in ("lints", "epsilon-greedy"):
        gain = difference(own, shares[name])
        out.append((f"≥ 3 points above {name} ({gain})", gain.mean >= 3.0 and gain.above))
    gain, lost = difference(late["weighted"], late["waiting"]), difference(late["no delay"], late[SEVEN])
    out.append((f"≥ 3 points above waiting ({gain})", gain.mean >= 3.0 and gain.above))
    return [*out, (f"< 6 points lost where everything is seven days late ({lost})", lost.mean + lost.half < 6.0)]


def _compared(title: str, shares: dict[str, Floats], reference: str) -> None:
    rows = []
    for name, share in shares.items():
        against = "" if name == reference else str(difference(shares[reference], share))
        rows.append((name, round(float(share.mean()), 2), round(float(share.min()), 2), against))
    table(f"{title}, % of the oracle", ("", "mean", "worst", f"{reference} minus it, 95 %"), rows)


if __name__ == "__main__":
    main()

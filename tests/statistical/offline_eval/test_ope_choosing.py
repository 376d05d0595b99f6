"""Choices that the data make: SLOPE between clips, thresholds and shrinkages; dr or snips; which interval."""

from dataclasses import replace

import numpy as np
import pytest

import offline_eval as oe
from allot import ShapeError
from offline_eval.choosing import CHOICE, choose
from offline_eval.estimate import standard_error


def world(seed, spread, n=1_000, worth=1.0):
    """A log whose overlap with the target falls with `spread`; a reward model that is off by a fifth."""
    r = np.random.default_rng(seed)
    k = 4
    x = r.normal(size=n)
    lean = np.column_stack([spread * x, np.zeros(n), -spread * x, -np.ones(n)])
    policy = 0.98 * np.exp(lean) / np.exp(lean).sum(1, keepdims=True) + 0.02 / k
    target = policy[:, [2, 1, 0, 3]]
    chance = 1 / (1 + np.exp(-(np.column_stack([x, 0 * x, -0.5 * x, -1 - 0 * x]) - 0.5)))
    action = (policy.cumsum(1) < r.random(n)[:, None]).sum(1).clip(0, k - 1)
    reward = worth * (r.random(n) < chance[np.arange(n), action])
    log = oe.Log(reward, action, policy[np.arange(n), action])
    return log, target, worth * 0.8 * chance, worth * float((target * chance).sum(1).mean())


def errors(tune, spread, seeds=80):
    """Root mean squared errors of every candidate (by position in the grid) and of the pick."""
    picked, fixed = [], []
    for seed in range(seeds):
        log, target, q, truth = world(seed, spread)
        found = tune(log, target, q)
        picked.append(found.estimate.value - truth)
        fixed.append([e.value - truth for e in found.candidates])
    return np.sqrt(np.square(picked).mean()), np.sqrt(np.square(fixed).mean(axis=0))


@pytest.mark.parametrize("spread", [0.3, 3.0], ids=["overlap", "hardly any overlap"])
@pytest.mark.parametrize(
    "tune",
    [lambda log, t, q: oe.tuned_clip(log, t), oe.tuned_switch, oe.tuned_shrinkage],
    ids=["clip", "switch", "shrinkage"],
)
def test_the_pick_is_nearly_as_good_as_the_best_fixed_candidate_whatever_the_world(tune, spread):
    """No fixed candidate does that: unclipped fails where overlap is bad, the model alone where it is good."""
    picked, fixed = errors(tune, spread)
    assert picked < 2.2 * fixed.min()
    if fixed.max() > 3 * fixed.min():
        assert picked < 0.6 * fixed.max()


def test_slope_takes_the_most_biased_candidate_that_nothing_contradicts():
    log, target, _, _ = world(0, 0.3)
    base = oe.ips(log, target)
    noise = np.random.default_rng(0).normal(size=(4, len(base.influence)))

    def at(value, error, shared=0):
        """An estimate of its own noise, or of noise that it shares with another."""
        influence = noise[shared] - noise[shared].mean()
        return replace(
            base, value=value, std_error=error, influence=error / standard_error(influence, None) * influence
        )

    assert oe.slope([at(0.0, 1.0), at(1.0, 0.5, 1), at(1.5, 0.1, 2)]) == 2
    assert oe.slope([at(0.0, 1.0), at(1.0, 0.1, 1), at(3.0, 0.1, 2), at(1.0, 0.01, 3)]) == 1  # contradicted: the end
    assert oe.slope([at(0.0, 1.0), at(0.5, 0.9)]) == 0  # sharing their noise, they differ by five errors
    assert oe.slope([at(0.0, 1.0), at(0.5, 0.9, 1)]) == 1
    assert oe.slope([at(0.0, 0.1)]) == 0
    assert oe.slope([at(0.0, 0.1), at(0.1, 0.2, 1)]) == 0  # noisier and more biased is no bargain
    assert oe.slope([at(0.0, 1.0), at(np.nan, np.inf, 1), at(0.0, 0.5, 2)]) == 2
    with pytest.raises(ShapeError):
        oe.slope([])


def test_grids_go_from_no_bias_to_the_most():
    log, target, q, _ = world(1, 1.0)
    clips = oe.tuned_clip(log, target, steps=5)
    assert clips.parameters[0] == np.inf
    assert clips.parameters[-1] == pytest.approx(1.0)
    assert clips.candidates[0].value == oe.ips(log, target).value
    shrunk = oe.tuned_shrinkage(log, target, q)
    assert shrunk.candidates[0].value == pytest.approx(oe.dr(log, target, q).value, rel=1e-12)
    assert shrunk.candidates[-1].value == pytest.approx(oe.dm(log, target, q).value, rel=1e-12)
    assert oe.tuned_switch(log, target, q).candidates[0].value == oe.dr(log, target, q).value
    with pytest.raises(ShapeError):
        oe.tuned_clip(log, target, steps=1)


def test_dr_is_taken_unless_it_is_clearly_noisier_and_near_ties_keep_the_wider_error():
    """Where there was a choice, the error pays for it; without a model there is none."""
    log, target, q, _ = world(2, 0.3, n=4_000)
    snips = oe.snips(log, target)
    clear = oe.dr(log, target, q)
    for factor, name in ((1.19, "dr"), (1.21, "snips"), (0.9, "dr"), (0.5, "dr")):
        given = oe.Estimate("dr", clear.value, factor * snips.std_error, 0.0, 0.0, 1.0, 1.0, clear.influence,
                            clear.contributions, None)  # fmt: skip
        chosen, because = choose([snips, given], 1_000.0, log)
        assert chosen.estimator == name
        wider = {1.19: 1.19, 1.21: 1.0, 0.9: 1.0, 0.5: 0.5}[factor]
        assert chosen.std_error == pytest.approx(CHOICE * wider * snips.std_error)
        assert because.startswith(name)
    assert choose([snips], 1_000.0, log)[0].std_error == snips.std_error


def test_the_interval_follows_the_successes_and_the_skewness():
    log, target, _, _ = world(3, 0.3, n=4_000)
    snips = oe.snips(log, target)
    assert choose([snips], 1_000.0, log)[0].interval == "normal"
    few, because = choose([snips], 99.9, log)
    assert few.interval == "few_successes"
    assert "99.9 weighted successes" in because
    negative = oe.Log(-log.reward, log.action, log.propensity)
    assert choose([oe.snips(negative, target)], 10.0, negative)[0].interval == "normal"
    rare = oe.Log(log.reward * (np.arange(4_000) % 25 == 0), log.action, log.propensity)
    skewed, because = choose([oe.snips(rare, target)], 160.0, rare)
    assert skewed.interval == "skewed"
    assert "skewness" in because


def test_weighted_ips_forgives_a_logger_that_hardly_meets_the_target():
    """Half of the rows come from a logger with weights of up to 50; plain ips is ruined by it."""
    found = []
    for seed in range(200):
        r = np.random.default_rng(seed)
        logger = r.integers(0, 2, 400)
        first = np.where(logger == 0, 0.5, 0.02)
        action = (r.random(400) >= first).astype(int)
        reward = (r.random(400) < np.where(action == 0, 0.4, 0.1)).astype(float)
        log = oe.Log(reward, action, np.where(action == 0, first, 1 - first))
        target = np.tile([1.0, 0.0], (400, 1))
        chances = np.where((action == 0)[:, None], [0.5, 0.02], [0.5, 0.98])
        found.append(
            [
                oe.ips(log, target).value,
                oe.weighted_ips(log, target, logger).value,
                oe.balanced_ips(log, target, chances, logger).value,
            ]
        )
    error = np.array(found) - 0.4
    plain, weighted, balanced = np.sqrt(np.square(error).mean(axis=0))
    assert weighted < 0.5 * plain
    assert balanced < 0.5 * plain
    assert abs(error[:, 2].mean()) < 4 * error[:, 2].std() / np.sqrt(200)


def test_adjusted_lift_is_right_on_average_and_its_interval_covers():
    hits, values = 0, []
    for seed in range(400):
        r = np.random.default_rng(seed)
        before = r.exponential(size=300)
        treated = r.random(300) < 0.3
        outcome = before + 0.5 * treated * before + 0.5 * r.normal(size=300)
        found = oe.lift(outcome, treated, before)
        values.append(found.adjusted.value - 0.5)
        hits += found.adjusted.low <= 0.5 <= found.adjusted.high
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert abs(hits / 400 - 0.95) < 4 * 0.011


def test_the_split_check_looked_at_after_every_arrival_keeps_its_promise():
    """1,000 right splits, looked at 100 times each; a test at .05 that ignores the looks would fail for a third."""
    r = np.random.default_rng(5)
    shares = np.array([0.9, 0.1])
    alarms = 0
    for _ in range(1_000):
        counts = r.multinomial(50, shares, size=100).cumsum(0)
        alarms += oe.sample_ratio(counts, shares)[-1] < 0.05
    assert alarms / 1_000 < 0.05 + 4 * 0.0069

"""New offers start nearer to the truth where attributes tell, and where these do not nothing is lost. Fixed seeds."""

import numpy as np
import pytest

from bandit.basis import INTERCEPT, NUMERICS, SLOPE
from bandit.posterior import Posterior, Rows
from bandit.posterior_start import start

BLOCK = (INTERCEPT, NUMERICS, NUMERICS, SLOPE)
KNOWN, CATEGORIES = 12, 4
ARMS = KNOWN + CATEGORIES + 1  # one new offer of each category, and no offer, which nobody is given here
CATEGORY = np.append(1 + np.arange(ARMS - 1) % CATEGORIES, 0).astype(np.uint64)[:, None]
NEW = slice(KNOWN, ARMS - 1)
CENTRE, SD = -1.5, np.array([0.6, 0.4, 0.4])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def people(r: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack([np.ones(n), r.normal(size=(n, 2))]).astype(np.float32)


def offers(r: np.random.Generator, alike: float) -> np.ndarray:
    """Weights (offers, 3); a share `alike` of their variance belongs to the category."""
    own, common = r.normal(size=(ARMS - 1, 3)), r.normal(size=(CATEGORIES, 3))
    level = np.arange(ARMS - 1) % CATEGORIES
    return np.array([CENTRE, 0, 0]) + (np.sqrt(alike) * common[level] + np.sqrt(1 - alike) * own) * SD


def started(r: np.random.Generator, weight: np.ndarray, kin: np.ndarray | None) -> Posterior:
    """From a log of the known offers, without trees: every prior logit is the same."""
    basis, arm = people(r, 9000), r.integers(0, KNOWN, 9000)
    outcome = (r.random(9000) < sigmoid((basis * weight[arm]).sum(1))).astype(float)
    log = Rows(basis, np.full(9000, CENTRE), arm, outcome)
    return start(log, log.logit, ARMS, centre=CENTRE, block=BLOCK, kin=kin)


def starts(seed: int, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """For the new offers: errors (2, new, 3) of the weights believed without and with relatives, in sds of the world;
    and whether 90 % intervals with relatives hold them (new, 3)."""
    weight = offers(np.random.default_rng(seed), alike)
    truth = weight[NEW] - np.array([CENTRE, 0, 0])
    errors = []
    for kin in (None, CATEGORY):
        state = started(np.random.default_rng(seed + 1000), weight, kin)
        mean, covariance = state.weights()
        errors.append((mean[NEW, :3] - truth) / SD)
    inside = np.abs(mean[NEW, :3] - truth) < 1.6449 * np.sqrt(np.einsum("aii->ai", covariance)[NEW, :3])
    return np.array(errors), inside


def test_where_categories_tell_a_new_offer_starts_nearer_to_the_truth():
    errors, inside = zip(*(starts(seed, 0.8) for seed in range(40)), strict=True)
    square = (np.array(errors) ** 2).mean((2, 3))  # (worlds, 2)
    gain = square[:, 0] - square[:, 1]
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(len(gain))
    assert gain.mean() > 0.4 * square[:, 0].mean()
    held = np.array(inside).mean((1, 2))
    assert abs(held.mean() - 0.9) < 4 * held.std(ddof=1) / np.sqrt(len(held)) + 0.02


def test_where_categories_mean_nothing_little_is_believed_of_them():
    errors, inside = zip(*(starts(seed, 0.0) for seed in range(40, 80)), strict=True)
    square = (np.array(errors) ** 2).mean((2, 3))
    loss = square[:, 1] - square[:, 0]
    assert loss.mean() < 0.02 and loss.max() < 0.4
    moved = np.sqrt(((np.array(errors)[:, 0] - np.array(errors)[:, 1]) ** 2).mean())
    assert moved < 0.1
    held = np.array(inside).mean((1, 2))
    assert abs(held.mean() - 0.9) < 4 * held.std(ddof=1) / np.sqrt(len(held)) + 0.02


def given(seed: int, alike: float, windows: int, against: float = 0.0) -> tuple[float, float]:
    """Shares of customers who get the first new offer, and for whom it is the best; Thompson sampling with relatives.

    `against` is how much its relatives are worse than the others and it is better.
    """
    r = np.random.default_rng(seed)
    weight = offers(r, alike)
    weight[:KNOWN:CATEGORIES, 0] -= against
    weight[KNOWN, 0] += against
    state = started(r, weight, CATEGORY)
    shown = best = 0.0
    for window in range(windows):
        basis = people(r, 400)
        chance = sigmoid(basis @ weight.T)
        beliefs = state.beliefs(basis, np.full((400, ARMS), CENTRE), threads=1)
        sample = beliefs.mean + state.temperature() * beliefs.sd * r.normal(size=beliefs.mean.shape)
        arm = sample[:, :-1].argmax(1)
        outcome = (r.random(400) < chance[np.arange(400), arm]).astype(float)
        state = state.update(Rows(basis, np.full(400, CENTRE), arm, outcome), window=window)
        shown += float((arm == KNOWN).mean()) / windows
        best += float((chance.argmax(1) == KNOWN).mean()) / windows
    return shown, best


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_a_new_offer_is_first_given_to_about_as_many_as_one_of_its_relatives_would_be(alike):
    """It is one of sixteen alike, whatever its category has proved to be."""
    shown = np.array([given(seed, alike, 1)[0] for seed in range(100, 160)])
    assert 0.35 / (ARMS - 1) < shown.mean() < 1.25 / (ARMS - 1)


def test_a_good_offer_of_a_bad_category_is_not_starved():
    """Two logits above its relatives, where these had differed by a quarter of one."""
    shown, best = np.array([given(seed, 0.8, 25, against=1.0) for seed in range(160, 176)]).mean(0)
    assert best > 0.4
    assert shown > 0.6 * best

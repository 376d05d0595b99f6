"""Cross columns: what the customer's columns say of the very offer is what the trees read, wherever they are asked."""

import json
from dataclasses import replace

import numpy as np
import pytest

from allot import DataError, ShapeError
from bandit import Margins, Rows, compare, contributions, fit_basis, fit_margins, prior_fit, prior_trees, start
from bandit import prior as prior_module
from bandit.calibration import sigmoid
from bandit.columns import Columns, Cross
from bandit.grid import Grid
from bandit.prior import Log, Prior, pair_scores
from bandit.prior_fit import FittedPrior, fit_prior
from bandit.ranking import ranked

CATEGORIES, OFFERS = 6, 12  # offer a is of category a % 6; arm 11 has few rows, arm 12 is no offer
SHARES = tuple(f"share_{c}" for c in range(CATEGORIES))
CONTACTS = tuple(f"contacts_{a}" for a in range(OFFERS))
CATEGORY = tuple(a % CATEGORIES for a in range(OFFERS))
TABLE = np.column_stack([np.arange(OFFERS + 1.0), [*CATEGORY, np.nan]])
PLAIN = Columns((*SHARES, "age"), ("offer", "category"), (CATEGORIES + 1, CATEGORIES + 2))
OWN = (
    Cross("own_share", CATEGORY),
    Cross("own_contacts", (*range(CATEGORIES + 1, CATEGORIES + 1 + OFFERS - 1), -1)),  # the last offer has none
)
CROSSED = replace(PLAIN, cross=OWN, sources=CONTACTS)
WIDTH = CATEGORIES + 1 + OFFERS


def log_of(seed: int, rows: int = 8000) -> Log:
    """The response rises with the customer's share of the offer's category and falls with its contacts."""
    r = np.random.default_rng(seed)
    share, age = r.dirichlet(np.full(CATEGORIES, 0.5), rows), r.normal(size=(rows, 1))
    contacts = r.poisson(0.5, (rows, OFFERS)).astype(float)
    arm = r.choice(OFFERS + 1, rows, p=[*(0.98 / OFFERS,) * (OFFERS - 1), 0.01, 0.01 + 0.98 / OFFERS])
    own, met = np.zeros(rows), np.zeros(rows)
    offered = np.flatnonzero(arm < OFFERS)
    own[offered] = share[offered, arm[offered] % CATEGORIES]
    met[offered] = contacts[offered, arm[offered]]
    outcome = (r.random(rows) < sigmoid(-2.0 + 2.5 * own - 0.7 * met)).astype(float)
    who = np.concatenate([share, age, contacts], axis=1)
    keys = r.integers(0, 2**63, rows).astype(np.uint64)
    return Log(who, arm, outcome, np.arange(rows) / 100.0, keys)


@pytest.fixture(scope="module")
def log() -> Log:
    return log_of(1)


@pytest.fixture(scope="module")
def fitted(log: Log) -> FittedPrior:
    return fit_prior(log, TABLE, CROSSED, seed=3, threads=1)


@pytest.fixture(scope="module")
def plain(log: Log) -> FittedPrior:
    return fit_prior(replace(log, customers=log.customers[:, : CATEGORIES + 1]), TABLE, PLAIN, seed=3, threads=1)


def expanded(prior: Prior, customer: np.ndarray, arm: int) -> np.ndarray:
    """One pair as the trees see it, by the words of the definition."""
    own = [np.nan if arm >= OFFERS or c.own[arm] < 0 else customer[c.own[arm]] for c in prior.columns.cross]
    return np.array([*customer[: len(prior.columns.customer)], *prior.offers[arm], *own])[None]


def test_a_logit_is_that_of_the_pair_with_its_own_columns(log, fitted):
    prior = fitted.prior
    logits = prior.logits(log.customers[:12], threads=1)
    assert not prior.warm[OFFERS - 1] and prior.warm[OFFERS]
    for i in range(12):
        for arm in np.flatnonzero(prior.warm).tolist():
            raw = prior.booster().predict(expanded(prior, log.customers[i], arm), raw_score=True)[0]
            assert abs(logits[i, arm] - (prior.intercept + prior.slope * raw)) < 1e-6


def test_pairs_and_rows_are_read_alike_and_what_is_not_known_is_missing(log):
    arms, who = np.arange(OFFERS + 3), log.customers[:20]
    pairs = CROSSED.of_pairs(who, arms)
    for i, a in np.ndindex(20, len(arms)):
        row = CROSSED.of_rows(who[i : i + 1], arms[a : a + 1])[0]
        assert np.array_equal(pairs[i, a], row, equal_nan=True)
    assert np.array_equal(pairs[:, 4, 0], who[:, 4])
    assert np.isnan(pairs[:, OFFERS - 1]).tolist() == [[False, True]] * 20
    assert np.isnan(pairs[:, OFFERS:]).all()
    assert PLAIN.of_pairs(who, arms).shape == (20, len(arms), 0)


def test_cross_columns_pay_where_liking_is_of_the_offers_category(log, fitted, plain):
    fresh = log_of(2, 30_000)
    fresh = fresh.some(fresh.arm < OFFERS - 1)
    rows = np.arange(len(fresh.arm))
    mine = fitted.prior.logits(fresh.customers)
    theirs = plain.prior.logits(fresh.customers[:, : CATEGORIES + 1])
    shown = (logits[rows, fresh.arm] for logits in (mine, theirs))
    found = compare(*shown, fresh.outcome, fresh.customer_key, np.ones(len(rows)))
    assert found.difference < -4 * found.std_error < 0
    took = fresh.outcome > 0
    ndcg = [
        ranked(logits[took, : OFFERS - 1], fresh.arm[took], rows[took], rows[took], (1, 3)) for logits in (mine, theirs)
    ]
    assert all(a.ndcg > b.ndcg + 0.03 for a, b in zip(*ndcg, strict=True))
    assert fitted.report.log_loss < plain.report.log_loss
    assert fitted.report.gain["own_share"] == max(fitted.report.gain.values())
    assert set(fitted.report.gain) == set(CROSSED.names)


def test_the_log_is_served_as_a_customer_would_be(log, fitted):
    prior, rows = fitted.prior, np.arange(400)
    data = prior_trees.training_data(log, TABLE, CROSSED, seed=3, threads=1)
    shown, _ = prior_fit._as_served(data, prior, prior.booster(), rows)
    np.testing.assert_allclose(shown, prior.logits(log.customers[rows])[rows, log.arm[rows]], atol=1e-5)


def test_pieces_threads_and_newcomers_change_no_bit(log, fitted, monkeypatch):
    whole = fitted.prior.logits(log.customers[:3000], threads=1)
    wide = fitted.prior.widened(2).logits(log.customers[:3000], threads=1)
    assert np.array_equal(wide[:, [*range(OFFERS), OFFERS + 2]], whole)
    monkeypatch.setattr(prior_module, "_PAIRS_AT_ONCE", 900)
    assert fitted.prior.logits(log.customers[:3000], threads=2).tobytes() == whole.tobytes()


def test_files_bring_back_the_same_bits(log, fitted):
    files = fitted.prior.to_files()
    again = Prior.from_files(files)
    assert again.columns == CROSSED and again.to_files() == files
    assert again.logits(log.customers[:100]).tobytes() == fitted.prior.logits(log.customers[:100]).tobytes()


def test_a_model_without_cross_columns_is_written_and_read_as_before_there_were_any(plain):
    files = plain.prior.to_files()
    table = json.loads(files["prior.json"])
    assert table["format"] == 1 and not {"cross", "sources"} & table.keys()
    assert Prior.from_files(files).columns == PLAIN
    with pytest.raises(DataError, match="Format 3"):
        Prior.from_files({**files, "prior.json": files["prior.json"].replace(b'"format": 1', b'"format": 3')})


def test_terms_still_add_up_to_the_posterior_mean(log, fitted):
    prior, some = fitted.prior, log.customers[:40]
    basis = fit_basis(log.customers, CROSSED, levels={})
    rows = Rows(basis(log.customers), fitted.shown, log.arm, log.outcome)
    state = start(rows, fitted.as_cold, OFFERS + 1, centre=prior.mean_logit, block=basis.blocks)
    means = state.beliefs(basis(some), prior.logits(some)).mean
    for arm in (0, 5, OFFERS - 1, OFFERS):
        found = contributions(prior, state, some, basis(some), np.full(40, arm))
        assert np.abs(found.logit - means[:, arm]).max() < 2e-5
        assert found.columns.shape == (40, len(CROSSED.names))
    assert np.abs(found.columns[:, CROSSED.names.index("own_contacts")]).max() > 0  # no offer's: it has none


def test_a_direction_is_kept_in_a_cross_column(log):
    names = Columns(("age",), ("offer",), (1,), (Cross("own_contacts", tuple(range(1, OFFERS + 1))),), CONTACTS)
    noisy = replace(log, customers=log.customers[:, CATEGORIES:])
    fitted = fit_prior(noisy, TABLE[:, :1], names, seed=3, threads=1, monotone={"own_contacts": -1})
    who = np.repeat(noisy.customers[:40], 6, axis=0)
    who[:, 1 + 2] = np.tile(np.arange(6.0), 40)
    raw = fitted.prior.logits(who).reshape(40, 6, OFFERS + 1)
    assert np.diff(raw[:, :, 2], axis=1).max() <= 1e-6
    assert np.ptp(raw[:, :, 2], axis=1).max() > 0.3
    assert np.ptp(raw[:, :, :2], axis=1).max() == 0  # other offers' contacts are not read
    with pytest.raises(ShapeError, match="contacts_3"):
        fit_prior(noisy, TABLE[:, :1], names, seed=3, threads=1, monotone={"contacts_3": -1})


def test_amounts_are_learnt_from_cross_columns_too(log):
    paid = 10.0 * np.exp(log.customers[np.arange(len(log.arm)), log.arm % CATEGORIES] - 0.5)
    rich = replace(log, outcome=np.ones(len(log.arm)))
    made = fit_margins(rich, TABLE, CROSSED, paid, seed=1, threads=1)
    relative = made.relative(log.customers[:500], threads=1)
    assert made.slope > 0.8
    assert np.corrcoef(relative[:, 3], log.customers[:500, 3])[0, 1] > 0.9
    again = Margins.from_json(made.to_json(), TABLE, CROSSED)
    assert again.relative(log.customers[:500], threads=1).tobytes() == relative.tobytes()


def test_only_scored_arms_are_read(log, fitted, monkeypatch):
    seen: list[tuple[int, ...]] = []
    scores = Grid.logits
    monkeypatch.setattr(Grid, "logits", lambda self, a, b, threads: (seen.append(b.shape), scores(self, a, b))[1])
    fitted.prior.logits(log.customers[:10])
    assert seen == [(10, OFFERS, 2)]  # all but the cold one


def test_columns_that_do_not_fit_are_refused(log, fitted):
    with pytest.raises(ShapeError, match="customer column"):
        replace(CROSSED, cross=(Cross("own", (WIDTH,) * OFFERS),))
    with pytest.raises(ShapeError, match="customer column"):
        replace(CROSSED, cross=(*OWN, Cross("own", (0,))))
    with pytest.raises(ShapeError, match="one name"):
        replace(CROSSED, sources=("age", *CONTACTS[1:]))
    with pytest.raises(ShapeError, match="each trained offer"):
        replace(fitted.prior, columns=replace(CROSSED, cross=(Cross("own", (0, 1)),)))
    with pytest.raises(ShapeError, match=f"{WIDTH} columns"):
        fitted.prior.logits(log.customers[:, :-1])
    scores = pair_scores(fitted.prior.text, log.customers[:3], TABLE, CROSSED, arms=np.array([2, OFFERS]), threads=1)
    assert scores.shape == (3, 2)

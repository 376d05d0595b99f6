"""The factorised scorer: the same bits in any pieces, trained models of every kind, and what is outside its domain."""

import lightgbm
import numpy as np
import pytest

from allot import DataError, ShapeError
from bandit import compile_grid, grid
from bandit.columns import Columns
from bandit.grid_lanes import by_pattern
from bandit.prior import pair_scores

OFFERS = np.column_stack([np.arange(6.0), [0.1, np.nan, -0.4, 0.1, 2.0, 0.0]])


def rows_of(seed: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Customers (rows, 4), the first column a category; a feature of each pair (rows, 6, 1); who was shown what."""
    r = np.random.default_rng(seed)
    customers = np.column_stack([r.integers(0, 30, rows), r.normal(size=(rows, 3))])
    customers[:, 2] = np.where(r.random(rows) < 0.4, 0.0, customers[:, 2])
    customers[r.random(rows) < 0.2, 3] = np.nan
    return customers, r.normal(size=(rows, 6, 1)), r.integers(0, 6, rows)


def trained(rows: int = 3000, trees: int = 15, weight: float = 1.0, **parameters) -> lightgbm.Booster:
    customers, cross, shown = rows_of(0, rows)
    r = np.random.default_rng(1)
    z = customers[:, 1] * (shown - 2) / 2 + (customers[:, 0] % 6 == shown) + cross[np.arange(rows), shown, 0] - 0.5
    y = (r.random(rows) < 1 / (1 + np.exp(-z))) * weight
    matrix = np.concatenate([customers, OFFERS[shown], cross[np.arange(rows), shown]], 1)
    options = {"objective": "binary", "num_leaves": 12, "verbosity": -1, "num_threads": 1, "max_cat_to_onehot": 1}
    options |= parameters
    data = lightgbm.Dataset(matrix, y, categorical_feature=[0, 4], params=options)
    return lightgbm.train(options, data, trees)


def referee(booster: lightgbm.Booster, customers: np.ndarray, cross: np.ndarray, **options) -> np.ndarray:
    pairs = [
        np.concatenate([customers, np.broadcast_to(offer, (len(customers), 2)), cross[:, a]], 1)
        for a, offer in enumerate(OFFERS)
    ]
    return np.column_stack([booster.predict(rows, raw_score=True, num_threads=1, **options) for rows in pairs])


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    return trained()


KINDS = {
    "plain": {},
    "one category against the rest": {"max_cat_to_onehot": 50},
    "zero is missing": {"zero_as_missing": True},
    "nothing is missing": {"use_missing": False},
    "random forest": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6, "trees": 10},
    "dart": {"boosting": "dart", "drop_rate": 0.5},
    "more thresholds than a byte counts": {
        "max_bin": 4000,
        "min_data_in_leaf": 2,
        "trees": 60,
        "num_leaves": 32,
        "rows": 6000,
    },
    "goss": {"data_sample_strategy": "goss"},
    "extra trees": {"extra_trees": True},
    "one leaf": {"min_gain_to_split": 1e9},
}


@pytest.mark.parametrize("kind", KINDS)
def test_trained_models_score_as_in_lightgbm(kind):
    model = trained(**KINDS[kind])
    customers, cross, _ = rows_of(2, 300)
    made = compile_grid(model, OFFERS, 4, 1)
    assert made.outside == ""
    assert np.abs(made.logits(customers, cross) - referee(model, customers, cross)).max() < 1e-6
    if kind == "more thresholds than a byte counts":
        columns = made._plan.customer.column
        assert len(made._plan.customer.start) > len(columns)
        assert np.diff(made._plan.customer.rows).max() > 1


def test_pieces_threads_and_order_change_no_bit(booster, monkeypatch):
    customers, cross, _ = rows_of(3, 1100)
    made = compile_grid(booster, OFFERS, 4, 1)
    whole = made.logits(customers, cross)
    monkeypatch.setattr(grid, "_CUSTOMERS_AT_ONCE", 77)
    assert made.logits(customers, cross, threads=2).tobytes() == whole.tobytes()
    order = np.random.default_rng(4).permutation(len(customers))
    assert np.array_equal(made.logits(customers[order], cross[order]), whole[order])
    for i in (0, 255, 256, 1099):
        assert np.array_equal(made.logits(customers[i : i + 1], cross[i : i + 1])[0], whole[i])


def test_a_pair_does_not_depend_on_the_other_offers(booster):
    customers, cross, _ = rows_of(5, 50)
    whole = compile_grid(booster, OFFERS, 4, 1).logits(customers, cross)
    order = np.array([4, 0, 3, 3])
    assert np.array_equal(
        compile_grid(booster, OFFERS[order], 4, 1).logits(customers, cross[:, order]), whole[:, order]
    )


def test_any_memory_layout_gives_the_same_bits(booster):
    customers, cross, _ = rows_of(6, 40)
    made = compile_grid(booster, OFFERS, 4, 1)
    whole = made.logits(customers, cross)
    fixed = customers.copy()
    fixed.setflags(write=False)
    assert np.array_equal(made.logits(fixed, np.asfortranarray(cross)), whole)
    assert np.array_equal(made.logits(np.repeat(customers, 2, 1)[:, ::2], cross), whole)


def test_iterations_are_those_of_predict(booster):
    customers, cross, _ = rows_of(7, 40)
    for which in ({"num_iteration": 5}, {"start_iteration": 4, "num_iteration": 6}, {"start_iteration": 9}):
        part = compile_grid(booster, OFFERS, 4, 1, **which).logits(customers, cross)
        assert np.abs(part - referee(booster, customers, cross, **which)).max() < 1e-6
        of_text = compile_grid(booster.model_to_string(), OFFERS, 4, 1, **which).logits(customers, cross)
        assert np.array_equal(of_text, part)
    stopped = lightgbm.Booster(model_str=booster.model_to_string())
    stopped.best_iteration = 3
    assert (
        np.abs(compile_grid(stopped, OFFERS, 4, 1).logits(customers, cross) - referee(stopped, customers, cross)).max()
        < 1e-6
    )


def test_sums_that_outgrow_32_bits_are_emptied_in_time():
    model = trained(objective="regression", learning_rate=0.9, lambda_l2=0, weight=4.0, trees=200, num_leaves=20)
    customers, cross, _ = rows_of(8, 200)
    made = compile_grid(model, OFFERS, 4, 1)
    assert made._plan.flush.sum() > 3
    assert np.abs(made.logits(customers, cross) - referee(model, customers, cross)).max() < 1e-6


OUTSIDE = {
    "more than 32 leaves": {"num_leaves": 60, "min_data_in_leaf": 2},
    "linear": {"linear_tree": True, "objective": "regression"},
    "too far apart": {"objective": "regression", "weight": 1e5},
}


@pytest.mark.parametrize("why", OUTSIDE)
def test_outside_the_domain_lightgbm_itself_answers(why, monkeypatch):
    model = trained(**OUTSIDE[why])
    customers, cross, _ = rows_of(9, 50)
    made = compile_grid(model, OFFERS, 4, 1)
    assert why in made.outside
    expected = referee(model, customers, cross).astype(np.float32)
    monkeypatch.setattr(grid, "_PAIRS_AT_ONCE", 33)
    assert np.array_equal(made.logits(customers, cross, threads=2), expected)
    part = compile_grid(model, OFFERS, 4, 1, start_iteration=2, num_iteration=3)
    expected = referee(model, customers, cross, start_iteration=2, num_iteration=3).astype(np.float32)
    assert np.array_equal(part.logits(customers, cross), expected)


def test_a_model_text_is_a_model(booster):
    customers, cross, _ = rows_of(10, 20)
    text = compile_grid(booster.model_to_string(), OFFERS, 4, 1).logits(customers, cross)
    assert np.array_equal(text, compile_grid(booster, OFFERS, 4, 1).logits(customers, cross))


def test_nobody_and_nothing_to_score(booster):
    made = compile_grid(booster, OFFERS, 4, 1)
    assert made.logits(np.empty((0, 4)), np.empty((0, 6, 1))).shape == (0, 6)
    none = compile_grid(booster, OFFERS[:0], 4, 1)
    assert none.logits(np.zeros((3, 4)), np.empty((3, 0, 1))).shape == (3, 0)


def test_columns_that_do_not_fit_are_refused(booster):
    with pytest.raises(ShapeError, match="not the 7 of the model"):
        compile_grid(booster, OFFERS, 5, 1)
    with pytest.raises(ShapeError, match="not the 7 of the model"):
        compile_grid(booster, OFFERS, 6, -1)
    made = compile_grid(booster, OFFERS, 4, 1)
    for shapeless in (np.zeros(4), np.array(1.0)):
        with pytest.raises(ShapeError, match="4 columns"):
            made.logits(shapeless, np.zeros((4, 6, 1)))
    with pytest.raises(ShapeError, match="4 columns"):
        made.logits(np.zeros((3, 3)), np.zeros((3, 6, 1)))
    with pytest.raises(ShapeError, match="Cross"):
        made.logits(np.zeros((3, 4)))


@pytest.mark.parametrize("which", [{}, {"num_iteration": 1}])
def test_a_text_cut_short_is_refused(booster, which):
    text = booster.model_to_string()
    for end in (text.index("Tree=3"), text.index("end of trees"), 5, 0):
        with pytest.raises(DataError, match="not a whole"):
            compile_grid(text[:end], OFFERS, 4, 1, **which)


def test_the_catalogue_may_be_of_any_number_type():
    model = lightgbm.train(
        {"objective": "binary", "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(np.random.default_rng(0).normal(size=(400, 2)), np.arange(400) % 2),
        3,
    )
    offers, customers = np.array([[0.5], [-1.0], [2.0]]), np.array([[0.1], [0.7]])
    columns = Columns(("x",), ("z",), ())
    whole = pair_scores(model, customers, offers, columns, threads=1)
    for kind in (np.float32, np.float16):
        assert np.array_equal(pair_scores(model, customers, offers.astype(kind), columns, threads=1), whole)


def test_several_classes_have_no_one_score():
    customers, _, _ = rows_of(11, 300)
    data = lightgbm.Dataset(customers, np.arange(300) % 3)
    model = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbosity": -1, "num_threads": 1}, data, 2)
    with pytest.raises(ShapeError, match="several classes"):
        compile_grid(model, np.empty((2, 0)), 4)


def test_every_lowest_bit_has_a_place_of_its_own():
    assert sorted(by_pattern(np.arange(1, 33, dtype=np.int32)).tolist()) == list(range(1, 33))

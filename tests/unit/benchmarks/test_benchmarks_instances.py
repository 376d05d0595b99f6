"""Made-up problems are what the figures say they are: so many limits, the arrays' layout, the same every time."""

import re
from pathlib import Path

import numpy as np
import pytest

from bandit import mean_success
from benchmarks.instances import CELLS, make_beliefs, make_problem
from portfolio import Limit, Share

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("limits", [0, 12, 31, 200, 400])
def test_there_are_as_many_limits_as_asked_for(limits: int) -> None:
    stated = make_problem(2_000, limits=limits).limits
    assert len({limit.name for limit in stated}) == len(stated) == limits


def test_the_usual_limits_are_of_every_kind() -> None:
    stated = make_problem(2_000).limits
    shares = [x for x in stated if isinstance(x, Share)]
    plain = [x for x in stated if isinstance(x, Limit)]
    assert len(shares) == 2
    assert {x.measure for x in plain} == {"count", "cost"}
    assert sum(x.minimum is not None for x in plain) == 5
    assert any(x.cells is not None and x.offers is not None for x in plain)


def test_more_limits_than_there_are_is_said() -> None:
    with pytest.raises(ValueError, match="more than"):
        make_problem(100, limits=5_000)


def test_arrays_are_contiguous_single_precision_and_cells_unsorted() -> None:
    made = make_problem(70_000)
    for array in (made.value, made.cost):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert set(np.unique(made.cell)) == set(range(CELLS))
    assert (np.diff(made.cell) < 0).any()
    assert not made.value[~made.eligible].any()


def test_the_same_seed_gives_the_same_customers_and_another_seed_others() -> None:
    one, same, other = make_problem(500), make_problem(500), make_problem(500, seed=1)
    np.testing.assert_array_equal(one.value, same.value)
    assert one.limits == same.limits
    assert not np.array_equal(one.value, other.value)


def test_beliefs_come_with_their_posterior_means() -> None:
    made = make_beliefs(400)
    mean = mean_success(made.beliefs.mean, made.beliefs.sd) * made.margin
    np.testing.assert_allclose(made.problem.value[made.problem.eligible], mean[made.problem.eligible], rtol=1e-5)


def test_the_benchmarks_lock_is_hashed_and_names_no_address() -> None:
    text = (ROOT / "requirements/bench.txt").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    packages = re.split(r"^(?=[a-zA-Z])", text, flags=re.MULTILINE)[1:]
    assert any(package.startswith("ortools==") for package in packages)
    assert all("--hash=sha256:" in package for package in packages)
    assert not any(package.startswith("highspy==") for package in packages)

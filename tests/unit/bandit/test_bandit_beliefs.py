"""Lines: beliefs of one customer, of a few and of a crowd are the same numbers, whatever the columns."""

import numpy as np
import pytest

from allot import ShapeError
from bandit.beliefs import Lines, factor_of_covariance, factor_of_precision

ARMS = 3
WIDTHS = (1, 2, 4, 5, 6, 31, 32, 33, 34, 36, 64, 65, 80)  # around fours of rows and strips of columns


def covariances(d: int) -> np.ndarray:
    root = np.random.default_rng(d).normal(size=(ARMS, d + 3, d))
    return np.linalg.inv(0.1 * np.eye(d) + np.einsum("ari,arj->aij", root, root))


def lines(d: int) -> Lines:
    weight = np.random.default_rng(d).normal(size=(ARMS, d)).astype(np.float32)
    return Lines(weight, factor_of_covariance(covariances(d)), -2.0)


def query(d: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(100 + d)
    return r.normal(size=(n, d - 1)).astype(np.float32), r.normal(-2.0, 1.0, (n, ARMS)).astype(np.float32)


@pytest.mark.parametrize("d", WIDTHS)
def test_company_changes_no_bit_whatever_the_columns(d):
    known = lines(d)
    basis, logit = query(d, 131)
    crowd = known.beliefs(basis, logit)
    for size in (1, 2, 4, 5, 9):
        for first in (0, 70, 131 - size):
            rows = slice(first, first + size)
            found = known.beliefs(basis[rows], logit[rows])
            assert found.mean.tobytes() == crowd.mean[rows].tobytes()
            assert found.sd.tobytes() == crowd.sd[rows].tobytes()


@pytest.mark.parametrize("d", WIDTHS)
@pytest.mark.parametrize("size", [1, 130])
def test_beliefs_are_those_of_linear_forms_in_gaussian_weights(d, size):
    covariance, known = covariances(d), lines(d)
    basis, logit = query(d, size)
    found = known.beliefs(basis, logit)
    for arm in range(ARMS):
        psi = np.column_stack([basis, logit[:, arm] + 2.0]).astype(float)
        np.testing.assert_allclose(found.mean[:, arm], logit[:, arm] + psi @ known.weight[arm], atol=1e-4)
        sd = np.sqrt(np.einsum("ni,ij,nj->n", psi, covariance[arm], psi))
        np.testing.assert_allclose(found.sd[:, arm], sd, rtol=1e-4)


def test_a_precision_and_its_covariance_give_one_sd():
    covariance = covariances(40)
    basis, logit = query(40, 7)
    weight = np.zeros((ARMS, 40), np.float32)
    one = Lines(weight, factor_of_covariance(covariance), 0.0).beliefs(basis, logit)
    other = Lines(weight, factor_of_precision(np.linalg.inv(covariance)), 0.0).beliefs(basis, logit)
    np.testing.assert_allclose(one.sd, other.sd, rtol=1e-4)


def test_nobody_has_no_beliefs_and_wrong_columns_are_refused():
    basis, logit = query(5, 6)
    assert lines(5).beliefs(basis[:0], logit[:0]).sd.shape == (0, ARMS)
    for wrong in ((basis[:, 1:], logit), (basis, logit[:, 1:]), (basis[1:], logit), (basis[:0, 1:], logit[:0])):
        with pytest.raises(ShapeError, match="do not fit 3 arms, 4 columns"):
            lines(5).beliefs(*wrong)

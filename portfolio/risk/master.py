"""The best mixture of the plans found so far under the risk limit, and the direction in which risk is to be charged.

Dantzig and Wolfe's master problem (1960) with a second-order cone: a mixture of plans is exposed to the mixture of
their exposures, so the program has one variable per plan, however many customers there are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allot import ConvergenceError
from portfolio.risk.terms import Floats, Risk

_SMALL = 1e-7  # shares below this are noise of the interior-point method


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A whole plan inside the limits: choice (n, most), value less penalties, exposures (k, d), sd."""

    choice: NDArray[np.int64]
    value: float
    exposure: Floats
    sd: float


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """The best mixture of columns.

    Args:
        share: (c,) of each column, summing to 1.
        value: of the mixture less the priced risk: what is maximised.
        sd: of the mixture.
        direction: (k, d) y, as long as the price of risk: y'V^(1/2)E is what the exposures E cost at the margin.
    """

    share: Floats
    value: float
    sd: float
    direction: Floats


def best_mixture(columns: list[Column], risk: Risk) -> Mixture:
    """Maximise value (less price * sd) over mixtures, sd within the limit.

    Args:
        columns: one of them, or a mixture, within the limit.

    Raises:
        ConvergenceError: Clarabel gave up.
    """
    import cvxpy as cp

    worth = np.array([c.value for c in columns])
    exposure = np.stack([c.exposure for c in columns])
    rooted = risk.rooted(exposure).reshape(len(columns), -1)
    if not rooted.any():  # nothing is at risk
        best = int(worth.argmax())
        return Mixture(np.eye(len(worth))[best], float(worth[best]), 0.0, np.zeros(risk.shape))
    axes, triangle = np.linalg.qr(rooted.T)  # |triangle θ| is the mixture's sd
    scale = float(np.abs(worth - worth.max()).max()) or 1.0
    spread = float(np.abs(triangle).max()) or 1.0
    share = cp.Variable(len(columns), nonneg=True)
    load = cp.Variable(len(triangle))
    exposed = load == (triangle / spread) @ share
    constraints = [cp.sum(share) == 1, exposed]
    objective = ((worth - worth.max()) / scale) @ share
    if risk.maximum_sd is not None:
        constraints.append(cp.norm(load) <= risk.maximum_sd / spread)
    elif risk.price:
        objective -= risk.price * spread / scale * cp.norm(load)
    problem = cp.Problem(cp.Maximize(objective), constraints)
    problem.solve(solver=cp.CLARABEL)
    if problem.status not in ("optimal", "optimal_inaccurate") or share.value is None:
        raise ConvergenceError(f"the mixture of plans ended {problem.status!r}.", where="risk")
    theta = np.where(share.value > _SMALL, share.value, 0.0)
    theta /= theta.sum()
    mixed = np.tensordot(theta, exposure, 1)
    sd = risk.deviation(mixed)
    dual = -np.asarray(exposed.dual_value).reshape(-1) * scale / spread
    direction = (axes @ dual).reshape(risk.shape)
    return Mixture(theta, risk.worth(float(theta @ worth), sd), sd, direction)

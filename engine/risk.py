"""From a trained posterior to what a portfolio needs to know of its risk: how the errors of all values hang together.

An offer's weights are known only up to their posterior covariance, and every customer's value leans on them. The slope
with which it does is the mean derivative E σ'(m + s z): of all linear approximations the one with the least error over
the posterior (Stein's lemma).
"""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from allot import CampaignError
from bandit import SUCCESSES, Beliefs, Kind, Learnt
from engine.campaign import Campaign
from engine.computed import Setup
from engine.models import load_models, taking_in
from engine.objective import rate_of
from engine.rows import customer_features
from portfolio import Risk
from warehouse import attach, connect, read_version

if TYPE_CHECKING:
    from engine.stamp import Stamp
    from warehouse import Store, Workspace

Floats: TypeAlias = NDArray[np.float64]

_STEP = 0.01  # of a logit; the central difference is then right to 1e-5 of the derivative


def mean_slope(mean: NDArray[np.floating], sd: NDArray[np.floating], kind: Kind = SUCCESSES) -> Floats:
    """E σ'(mean + sd z), z ~ N(0, 1): how fast the expected chance of success grows with the logit, (n, k).

    An amount grows with itself: 1.
    """
    centre, spread = mean.astype(np.float64), sd.astype(np.float64)
    grown: Floats = kind.expected(centre + _STEP, spread) - kind.expected(centre - _STEP, spread)
    return grown / (2 * _STEP)


def risk_of(
    posterior: Learnt,
    arms: NDArray[np.integer],
    seen: tuple[NDArray[np.float32], NDArray[np.floating]],
    beliefs: Beliefs,
    earned: NDArray[np.floating],
    *,
    kind: Kind = SUCCESSES,
    maximum_sd: float | None = None,
    price: float | None = None,
) -> Risk:
    """The risk of n customers' values under k offers.

    Args:
        posterior: K arms whose weights have d components.
        arms: (k,) each offer's arm.
        seen: the customers' basis (n, d - 1) and prior logits (n, K).
        beliefs: (n, k) of the offers.
        earned: (k,) or (n, k) what a success, or a unit of the amount, adds to the objective, currency units.
        kind: of outcomes that beliefs are about.
        maximum_sd, price: see `portfolio.Risk`; exactly one.
    """
    basis, logit = seen
    slope = mean_slope(beliefs.mean, beliefs.sd, kind)
    return Risk(
        sensitivity=(slope * earned).astype(np.float32),
        covariance=posterior.weights()[1][arms],
        features=posterior.seen(basis),
        pair_feature=(logit[:, arms] - posterior.centre).astype(np.float32),
        maximum_sd=maximum_sd,
        price=price,
    )


def campaign_risk(
    workspace: "Workspace",
    store: "Store",
    campaign: Campaign,
    stamp: "Stamp",
    setup: Setup,
    *,
    maximum_sd: float | None = None,
    price: float | None = None,
) -> Risk:
    """The risk of a campaign's whole audience, in the order of `setup`.

    Args:
        workspace, store, campaign, stamp, setup: as the campaign was set up.
        maximum_sd, price: see `portfolio.Risk`; exactly one.

    Raises:
        CampaignError: the objective is `incremental`: all offers then also lean on the estimate without any offer.
    """
    if campaign.objective == "incremental":
        raise CampaignError(
            "objective 'incremental' can not be limited in risk: all offers' values share one more estimate.",
            where=campaign.name,
            remedy="Use objective 'profit', 'value' or 'conversions', or no risk limit.",
        )
    people, offers = setup.audience.people, setup.audience.offers
    foundation, posterior = taking_in(load_models(workspace, store, stamp.posterior), offers)
    with connect(workspace, user_sql=True) as connection:
        attach(connection, workspace, read_version(workspace, stamp.data))
        table = customer_features(connection, people.customer_id, campaign.as_of, people.memory, foundation.features)
    scored = foundation.scored(table)
    seen = scored.basis, scored.logits
    k = offers.num_rows
    beliefs = Beliefs(setup.beliefs.mean[:, :k], setup.beliefs.sd[:, :k])
    arms = foundation.arms(offers)[:k]
    earned, _ = rate_of(campaign.objective, setup.terms)
    kind = setup.terms.kind
    return risk_of(posterior, arms, seen, beliefs, earned, kind=kind, maximum_sd=maximum_sd, price=price)


def some_risk(risk: Risk, rows: NDArray[np.bool_]) -> Risk:
    """The risk of some customers' values."""
    features = None if risk.features is None else risk.features[rows]
    pair = None if risk.pair_feature is None else risk.pair_feature[rows]
    return Risk(risk.sensitivity[rows], risk.covariance, features, pair, risk.maximum_sd, risk.price)

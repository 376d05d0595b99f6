"""What does a campaign add? Those held out are the control; what will be compared is registered before the start."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import CampaignError, DataError, NotFoundError
from engine.audience import addressed
from engine.beforehand import covariate_names, known_before, past_rewards
from engine.campaign import Campaign
from engine.rows import column_keys, released
from offline_eval import AnyLook, Estimate, customers_needed, detectable, interval, lift, sample_ratio
from warehouse import (
    AuditEntry,
    Store,
    StoredAllocation,
    Workspace,
    attach,
    connect,
    current_version,
    history,
    open_store,
    outcomes,
    read_version,
)

Floats: TypeAlias = NDArray[np.float64]

LEVEL: Final = 0.95
FEWEST: Final = 50  # decisions of each group that earned something; below, intervals do not hold
BROKEN: Final = 0.01  # chance value of the split, at any look
ROWS_A_COVARIATE: Final = 20
UNEVEN: Final = 4.0  # standard errors between the groups' means of a covariate
MOST_LOOKS: Final = 40  # of which the answer tells; the first and the last are among them
_REGISTERED: Final = "register experiment"


def register(
    workspace: Workspace, campaign: Campaign, *, effect: float | None, power: float, now: datetime
) -> dict[str, Any]:
    """Write down what an experiment will compare, how, and what it can find, before anybody is addressed.

    The same plan again keeps its first time. A plan of the same name may be replaced until the first allocation.

    Args:
        workspace: with customers and, for the spread of rewards, past exposures.
        campaign: its audience, holdout and outcome_days; allocations of this name are the experiment.
        effect: the lift per decision that matters; the answer says how many decisions find it. None = not said.
        power: the chance with which the smallest detectable lift is found.
        now: the time of registration.

    Raises:
        CampaignError: nobody is held out, silence is ignored, or the campaign has been allocated already.
        DataError: there are no past rewards to tell their spread from.
        RuleError: the audience's rule is wrong.
    """
    share = campaign.exploration.holdout
    if share <= 0:
        remedy = "Set exploration.holdout, such as 0.1."
        raise CampaignError(
            "nobody is held out, so there is nothing to compare with.", where=campaign.name, remedy=remedy
        )
    if campaign.no_feedback != "failure":
        what = "decisions without feedback would be left out, and the two groups may not answer alike."
        raise CampaignError(what, where=campaign.name, remedy='Set no_feedback = "failure".')
    with open_store(workspace) as store:
        if store.allocations(campaign=campaign.name, status="released"):
            what = "has been allocated already; a plan must come before that."
            raise CampaignError(what, where=campaign.name, remedy="Register the campaign under another name.")
        version = current_version(workspace)
        with connect(workspace, user_sql=True) as connection:
            attach(connection, workspace, version)
            people = addressed(connection, campaign, version)
        rewards = past_rewards(workspace, campaign.outcome_days, campaign.as_of)
        n, sd = len(people), float(rewards.std(ddof=1))
        plan = {
            "campaign": campaign.name,
            "measure": "reward per decision",
            "audience": campaign.audience,
            "holdout": share,
            "outcome_days": campaign.outcome_days,
            "level": LEVEL,
            "power": power,
            "covariates": covariate_names(workspace),
            "customers": n,
            "sd": sd,
            "detectable": detectable((1 - share) * n, share * n, sd, power=power),
            "effect": effect,
            "needed": None if effect is None else customers_needed(effect, sd, share_treated=1 - share, power=power),
        }
        known = [x for x in _plans(store, campaign.name) if x["digest"] == _digest(plan)]
        if known:
            return known[0]
        detail = {"plan": plan, "digest": _digest(plan)}
        store.audit(AuditEntry(now, "allot", _REGISTERED, _subject(campaign.name), detail))
    return {**detail, "registered_at": now.isoformat()}


@dataclass(frozen=True, slots=True)
class _Rows:
    """The r decisions of an experiment that are old enough, in the order of their allocations.

    look: (r,) which allocation. customer: (r,) integers. treated: (r,) bool. reward: (r,). past: (r, c) covariates.
    """

    look: NDArray[np.int64]
    customer: NDArray[np.int64]
    treated: NDArray[np.bool_]
    reward: Floats
    past: Floats
    waiting: int

    def up_to(self, look: int) -> "_Rows":
        """What was there after that many allocations, counted from 0."""
        then = self.look <= look
        arrays = {name: getattr(self, name)[then] for name in ("look", "customer", "treated", "reward", "past")}
        return replace(self, **arrays)


def read(workspace: Workspace, name: str, *, as_of: datetime) -> dict[str, Any]:
    """What the allocations of a registered experiment have added so far; may be read as often as one likes.

    The lift is the mean reward of those who were not held out less that of those who were, whether or not they got an
    offer, adjusted by what was known of each customer before the start. Its interval holds at every look.

    Args:
        workspace: with the experiment's allocations and their outcomes.
        name: of the campaign.
        as_of: younger decisions, and outcomes after it, are left out.

    Returns:
        verdict, reasons, the lift with interval, per decision and in all, the plain lift, the check of the split; and
        lift and check as they were after each allocation (`looks`, at most 40 of them).

    Raises:
        NotFoundError: no plan of this name is registered.
        DataError: none of its decisions is old enough, or a group has no rows.
    """
    with open_store(workspace) as store:
        plans = _plans(store, name)
        if not plans:
            remedy = "Register it first: allot experiment plan CAMPAIGN."
            raise NotFoundError(f"no experiment {name!r} is registered.", remedy=remedy)
        runs = sorted(store.allocations(campaign=name, status="released"), key=lambda a: (a.as_of, a.created_at))
        if not runs:
            raise DataError("has not been allocated yet.", where=name, remedy="Run `allot allocate CAMPAIGN`.")
        rows = _rows(workspace, store, runs, as_of, plans[-1]["plan"]["covariates"])
    registered = plans[-1]
    reasons = _broken_promises(registered, runs)
    split = _split(rows, float(registered["plan"]["holdout"]))
    if split["chance"] < BROKEN:
        reasons.append(
            f"The split is {split['held_out']:,} of {split['customers']:,} held out, planned {split['planned']:.1%} "
            f"(chance value {split['chance']:.2g}): assignment or logging is broken."
        )
    thin = _thin(rows)
    verdict = "invalid" if reasons else "insufficient" if thin else "supported"
    return {
        "campaign": name,
        "digest": registered["digest"],
        "registered_at": registered["registered_at"],
        "plan": registered["plan"],
        "first_allocation": min(a.created_at for a in runs).isoformat(),
        "allocations": len(runs),
        "rows": len(rows.reward),
        "waiting": rows.waiting,
        "verdict": verdict,
        "reasons": [*reasons, *thin],
        "split": split,
        **_lifts(rows, int(registered["plan"]["customers"]), verdict),
        "looks": [] if verdict == "invalid" else _looks(rows, runs, registered["plan"]),
        "cost": _cost(runs),
    }


def _lifts(rows: _Rows, planned: int, verdict: str) -> dict[str, Any]:
    """The adjusted and the plain lift; neither where the comparison is invalid."""
    if verdict == "invalid":
        return {**dict.fromkeys(("lift", "plain", "in_all", "variance_removed", "finding")), "held_out_mean": None}
    even = _even(rows)
    fewest = min(rows.treated.sum(), (~rows.treated).sum())
    past = rows.past[:, even] if even.any() and fewest >= ROWS_A_COVARIATE * (even.sum() + 1) else None
    found = lift(rows.reward, rows.treated, past, cluster=rows.customer)
    adjusted, plain = (interval(e, AnyLook(planned), LEVEL) for e in (found.adjusted, found.plain))
    known = verdict == "supported"
    return {
        "lift": _figures(adjusted),
        "plain": _figures(plain),
        "in_all": {key: found.treated * getattr(adjusted, key) for key in ("value", "low", "high")},
        "variance_removed": found.variance_removed,
        "held_out_mean": float(rows.reward[~rows.treated].mean()),
        "finding": ("more" if adjusted.low > 0 else "less" if adjusted.high < 0 else None) if known else None,
    }


def _looks(rows: _Rows, runs: Sequence[StoredAllocation], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Lift and split after each allocation, whose decisions were then as old as they are now; in order."""
    last = int(rows.look.max())
    chance = _chances(rows, float(plan["holdout"]))
    out = []
    for look in np.unique(np.linspace(0, last, min(last + 1, MOST_LOOKS)).round().astype(int)):
        then = rows.up_to(look)
        known = not _thin(then)
        out.append(
            {
                "at": runs[look].as_of.isoformat(),
                "rows": len(then.reward),
                "held_out": int((~then.treated).sum()),
                "verdict": "supported" if known else "insufficient",
                "lift": _lifts(then, int(plan["customers"]), "supported")["lift"] if known else None,
                "chance": float(chance[look]),
            }
        )
    return out


def _even(rows: _Rows) -> NDArray[np.bool_]:
    """(c,) covariates that do not differ between the groups by more than chance.

    The same customers are held out of every campaign, so that their past may itself be an effect: what differs is not
    adjusted for.
    """
    first = np.unique(rows.customer, return_index=True)[1]
    x, treated = rows.past[first], rows.treated[first]
    spread = x.var(axis=0) * (1 / max(treated.sum(), 1) + 1 / max((~treated).sum(), 1))
    gap = x[treated].mean(axis=0) - x[~treated].mean(axis=0)
    even: NDArray[np.bool_] = np.abs(gap) <= UNEVEN * np.sqrt(spread)
    return even


def _figures(e: Estimate) -> dict[str, float]:
    return {"value": e.value, "low": e.low, "high": e.high, "std_error": e.std_error, "level": e.level}


def _thin(rows: _Rows) -> list[str]:
    out = []
    for group, words in ((rows.treated, "addressed"), (~rows.treated, "held out")):
        earned = int((rows.reward[group] != 0).sum())
        if earned < FEWEST:
            out.append(f"{earned:,} decisions of those {words} earned something, below the floor of {FEWEST}.")
    return out


def _split(rows: _Rows, share: float) -> dict[str, Any]:
    """Whether as many were held out as planned, each customer counted when first seen."""
    first = np.unique(rows.customer, return_index=True)[1]
    return {
        "customers": len(first),
        "held_out": int((~rows.treated[first]).sum()),
        "planned": share,
        "chance": float(_chances(rows, share)[-1]),
        "broken": BROKEN,
    }


def _chances(rows: _Rows, share: float) -> Floats:
    """(looks,) the chance value of the split after each allocation."""
    first = np.unique(rows.customer, return_index=True)[1]
    looks = int(rows.look.max()) + 1
    counts = np.stack(
        [np.bincount(rows.look[first], rows.treated[first] == kind, looks) for kind in (True, False)], axis=1
    )
    return sample_ratio(np.cumsum(counts, axis=0).astype(np.int64), np.array([1 - share, share]))


def _broken_promises(registered: dict[str, Any], runs: Sequence[StoredAllocation]) -> list[str]:
    """What was not done as it had been written down."""
    plan, out = registered["plan"], []
    if _digest(plan) != registered["digest"]:
        out.append("The plan is not the one that was registered: its digest is another.")
    first = min(a.created_at for a in runs)
    if datetime.fromisoformat(registered["registered_at"]) >= first:
        out.append(f"The plan was registered after the first allocation, of {first:%Y-%m-%d %H:%M} UTC.")
    for key in ("holdout", "audience", "outcome_days"):
        other = sum(_setting(a, key) != plan[key] for a in runs)
        if other:
            out.append(f"In {other} of {len(runs)} allocations, {key} was not {plan[key]!r} as planned.")
    return out


def _setting(run: StoredAllocation, key: str) -> Any:
    document = run.summary["document"]
    return document["exploration"]["holdout"] if key == "holdout" else document[key]


def _cost(runs: Sequence[StoredAllocation]) -> float:
    """Expected cost per decision of those who were not held out."""
    treated = sum(a.summary["audience"] - a.summary["held_out"] for a in runs)
    return float(sum(a.summary["planned_cost"] for a in runs) / max(treated, 1))


def _rows(
    workspace: Workspace, store: Store, runs: Sequence[StoredAllocation], as_of: datetime, covariates: Sequence[str]
) -> _Rows:
    with connect(workspace) as connection:
        log = history(connection, released(workspace, runs), outcomes(store, up_to=as_of), as_of)
    says = np.asarray(log["answered"], bool) | np.asarray(log["silence_is_failure"], bool)
    old = says & np.asarray(log["matured"], bool)
    kept = log.filter(pa.array(old))
    if not kept.num_rows:
        remedy = "Wait until outcome_days have passed, and feed outcomes back."
        raise DataError(f"no decision is old enough as of {as_of:%Y-%m-%d}.", where=runs[0].campaign, remedy=remedy)
    number = {a.allocation_id: i for i, a in enumerate(runs)}
    look = np.array([number[x] for x in kept["allocation_id"].to_pylist()], np.int64)
    order = np.argsort(look, kind="stable")
    kept = kept.take(pa.array(order))
    people, place = np.unique(column_keys(kept["customer_id"]), return_index=True, return_inverse=True)[1:]
    ids = kept["customer_id"].combine_chunks().take(pa.array(people))
    version = read_version(workspace, runs[0].versions["data"])
    past = known_before(workspace, version, ids, runs[0].as_of, covariates)
    return _Rows(
        look=look[order],
        customer=place.astype(np.int64),
        treated=~np.asarray(kept["held_out"], bool),
        reward=kept["reward"].to_numpy().astype(np.float64),
        past=past[place],
        waiting=log.num_rows - kept.num_rows,
    )


def _plans(store: Store, name: str) -> list[dict[str, Any]]:
    """Every registered plan of a campaign, oldest first."""
    trail = store.audit_trail(subject=_subject(name))
    return [{**x.detail, "registered_at": x.at.isoformat()} for x in trail if x.action == _REGISTERED]


def _subject(name: str) -> str:
    return f"experiment {name}"


def _digest(plan: dict[str, Any]) -> str:
    return sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()

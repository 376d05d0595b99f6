"""Would it have worked? Train to a moment, decide for the time after it, judge by what was logged then; and again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from bandit import SUCCESSES, Kind
from engine.campaign import Campaign
from engine.catalogue import catalogue
from engine.computed import set_up_with
from engine.evaluate import asked_segments, figures, report_of, without_propensities
from engine.exposed import exposed_rows
from engine.features import learn_spec
from engine.leaks import Seen, sentences, told
from engine.logs import LoggedRows, log_from_file
from engine.models import kind_in_use
from engine.replay import on_rows
from engine.replayed import Replayed
from engine.rows import Past, column_keys, days, row_features
from engine.stages import Reporter, Stages, silent
from engine.train import Trained, Wishes, fit
from offline_eval import Report
from warehouse import DataVersion, Store, Workspace, attach, connect, current_version, open_store

Floats: TypeAlias = NDArray[np.float64]

MOST_ORIGINS = 50


@dataclass(frozen=True, slots=True)
class Rolling:
    """How to roll through the log.

    Args:
        origins: how many moments to train to.
        outcome_days: how long an outcome may take; before a moment only rows are trained on that are as old as that.
        as_of: younger rows are left out.
        seed: of the models.
        known: columns that were surely known before each decision, however much they foretell.
    """

    origins: int
    outcome_days: float
    as_of: datetime
    seed: int = 0
    known: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Origin:
    """A moment, what was made of the log before it, and the policy on the rows after it."""

    at: datetime
    until: datetime
    rows: NDArray[np.bool_]
    trained_on: int
    replayed: Replayed
    doubts: list[str]


def backtest(workspace: Workspace, campaign: Campaign, how: Rolling, *, reporter: Reporter = silent) -> dict[str, Any]:
    """Judge a campaign's policy on the loaded exposures, always with a model that knows only what came before.

    The last part of the log is cut into equal spans of time. For each, prior and posterior are trained on what was
    known at its beginning; the campaign is decided as of then, limits scaled to the customers who were logged in the
    span; and the span's rows say what that would have earned. Nothing is kept.

    What is learnt is what the model in use learns: successes or amounts.

    Customers are as of each moment where they have `valid_from`; without it they are as they are today, which may be
    later than the outcome. Therefore every column is asked what it says about outcomes (`engine.leaks`), and one that
    says too much makes the answer invalid.

    Args:
        workspace: with customers, offers and exposures; it is only read.
        campaign: its as_of is replaced by each moment.
        how: moments, and what counts as known.
        reporter: told about progress.

    Returns:
        `origins`, one line each, and the same figures over all of them: verdict, estimate, difference to the log,
        planned and realised.

    Raises:
        CampaignError, RuleError, DataError, LimitError: what is wrong with the request.
    """
    stages = Stages(reporter)
    version = current_version(workspace)
    with open_store(workspace) as store:
        with stages("log"):
            every = log_from_file(workspace, store, None, how.outcome_days, how.as_of)
        if every.unknown_propensity:
            return {**without_propensities(every), "origins": [], "seconds": stages.seconds}
        at = days(every.decided_at)
        moments = _moments(at, how)
        rows = every.some(at >= moments[0])
        with stages("features", len(rows.reward)):
            table, offers = rows.read()
        rolling = _Rolling(workspace, store, version, campaign, how, kind_in_use(store), stages)
        found = list(rolling.origins(moments, rows, table))
        with stages("reward model", len(rows.reward)):
            q_hat = rows.modelled(table, offers)
    with stages("estimate", len(rows.reward)):
        lines = [_line(one, report_of(rows.some(one.rows), one.replayed, q_hat[one.rows])) for one in found]
        whole = _whole(found, rows)
        report = report_of(rows, whole, q_hat, asked_segments(workspace, rows, campaign))
    doubts = dict.fromkeys(doubt for one in found for doubt in one.doubts)
    return {
        "target": campaign.name,
        "log": rows.name,
        "rows": len(rows.reward),
        "left_out": rows.left_out + len(every.reward) - len(rows.reward),
        "immature": rows.immature,
        **_judged(report),
        "origins": lines,
        "warnings": [*rows.notes, *_undated(version), *doubts],
        "seconds": stages.seconds,
    }


def _moments(at: Floats, how: Rolling) -> list[float]:
    """Days since 1970 at which spans begin, and the end of the last.

    Half of the log comes before the first, and a quarter of it is old enough then to be trained on.
    """
    if not 1 <= how.origins <= MOST_ORIGINS:
        what = f"{how.origins} moments are not between 1 and {MOST_ORIGINS}."
        raise DataError(what, where="--origins", remedy="Four to twelve are usual.")
    end = float(at.max())
    first = max(float(np.quantile(at, 0.5)), float(np.quantile(at, 0.25)) + how.outcome_days)
    if not first < end:
        span = end - float(at.min())
        raise DataError(
            f"the log spans {span:.3g} days: nothing of it comes after a time to train on.",
            where="exposures",
            remedy="Load a longer log, or give a smaller --outcome-days.",
        )
    return [first + (end - first) * i / how.origins for i in range(how.origins)] + [end]


@dataclass(frozen=True, slots=True)
class _Rolling:
    """What stays the same from moment to moment."""

    workspace: Workspace
    store: Store
    version: DataVersion
    campaign: Campaign
    how: Rolling
    kind: Kind
    stages: Stages

    def origins(self, moments: list[float], rows: LoggedRows, table: pa.Table) -> Iterator[_Origin]:
        """One after the other; spans without rows are passed over."""
        at = days(rows.decided_at)
        for first, end in pairwise(moments):
            last = end == moments[-1]
            here = (at >= first) & ((at <= end) if last else (at < end))
            if here.any():
                yield self._origin(_moment(first), _moment(end), here, (rows.some(here), table.filter(pa.array(here))))

    def _origin(
        self, at: datetime, until: datetime, here: NDArray[np.bool_], later: tuple[LoggedRows, pa.Table]
    ) -> _Origin:
        rows, table = later
        made, before = self._trained(at)
        earlier = [a for a in self.store.allocations(status="released") if a.as_of < at]
        known = self.version, Past(tuple(sorted(a.allocation_id for a in earlier)), at)
        campaign = replace(self.campaign, as_of=at)
        model = made.foundation, made.posterior
        setup = set_up_with(self.workspace, self.store, campaign, known, model, self.stages)
        seen = np.isin(rows.row_key, made.foundation.seen)  # none, unless time ran backwards
        replayed = on_rows(campaign, setup, rows, seen).under(None, self.stages)
        later_on = Seen(table, self._won(rows.outcome, rows.reward, made), column_keys(rows.customer_id))
        asked = told(before, later_on)
        suspects = [one for one in asked if one.column not in self.how.known]
        proofs, doubts = sentences(suspects, f"{at:%Y-%m-%d}")
        replayed = replace(replayed, reasons=(*replayed.reasons, *proofs))
        return _Origin(at, until, here, len(before.outcome), replayed, doubts)

    def _trained(self, at: datetime) -> tuple[Trained, Seen]:
        """The model of a moment, and the rows that it was trained on."""
        with connect(self.workspace) as connection:
            attach(connection, self.workspace, self.version)
            offers = catalogue(connection)
            exposed = exposed_rows(connection, self.store, self.workspace, offers, at, self.how.outcome_days)
            every = tuple(a.allocation_id for a in self.store.allocations(status="released"))
            who = exposed.customer_id, exposed.at
            table = row_features(connection, self.store, self.workspace, who, Past(every, at))
        settings = self.how.seed, self.how.outcome_days
        spec, _ = learn_spec(table, people=len(np.unique(column_keys(exposed.customer_id))))
        made = fit(exposed, (spec, table, offers), settings, Wishes(kind=self.kind), self.stages)
        won = self._won(exposed.outcome, exposed.reward, made)
        return made, Seen(table, won, column_keys(exposed.customer_id))

    def _won(self, outcome: Floats, reward: Floats, made: Trained) -> Floats:
        """(r,) whether rows were successes, as `Seen` has them."""
        return outcome if self.kind == SUCCESSES else (reward > np.median(made.log.outcome)).astype(np.float64)


def _moment(day: float) -> datetime:
    return datetime.fromtimestamp(day * 86_400, UTC)


def _whole(found: list[_Origin], rows: LoggedRows) -> Replayed:
    """The policies of all moments as one, in the order of the rows."""
    probability = np.zeros((len(rows.reward), len(rows.offer_ids) + 1))
    success, amount = (np.zeros_like(probability) for _ in range(2))
    for one in found:
        probability[one.rows] = one.replayed.probability
        for whole, part in ((success, one.replayed.success), (amount, one.replayed.amount)):
            whole[one.rows] = 0.0 if part is None else part
    amounts = found[0].replayed.success is None
    inside = sum(one.replayed.facts["logged_in_audience"] for one in found)
    reasons = tuple(dict.fromkeys(r for one in found for r in one.replayed.reasons))
    return Replayed(
        probability,
        found[0].replayed.name,
        None if amounts else success,
        reasons,
        facts={"logged_in_audience": inside},
        amount=amount if amounts else None,
    )


def _line(one: _Origin, report: Report) -> dict[str, Any]:
    """A moment in figures."""
    return {
        "from": one.at.isoformat(),
        "until": one.until.isoformat(),
        "trained_on": one.trained_on,
        "rows": report.rows,
        **_judged(report),
        "limits_scaled_by": one.replayed.facts["limits_scaled_by"],
        "limits": one.replayed.facts["limits"],
    }


def _judged(report: Report) -> dict[str, Any]:
    """What the log says about a policy; `plan_missed`: what was planned lies outside the interval of what was found."""
    found = report.estimate
    excess = report.planned_minus_realised
    planned = None if found is None or excess is None else found.value + excess
    return {
        "verdict": report.verdict,
        "reasons": list(report.reasons),
        "estimate": None if found is None else figures(found),
        "logged": figures(report.logged),
        "difference": None if report.difference is None else figures(report.difference),
        "ess": report.ess,
        "unsupported_mass": report.unsupported_mass,
        "weighted_successes": report.weighted_successes,
        "planned": planned,
        "realised": None if found is None else found.value,
        "planned_minus_realised": excess,
        "plan_missed": None if found is None or planned is None else not found.low <= planned <= found.high,
    }


def _undated(version: DataVersion) -> list[str]:
    if "valid_from" in version.tables["customers"].columns:
        return []
    return ["customers have no valid_from: features are those of today, not of the time of each decision"]

"""The files that a user would bring, and the feedback that a user's systems would post."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
from numpy.typing import NDArray

from allot.uniforms import stream, uniforms
from sims.chance import FAMILY
from sims.course import offer_days
from sims.description import Reporting
from sims.limits import reference_limits
from sims.people import Customers, Floats, Ints
from sims.world import World

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
LOGGED_DAYS: Final = 30  # the log runs from 60 to 30 days before the start, so that every outcome is mature by then
OUTCOME_DAYS: Final = 7.0  # a success of the log arrives within a week
TIME: Final = pa.timestamp("us", "UTC")


@dataclass(frozen=True, slots=True)
class WorldFiles:
    """Where the files of a world are."""

    customers: Path
    offers: Path
    exposures: Path
    campaign: Path


@dataclass(frozen=True, slots=True)
class Feedback:
    """One line of feedback as a user's system would post it; `occurred_at` is ISO 8601."""

    event_id: str
    decision_id: str
    outcome: int
    reward: float
    occurred_at: str


def write(world: World, folder: Path) -> WorldFiles:
    """Write customers.parquet, offers.csv, exposures.parquet and campaign.toml.

    The population's ids begin with c, those of the history with h; the campaign addresses the population. Its limits
    are `reference_limits` of day 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = WorldFiles(
        folder / "customers.parquet", folder / "offers.csv", folder / "exposures.parquet", folder / "campaign.toml"
    )
    pa_parquet.write_table(_customers(world), files.customers)
    pa_csv.write_csv(_offers(world), files.offers)
    pa_parquet.write_table(_exposures(world), files.exposures)
    files.campaign.write_text(campaign_text(world), encoding="utf-8")
    return files


def history_ids(world: World) -> list[str]:
    """(h,) ids of the customers in the history, h0000001 and so on; a row that stands there twice has the same."""
    return [f"h{person + 1:07d}" for person in world.history.person.tolist()]


def moment(day: float) -> datetime:
    """The time of a day of the world; day 0 is 2026-01-01T00:00:00Z."""
    return START + timedelta(days=day)


def outcome_days(how: Reporting) -> float:
    """How long a campaign should wait for outcomes that are reported in some way."""
    return max(OUTCOME_DAYS, float(min(how.delay_days, how.window_days) if how.late == 0.0 else how.window_days))


def campaign_text(world: World, day: int = 0) -> str:
    """The reference campaign of a day as TOML; where some outcomes are never reported, silence is no failure."""
    lines = [
        f'name = "{world.name}"',
        f"as_of = {moment(day):%Y-%m-%dT%H:%M:%SZ}",
        f"seed = {world.seed}",
        "audience = \"starts_with(customer_id, 'c')\"",
        'objective = "profit"',
        f"outcome_days = {outcome_days(world.about.feedback)}",
    ]
    if world.about.feedback.missing > 0.0:
        lines.append('no_feedback = "ignore"')
    for limit in reference_limits(world, day):
        lines += ["", "[[limits]]", f'name = "{limit.name}"', f'measure = "{limit.measure}"']
        lines += [f"maximum = {limit.maximum}"]
        if limit.offers is not None:
            lines += ["offers = { offer_id = [" + ", ".join(f'"{world.offers.ids[a]}"' for a in limit.offers) + "] }"]
    return "\n".join(lines) + "\n"


def outcome_rows(
    world: World, decisions: Iterable[tuple[str, str, str | None]], day: int, delay_days: float = 0.0
) -> list[Feedback]:
    """What a user's systems would report about decisions of a day, failures included.

    Args:
        decisions: (decision_id, customer_id, offer_id), offer_id None = no offer; customers of the population only.
        day: on which they were taken.
        delay_days: how much later the outcome occurred.
    """
    decided = list(decisions)
    rows, offer = places(world, decided)
    outcome, reward = world.outcomes(rows, offer, day)
    occurred = moment(day + delay_days).isoformat()
    return [
        Feedback(f"{decision}-1", decision, int(outcome[i]), float(reward[i]), occurred)
        for i, (decision, _, _) in enumerate(decided)
    ]


def places(world: World, decisions: Sequence[tuple[str, str, str | None]]) -> tuple[Ints, Ints]:
    """Rows of the population (r,) and offers (r,), -1 = no offer, of decisions by id, customer and offer."""
    index = {offer: a for a, offer in enumerate(world.offers.ids)} | {None: -1}
    rows = np.array([int(customer[1:]) - 1 for _, customer, _ in decisions], np.int64)
    return rows, np.array([index[offer] for _, _, offer in decisions], np.int64)


def _customers(world: World) -> pa.Table:
    once = np.unique(world.history.person, return_index=True)[1]
    everybody = world.customers.joined(world.history.customers.taken(once))
    logged = history_ids(world)
    columns = {"customer_id": world.customer_ids + [logged[i] for i in once], "segment": _segment_names(everybody)}
    numbers = {name: pa.array(everybody.numeric[:, j], from_pandas=True) for j, name in enumerate(everybody.names)}
    return pa.table(columns | numbers)


def _segment_names(customers: Customers) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(customers.segment, pa.int32()), pa.array(customers.segments))


def _offers(world: World) -> pa.Table:
    offers = world.offers
    first, last = offer_days(world.about.offers, world.days)
    return pa.table(
        {
            "offer_id": offers.ids,
            "name": offers.names,
            "channel": offers.channel,
            "category": offers.category,
            "contact_cost": offers.contact_cost,
            "redemption_cost": offers.redemption_cost,
            "margin": offers.margin,
            "starts_on": [_date(day) for day in first.tolist()],
            "ends_on": [_date(day) for day in last.tolist()],
            "eligible_when": offers.eligible_when,
        }
    )


def _exposures(world: World) -> pa.Table:
    log = world.history
    h = len(log.offer)
    keys = log.person.astype(np.uint64)
    hour = np.floor(24 * LOGGED_DAYS * uniforms(stream(world.seed, FAMILY, "logged at"), keys))
    decided = (START - timedelta(days=2 * LOGGED_DAYS)).timestamp() + 3600.0 * hour
    delay = 86_400.0 * OUTCOME_DAYS * uniforms(stream(world.seed, FAMILY, "outcome delay"), keys)
    success = log.outcome == 1
    margin = np.append(world.offers.margin, world.outside_margin)
    columns = {
        "customer_id": pa.array(history_ids(world)),
        "offer_id": _offer_ids(world.offers.ids, log.offer),
        "decided_at": _times(decided),
        "propensity": log.probability[np.arange(h), log.offer],
        "outcome": log.outcome,
        "reward": log.outcome * margin[log.offer] * log.margin_factor,
        "outcome_at": _times(decided + delay, ~success),
    }
    return pa.table(columns | {f"p_{name}": log.probability[:, a] for a, name in enumerate(world.offers.ids)})


def _date(day: int) -> str:
    return moment(day).date().isoformat()


def _offer_ids(ids: Sequence[str], offer: Ints) -> pa.Array:
    return pa.array(ids).take(pa.array(offer, mask=offer < 0))


def _times(seconds: Floats, missing: NDArray[np.bool_] | None = None) -> pa.Array:
    """Whole seconds since 1970 as UTC times."""
    return pa.array(np.floor(seconds).astype(np.int64) * 1_000_000, TIME, mask=missing)

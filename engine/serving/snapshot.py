"""What one process keeps in memory of a campaign's last release, to decide about single customers within it.

The rules' answers, cells and holdout are those of the release, as of its moment. The posterior is the newest over the
same prior: beliefs are worked out for each request, so that a new one counts without anything being built again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import CampaignError, DataError, NotFoundError, ShapeError, WorkspaceError
from allot.uniforms import key as text_key
from bandit import Beliefs, Kind, Learnt, kind_named
from engine.audience import Audience, find_audience, held_out, remembering, scored_audience
from engine.campaign import Campaign, read_campaign
from engine.catalogue import terms_of
from engine.models import Foundation, Scored, load_foundation, load_posterior, taking_in
from engine.objective import Terms
from engine.rows import column_keys
from engine.segments import Segmented, known_values, segmented
from engine.serving.segment_prior import SegmentPrior, load_segment_prior, save_segment_prior, segment_prior
from engine.stages import Stages
from engine.stamp import Stamp
from governance import PlannedRule
from portfolio import Limit, Share
from warehouse import (
    DECISIONS,
    Candidates,
    Store,
    StoredAllocation,
    Workspace,
    attach,
    connect,
    decisions_meta,
    read_decisions,
    read_version,
)
from warehouse.heads import ReleaseMark, posterior_head, release_head, release_heads, release_mark

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Floats: TypeAlias = NDArray[np.float64]

MOST_RULES = 62
"""Rules whose bits leave room for the two reasons that only single decisions know."""

BUDGET = PlannedRule("budget", "No budget is left for it now", 63)
UNKNOWN = PlannedRule("rules", "What may be sent is not known now", 62)


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """What a release says of the n customers of its audience and its k offers, apart from the model.

    Args:
        release_id: the allocation.
        campaign, stamp: of the release.
        offers: the catalogue at that time; its ids are `offer_ids`.
        rules: in the order of their bits.
        customer_id, key: (n,) by ascending key.
        reasons: (n, k) bits of the rules against each offer, in the smallest type that holds them.
        cell: (n,) and what each cell's customers have in common, in words.
        contacts: (n,) how often the customer was contacted within the contact policy's days before the release.
        reached: (n,) contacts by releases since, this one included.
        limits: over cells and offers.
        terms: the offers' money.
        charges: (3, g, k) what the limits charged in the release.
        dates: when offers start and end, (k,) by column.
        lost: why nobody can say what may be sent; then nothing is. Empty where that is known.
    """

    release_id: str
    campaign: Campaign
    stamp: Stamp
    offers: pa.Table
    offer_ids: tuple[str, ...]
    rules: tuple[PlannedRule, ...]
    customer_id: pa.Array
    key: NDArray[np.uint64]
    reasons: NDArray[np.unsignedinteger[Any]]
    held_out: NDArray[np.bool_]
    cell: NDArray[np.int32]
    labels: tuple[str, ...]
    contacts: NDArray[np.int16]
    reached: "Reached"
    limits: tuple[Limit | Share, ...]
    terms: Terms
    charges: Floats
    dates: dict[str, NDArray[np.datetime64]]
    lost: str = ""

    def find(self, customer_id: str) -> int | None:
        """The customer's row; None where nobody of the audience has this id."""
        key = np.uint64(text_key(customer_id))
        first = int(np.searchsorted(self.key, key))
        while first < len(self.key) and self.key[first] == key:
            if self.customer_id[first].as_py() == customer_id:
                return first
            first += 1
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """Contacts by releases that the rules' answers do not know of: `count` (n,), from `allocations`, up to a mark."""

    allocations: tuple[str, ...]
    count: NDArray[np.int16]
    mark: ReleaseMark | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """The model over the same customers.

    Args:
        base: as it was trained; `foundation` is the same with all offers as arms, `arms` (k + 1,) the catalogue's.
        posterior: the newest, `posterior_id`.
        scored: the customers before the posterior has spoken.
        prior_id: of the base.
    """

    base: Foundation
    foundation: Foundation
    posterior: Learnt
    posterior_id: str
    prior_id: str
    arms: NDArray[np.intp]
    scored: Scored

    def beliefs(self, scored: Scored) -> tuple[Beliefs, Floats | None]:
        """Of some customers, every offer and no offer, in catalogue order; see `catalogue_beliefs`."""
        every = self.posterior.beliefs(scored.basis, scored.logits, threads=1)
        relative = None if scored.relative is None else scored.relative[:, self.arms]
        return Beliefs(every.mean[:, self.arms], every.sd[:, self.arms]), relative

    @property
    def played(self) -> Floats:
        """(k + 1,) temperature of each arm, before the campaign's."""
        out: Floats = self.posterior.temperature()[self.arms]
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A release ready to be decided in. Without `scoring` the segments speak; without those, nobody gets anything."""

    book: Book
    scoring: Scoring | None
    segments: SegmentPrior | None

    @property
    def kind(self) -> Kind:
        """Of the outcomes that beliefs are about."""
        return kind_named(self.book.stamp.outcome)


def last_release(store: Store, campaign: str) -> StoredAllocation:
    """The newest release of a campaign.

    Raises:
        NotFoundError: nothing of it was released.
    """
    found = release_head(store, campaign)
    if found is None:
        remedy = "Allocate it first: single decisions are made within the last release."
        raise NotFoundError(f"nothing of campaign {campaign!r} was released.", where="decisions", remedy=remedy)
    return store.allocation(found.allocation_id)


def build(workspace: Workspace, store: Store, release: StoredAllocation) -> Snapshot:
    """A release with the newest model over its prior; where that cannot be read, with what segments are known to do.

    Raises:
        CampaignError: the campaign has more rules than single decisions can tell apart.
        DataError, RuleError, WorkspaceError: the rules or their data are gone.
    """
    stamp, campaign = Stamp.from_json(release.versions), read_campaign(release.summary["document"])
    stages = Stages()
    with connect(workspace, user_sql=True, threads=1) as connection:
        attach(connection, workspace, read_version(workspace, stamp.data))
        audience = find_audience(
            connection, store, workspace, campaign, (read_version(workspace, stamp.data), stamp.past)
        )
        people = audience.people
        audience = replace(audience, held_out=held_out(workspace, people.key, campaign.exploration.holdout))
        domain = known_values(connection, read_version(workspace, stamp.data))
        cells = segmented(campaign.limits, audience.offers, people.columns, domain)
        book = _book(workspace, store, release, (campaign, stamp), audience, cells)
        try:
            scoring = _scoring(connection, store, workspace, audience, book, stages)
        except (WorkspaceError, DataError, NotFoundError, ShapeError):
            return Snapshot(book, None, load_segment_prior(workspace, release.allocation_id))
    means = segment_prior(book.cell, len(book.labels), *scoring.beliefs(scoring.scored), scoring.played)
    save_segment_prior(workspace, release.allocation_id, means)
    return Snapshot(book, scoring, means)


def without_rules(release: StoredAllocation, why: str) -> Snapshot:
    """A release of which nothing is left but that it was: nobody gets anything, and everybody an answer."""
    stamp, campaign = Stamp.from_json(release.versions), read_campaign(release.summary["document"])
    ids = tuple(release.summary["offer_ids"])
    none, k = np.zeros(0), len(ids)
    book = Book(
        release_id=release.allocation_id,
        campaign=campaign,
        stamp=stamp,
        offers=pa.table({"offer_id": pa.array(ids, pa.string())}),
        offer_ids=ids,
        rules=(),
        customer_id=pa.array([], pa.string()),
        key=none.astype(np.uint64),
        reasons=np.zeros((0, k), np.uint8),
        held_out=none.astype(bool),
        cell=none.astype(np.int32),
        labels=("everybody",),
        contacts=none.astype(np.int16),
        reached=Reached((), none.astype(np.int16)),
        limits=(),
        terms=Terms(np.zeros(k), np.zeros(k), np.zeros(k), 0.0, kind=kind_named(stamp.outcome)),
        charges=np.zeros((3, 1, k)),
        dates={},
        lost=why,
    )
    return Snapshot(book, None, None)


def _book(
    workspace: Workspace,
    store: Store,
    release: StoredAllocation,
    asked: tuple[Campaign, Stamp],
    audience: Audience,
    cells: Segmented,
) -> Book:
    campaign, stamp = asked
    people, rules = audience.people, audience.rules.rules
    if len(rules) > MOST_RULES:
        what = f"{len(rules)} rules are more than the {MOST_RULES} that single decisions can tell apart."
        raise CampaignError(what, where=campaign.name, remedy="Join some of them with AND.")
    meta = decisions_meta(workspace.root / str(release.decisions_path))
    return Book(
        release_id=release.allocation_id,
        campaign=campaign,
        stamp=stamp,
        offers=audience.offers,
        offer_ids=tuple(audience.offer_ids),
        rules=rules,
        customer_id=people.customer_id,
        key=people.key,
        reasons=people.reasons.astype(_smallest(len(rules))),
        held_out=audience.held_out,
        cell=cells.cell,
        labels=cells.labels,
        contacts=contacts_of(people, campaign),
        reached=_reached(workspace, store, Reached((), np.zeros(len(people.key), np.int16)), people.key, stamp),
        limits=cells.limits,
        terms=terms_of(audience.offers, campaign, kind_named(stamp.outcome)),
        charges=np.asarray(meta["charges"], np.float64).reshape(3, len(cells.labels), audience.offers.num_rows),
        dates=_dates(audience.offers),
    )


def contacts_of(people: Candidates, campaign: Campaign) -> NDArray[np.int16]:
    """(n,) contacts within the contact policy's days, of customers with their memory; 0 where there is none."""
    column, memory = f"contacts_{campaign.contact.days}d", people.memory
    if memory is None or column not in memory.column_names:
        return np.zeros(len(people.key), np.int16)
    out: NDArray[np.int16] = np.nan_to_num(memory[column].to_numpy()).astype(np.int16)
    return out


def _smallest(bits: int) -> Any:
    return next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if bits <= 8 * np.dtype(kind).itemsize)


def _reached(workspace: Workspace, store: Store, so_far: Reached, key: NDArray[np.uint64], stamp: Stamp) -> Reached:
    """Count the contacts of releases that are neither in the release's past nor counted yet."""
    known, mark = {*stamp.past.allocations, *so_far.allocations}, release_mark(store)
    new = [head.allocation_id for head in release_heads(store) if head.allocation_id not in known]
    count = so_far.count.copy()
    for allocation_id in new:
        table = read_decisions(workspace.decisions / allocation_id / DECISIONS, ["customer_id", "offer_id"])
        sent = table.filter(table["offer_id"].is_valid())
        place = np.searchsorted(key, contacted := column_keys(sent["customer_id"]))
        place = np.minimum(place, len(key) - 1)
        count[place[key[place] == contacted]] += 1
    return Reached((*so_far.allocations, *new), count, mark)


def _scoring(
    connection: "DuckDBPyConnection",
    store: Store,
    workspace: Workspace,
    audience: Audience,
    book: Book,
    stages: Stages,
) -> Scoring:
    prior_id = book.stamp.prior
    posterior_id = newest_posterior(store, prior_id) or book.stamp.posterior
    base = load_foundation(workspace, prior_id)
    audience = replace(audience, people=remembering(audience.people, base.features))
    foundation, posterior = _fitted(store, base, posterior_id, book.offers)
    scored = scored_audience(connection, audience, book.campaign, foundation, stages)
    return Scoring(base, foundation, posterior, posterior_id, prior_id, foundation.arms(book.offers), scored)


def newest_posterior(store: Store, prior_id: str) -> str | None:
    """The posterior in use if it stands on this prior."""
    found = posterior_head(store)
    return found if found is not None and store.model("posterior", found).parents[0] == prior_id else None


def _fitted(store: Store, base: Foundation, posterior_id: str, offers: pa.Table) -> tuple[Foundation, Learnt]:
    posterior, _ = load_posterior(store, posterior_id)
    newcomers: Sequence[str] = store.model("posterior", posterior_id).watermark.get("newcomers", ())
    return taking_in((base.widened(newcomers), posterior), offers)


def refreshed(workspace: Workspace, store: Store, snapshot: Snapshot) -> Snapshot | None:
    """The snapshot with the newest posterior, and with the contacts of later releases.

    Returns:
        the same object where nothing is new; None where it has to be built again: for another release, another prior,
        arms that it has not, or a model that could not be read before.

    Raises:
        WorkspaceError: the database or the new posterior cannot be read; the snapshot may go on serving.
    """
    book, scoring = snapshot.book, snapshot.scoring
    if scoring is None:
        return None
    if release_mark(store) != book.reached.mark:
        head = release_head(store, book.campaign.name)
        if head is None or head.allocation_id != book.release_id:
            return None
        reached = _reached(workspace, store, book.reached, book.key, book.stamp)
        snapshot = replace(snapshot, book=replace(book, reached=reached))
    newest = newest_posterior(store, scoring.prior_id)
    if newest is None or newest == scoring.posterior_id:
        return snapshot
    foundation, posterior = _fitted(store, scoring.base, newest, book.offers)
    if foundation.offer_ids != scoring.foundation.offer_ids:
        return None
    return replace(snapshot, scoring=replace(scoring, posterior=posterior, posterior_id=newest))


def _dates(offers: pa.Table) -> dict[str, NDArray[np.datetime64]]:
    """When each offer starts and ends (k,), as far as the catalogue says; NaT where it does not."""
    known = [column for column in ("starts_on", "ends_on") if column in offers.column_names]
    return {c: offers[c].cast(pa.date32()).to_numpy().astype("datetime64[D]") for c in known}

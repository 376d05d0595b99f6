"""Whom a campaign may address, with what, and what we believe of every pair."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from allot import DataError
from allot.uniforms import stream, uniforms
from bandit import Beliefs, Learnt
from engine.campaign import Campaign
from engine.catalogue import catalogue
from engine.features import FeatureSpec
from engine.models import Foundation, Scored
from engine.rows import Past, customer_features, memory_of
from engine.stages import Stages
from governance import (
    CandidatePlan,
    Rule,
    Vocabulary,
    candidate_plan,
    compile_eligible_when,
    compile_rule,
    contact_rules,
    house_rules,
)
from warehouse import Candidates, DataVersion, audience_ids, candidates

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from warehouse import Store, Workspace


Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Audience:
    """n customers of the audience in hash order and k offers in catalogue order.

    Args:
        people: ids, keys, columns and reasons against each offer.
        rules: all rules in the order of their bits.
        offers: the catalogue.
        eligible: (n, k) bool.
        held_out: (n,) bool; the persistent control group.
    """

    people: Candidates
    rules: CandidatePlan
    offers: pa.Table
    eligible: NDArray[np.bool_]
    held_out: NDArray[np.bool_]

    @property
    def offer_ids(self) -> list[str]:
        """In catalogue order."""
        out: list[str] = self.offers["offer_id"].to_pylist()
        return out


def find_audience(
    connection: "DuckDBPyConnection",
    store: "Store",
    workspace: "Workspace",
    campaign: Campaign,
    known: tuple[DataVersion, Past],
) -> Audience:
    """Evaluate audience, rules and holdout of a campaign.

    Raises:
        RuleError: a rule is wrong.
        DataError: nobody is in the audience.
    """
    version, past = known
    offers = catalogue(connection)
    columns = {name: version.tables[name].columns for name in ("customers", "offers")}
    audience = _audience_rule(campaign, version)
    ids = audience_ids(connection, audience_sql=audience, as_of=campaign.as_of)
    memory = memory_of(connection, store, workspace, (ids, campaign.as_of), (past, (campaign.contact.days,)))
    remembered: dict[str, str] = {}
    if memory is not None:
        connection.register("memory", memory)
        described = connection.execute("DESCRIBE FROM memory").fetchall()
        remembered = {row[0]: row[1] for row in described if row[0] != "customer_id"}
    plan = _plan(campaign, offers, Vocabulary(columns["customers"], columns["offers"], remembered))
    relation = "memory" if memory is not None else None
    at = campaign.as_of
    people = candidates(connection, plan, audience_sql=audience, as_of=at, memory=relation, said=campaign.audience)
    return Audience(people, plan, offers, people.reasons == 0, np.zeros(len(people.key), bool))


def remembering(people: Candidates, read: FeatureSpec) -> Candidates:
    """The same people, once the rules have been asked: of their memory, the columns that the model reads."""
    if people.memory is None:
        return people
    kept = [name for name in people.memory.column_names if f"memory.{name}" in read.names]
    return replace(people, memory=people.memory.select(kept))


def addressed(connection: "DuckDBPyConnection", campaign: Campaign, version: DataVersion) -> pa.Array:
    """The ids of a campaign's audience.

    Raises:
        RuleError: the audience's rule is wrong.
        DataError: nobody is in it.
    """
    return audience_ids(connection, audience_sql=_audience_rule(campaign, version), as_of=campaign.as_of)


def _audience_rule(campaign: Campaign, version: DataVersion) -> str:
    plain = Vocabulary(*(version.tables[name].columns for name in ("customers", "offers")))
    everybody = Rule("audience", "Not in the audience", campaign.audience, scope="audience")
    return compile_rule(everybody, plain, as_of=campaign.as_of).sql


def _plan(campaign: Campaign, offers: pa.Table, vocabulary: Vocabulary) -> CandidatePlan:
    contact = campaign.contact
    rules = (
        *house_rules(vocabulary),
        *contact_rules(most=contact.most, days=contact.days, quiet_days=contact.quiet_days, memory=vocabulary.memory),
        *campaign.rules,
    )
    compiled = [compile_rule(rule, vocabulary, as_of=campaign.as_of) for rule in rules]
    rows = offers.to_pylist()
    own = compile_eligible_when(rows, vocabulary, as_of=campaign.as_of)
    return candidate_plan(rows, compiled, own, household=contact.one_per_household)


def held_out(workspace: "Workspace", keys: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """The control group (n,): a persistent hash of the house key and the customer, the same for every campaign."""
    return uniforms(stream(workspace.house_key, "holdout"), keys) < share


def scored_audience(
    connection: "DuckDBPyConnection", audience: Audience, campaign: Campaign, foundation: Foundation, stages: Stages
) -> Scored:
    """What training says of everybody in an audience, before the posterior has spoken.

    Raises:
        DataError: a column that the model reads has vanished.
    """
    people = audience.people
    n = len(people.key)
    with stages("features", n):
        table = customer_features(connection, people.customer_id, campaign.as_of, people.memory, foundation.features)
        _check_columns(foundation, table)
    with stages("scores", n) as done:
        return foundation.scored(table, done)


def catalogue_beliefs(scored: Scored, posterior: Learnt, arms: NDArray[np.intp]) -> tuple[Beliefs, Floats | None]:
    """Of every offer and of no offer, (n, k + 1) in catalogue order: mean and sd of the logit, or amount, and what a
    success brings over the offer's margin (None where that is the same for everybody).

    Args:
        scored: the customers before the posterior has spoken.
        posterior: what has been learnt.
        arms: (k + 1,) the arms of the catalogue's offers, then of no offer.
    """
    relative = None if scored.relative is None else scored.relative[:, arms]
    every = posterior.beliefs(scored.basis, scored.logits)
    if len(arms) == every.mean.shape[1] and np.array_equal(arms, np.arange(len(arms))):
        return every, relative
    return Beliefs(np.ascontiguousarray(every.mean[:, arms]), np.ascontiguousarray(every.sd[:, arms])), relative


def _check_columns(foundation: Foundation, table: pa.Table) -> None:
    """A column that the model reads and that has vanished would silently be read as missing everywhere."""
    gone = [n for n in foundation.features.names if n.startswith("customer.") and n not in table.column_names]
    if gone:
        raise DataError(
            "the model reads this column, which customers no longer have.",
            where=f"customers, column {gone[0].removeprefix('customer.')}",
            remedy="Load customers with it, or run `allot train` to do without it.",
        )

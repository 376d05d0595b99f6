"""A world after one's own log: resampled customers, and a truth that was fitted to what they did.

Trees are fitted to the log's outcomes of every offer, and of no offer where the log has a control group; what they say
is the truth of the world. Its customers are drawn with replacement from those of the workspace.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from allot import DataError, WorkspaceError
from bandit import Columns, Log, fit_prior
from engine.catalogue import catalogue
from engine.features import learn_spec
from sims.chance import generator
from sims.course import lifted
from sims.defects import seen, seen_history
from sims.description import Description, Drift, pinned
from sims.logger import History
from sims.offers import OfferTable
from sims.people import Customers, Floats, Ints
from sims.response import sigmoid
from sims.world import World
from warehouse import DataVersion, Workspace, attach, connect, current_version, read_version

_NO_FEATURES = ("customer_id", "household_id", "consent", "valid_from")
_MOST_LEVELS = 20  # of a category that is read


@dataclass(frozen=True, slots=True)
class Source:
    """What a workspace knows of its customers, and what the trees think of them.

    Args:
        customers: each of them once.
        offers: those of the log first.
        chance: (n, k + 1) of success with each offer, and without; the truth of worlds made of this.
        shown: (k + 1,) how often the log showed each offer, or none.
    """

    customers: Customers
    offers: OfferTable
    chance: Floats
    shown: Floats


def data_version(folder: str) -> str:
    """The id of what is loaded in a workspace now.

    Raises:
        WorkspaceError, DataError: there is no workspace, or no log in it.
    """
    return _version(_opened(folder), None).id


def source_of(workspace: Workspace, data: str | None = None, *, seed: int = 0) -> Source:
    """Fit the truth to the exposures of a workspace; events and rules are not read.

    Args:
        workspace: with customers, offers and exposures.
        data: version of these; None = what is loaded now.
        seed: of the trees.

    Raises:
        DataError: a table is not loaded, or the log speaks of nobody who is known.
        NotFoundError: there is no such version.
    """
    version = _version(workspace, data)
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        catalogued = catalogue(connection)
        people = _newest(connection.sql("FROM customers").to_arrow_table())
        log = connection.sql("FROM exposures").to_arrow_table()
    offers = _offers(catalogued, set(log["offer_id"].to_pylist()))
    customers, k = _customers(people), len(offers)
    rows, arm, outcome = _logged(log, people, offers)
    matrix = customers.matrix
    names = customers.names
    columns = Columns(("segment", *names), ("offer",), (0, 1 + len(names)))
    training = Log(matrix[rows], arm, outcome, np.zeros(len(arm)), rows.astype(np.uint64))
    fitted = fit_prior(training, np.arange(k + 1.0)[:, None], columns, seed=seed, threads=1)
    chance = sigmoid(fitted.prior.logits(matrix, threads=1).astype(np.float64))
    shown = np.bincount(arm, minlength=k + 1) / len(arm)
    if shown[k] == 0.0:
        chance[:, k] = 0.0  # nobody knows what happens without any offer
    return Source(customers, offers, chance, shown)


def after_workspace(about: Description, seed: int, customers: int | None) -> World:
    """`fitted_world` of the workspace that a description names, whose truth is fitted once in a process.

    Raises:
        WorkspaceError, DataError, NotFoundError: there is no workspace, no log in it, or no such version.
    """
    named = pinned(about)
    return fitted_world(_source(str(named.workspace), str(named.data)), about, seed, customers)


@cache
def _source(folder: str, data: str) -> Source:
    return source_of(_opened(folder), data)


def _opened(folder: str) -> Workspace:
    if not (Path(folder) / "workspace.toml").exists():
        remedy = "Mend `workspace` in the description; a path begins where `allot` is called."
        raise WorkspaceError("is not a workspace.", where=str(Path(folder).absolute()), remedy=remedy)
    return Workspace.open(Path(folder))


def _version(workspace: Workspace, data: str | None) -> DataVersion:
    version = current_version(workspace) if data is None else read_version(workspace, data)
    for table in ("customers", "offers", "exposures"):
        if table not in version.tables:
            raise DataError(f"no {table} are loaded.", where="workspace", remedy=f"Run `allot load --{table} FILE`.")
    return version


def fitted_world(source: Source, about: Description, seed: int, customers: int | None = None) -> World:
    """A world whose customers, offers and chances are those of a source.

    Everything of the description counts but what the log has settled: taste, money, kinds of customers and the number
    of offers. A drift makes half of the offers better or worse, for everybody alike. The log of the world is drawn
    anew: offers as often as in the old one, but the same for everybody.

    Args:
        source: of a workspace.
        about: how the world goes on.
        seed: of everything but the truth.
        customers: see `sims.world.build`.

    Raises:
        CampaignError: more offers arrive or retire than the catalogue has.
    """
    k, n = len(source.offers), about.days * about.per_day if customers is None else customers
    warm = int(source.offers.warm.sum())
    offers = replace(about.offers, count=k, warm=warm)
    settled = replace(about, workspace=None, data=None, offers=offers)  # what comes and goes must fit the catalogue
    row = generator(seed, "who comes").integers(0, len(source.customers), n)
    before = source.chance[row]
    return World(
        about=settled,
        seed=seed,
        offers=source.offers,
        customers=seen(seed, about.defects, "population", source.customers.taken(row)),
        arrival=np.repeat(np.arange(about.days), about.per_day) if customers is None else np.zeros(n, np.int64),
        history=seen_history(seed, about.defects, _history(source, about.history, seed)),
        before=before,
        after=np.column_stack([lifted(before[:, :-1], _drift(about.drift, seed, k)), before[:, -1]]),
        margin_factor=np.ones(n),
        phase=generator(seed, "season").random(k),
    )


def _drift(drift: Drift, seed: int, k: int) -> Floats:
    """(k,) what half of the offers gain or lose in logits."""
    r, lift = generator(seed, "drift"), np.zeros(k)
    if drift.kind != "none":
        moved = r.choice(k, k // 2, replace=False)
        lift[moved] = r.choice([-drift.size, drift.size], len(moved))
    return lift


def _history(source: Source, exposures: int, seed: int) -> History:
    r = generator(seed, "history")
    row = r.integers(0, len(source.customers), exposures)
    offer = r.choice(len(source.shown), exposures, p=source.shown)
    outcome = r.random(exposures) < source.chance[row, offer]
    return History(
        person=np.arange(exposures),
        customers=source.customers.taken(row),
        offer=np.where(offer == len(source.offers), -1, offer),
        outcome=outcome.astype(np.int64),
        probability=np.tile(source.shown, (exposures, 1)),
        margin_factor=np.ones(exposures),
    )


def _logged(log: pa.Table, people: pa.Table, offers: OfferTable) -> tuple[Ints, Ints, Floats]:
    """Row of the customer, arm (k = no offer) and outcome of each exposure of a known customer and offer."""
    row = pc.index_in(log["customer_id"], people["customer_id"].combine_chunks())
    arm = pc.index_in(log["offer_id"], pa.array(offers.ids))
    known = pc.and_(pc.is_valid(row), pc.or_(pc.is_valid(arm), pc.is_null(log["offer_id"])))
    if not pc.any(known).as_py():
        raise DataError("no exposure is of a known customer.", where="exposures", remedy="Load their customers, too.")
    rows, arms, outcome = (x.filter(known).to_numpy() for x in (row, arm.fill_null(len(offers)), log["outcome"]))
    return rows.astype(np.int64), arms.astype(np.int64), outcome.astype(np.float64)


def _newest(people: pa.Table) -> pa.Table:
    """The last row of each customer."""
    if "valid_from" in people.column_names:
        people = people.sort_by("valid_from")
    last = {customer: i for i, customer in enumerate(people["customer_id"].to_pylist())}
    return people.take(pa.array(sorted(last.values())))


def _customers(people: pa.Table) -> Customers:
    """The first small category is the segment, the others become numbers 0 or 1 for each level."""
    table = people.drop_columns([name for name in _NO_FEATURES if name in people.column_names])
    spec, _ = learn_spec(table)
    matrix = spec.encode(table)
    segment = np.zeros(len(matrix), np.int64)
    segments: tuple[str, ...] = ("all",)
    columns: dict[str, Floats] = {}
    for j, feature in enumerate(spec.features):
        if feature.kind == "number":
            columns[feature.name] = matrix[:, j]
        elif len(feature.levels) <= _MOST_LEVELS and segments == ("all",):
            segments = (*feature.levels, "unknown") if np.isnan(matrix[:, j]).any() else feature.levels
            segment = np.nan_to_num(matrix[:, j], nan=len(segments) - 1).astype(np.int64)
        elif len(feature.levels) <= _MOST_LEVELS:
            columns |= {f"{feature.name}={x}": (matrix[:, j] == i).astype(float) for i, x in enumerate(feature.levels)}
    if not columns:
        columns["nothing"] = np.zeros(len(matrix))
    return Customers(segment, np.column_stack(list(columns.values())), segments, tuple(columns))


def _offers(catalogued: pa.Table, logged: set[str | None]) -> OfferTable:
    """The catalogue, offers of the log first; whoever is in the world may get every offer."""
    rows = sorted(catalogued.to_pylist(), key=lambda row: (row["offer_id"] not in logged, row["offer_id"]))

    def column(name: str) -> Floats:
        return np.array([row[name] or 0.0 for row in rows], np.float64)

    return OfferTable(
        ids=tuple(row["offer_id"] for row in rows),
        names=tuple(row["name"] or row["offer_id"] for row in rows),
        channel=tuple(row["channel"] or "" for row in rows),
        category=tuple(row["category"] or "" for row in rows),
        warm=np.array([row["offer_id"] in logged for row in rows]),
        margin=column("margin"),
        contact_cost=column("contact_cost"),
        redemption_cost=column("redemption_cost"),
        eligible_when=("true",) * len(rows),
    )

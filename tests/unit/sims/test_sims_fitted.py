"""A world after a log: its offers, its customers, its truth, and whatever a description adds."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from allot import CampaignError, DataError, NotFoundError, WorkspaceError
from engine.workspaces import init, load
from sims import Description, build, nbo
from sims.days import LEARNERS, Known, oracle_share
from sims.description import Drift, Offering, Season
from sims.files import write
from sims.fitted import fitted_world, source_of
from sims.policies import policies_of
from sims.run_files import path_of, settings_of
from sims.runs import played
from sims.study import Study
from warehouse import Workspace, current_version

ABOUT = Description("mine", days=8, per_day=60, history=1500)


@pytest.fixture(scope="module")
def original():
    return nbo(11, customers=600, history=6000)


@pytest.fixture(scope="module")
def loaded(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    files = write(original, folder)
    return _loaded(folder, customers=files.customers, offers=files.offers, exposures=files.exposures)


@pytest.fixture(scope="module")
def source(loaded):
    return source_of(loaded)


def _loaded(folder, **files):
    init(folder / "workspace")
    workspace = Workspace.open(folder / "workspace")
    load(workspace, files)
    return workspace


def test_offers_and_customers_are_those_of_the_workspace(original, source):
    assert source.offers.ids == original.offers.ids
    assert np.array_equal(source.offers.warm, original.offers.warm)
    for name in ("margin", "contact_cost", "redemption_cost"):
        assert np.array_equal(getattr(source.offers, name), getattr(original.offers, name))
    everybody = original.customers.joined(original.history.customers)
    assert len(source.customers) == len(everybody) == 7200
    assert source.customers.names == everybody.names
    assert np.sort(source.customers.numeric[:, 0]) == pytest.approx(np.sort(everybody.numeric[:, 0]))
    assert set(source.customers.segments) == set(everybody.segments)


def test_the_truth_is_what_the_log_says_on_average_and_knows_who_likes_what(original, source):
    log = original.history
    for arm, column in ((-1, 12), *((a, a) for a in range(8))):
        assert source.shown[column] == (log.offer == arm).mean()
    assert not source.shown[8:12].any()
    expected = (source.chance * source.shown).sum(1).mean()
    assert expected == pytest.approx(log.outcome.mean(), rel=0.15)
    by_offer = np.array([log.outcome[log.offer == a].mean() for a in range(8)])
    assert np.corrcoef(source.chance[:, :8].mean(0), by_offer)[0, 1] > 0.6
    everybody = original.customers.joined(original.history.customers).numeric[:, 3]
    order = np.argsort(everybody)
    at = np.argsort(source.customers.numeric[:, 3])[np.argsort(order)][:600]
    assert np.array_equal(source.customers.numeric[at, 3], everybody[:600])
    for a in (1, 2, 3, 7, -1):  # where so short a log says much
        assert np.corrcoef(source.chance[at, a], original.before[:, a])[0, 1] > 0.3


def test_a_world_is_made_of_rows_of_the_source_and_the_same_seed_is_the_same_world(source):
    world, again, other = (fitted_world(source, ABOUT, seed) for seed in (5, 5, 6))
    assert (world.name, world.seed, world.days, len(world.customers)) == ("mine", 5, 8, 480)
    chance = {people.tobytes(): row for people, row in zip(source.customers.matrix, source.chance, strict=True)}
    assert all(
        np.array_equal(chance[x.tobytes()], row) for x, row in zip(world.customers.matrix, world.before, strict=True)
    )
    assert np.array_equal(world.before, again.before)
    assert np.array_equal(world.history.outcome, again.history.outcome)
    assert not np.array_equal(world.before, other.before)
    assert world.value(0).shape == (480, 13) and world.eligible.all()
    assert len(fitted_world(source, ABOUT, 5, customers=40).customers) == 40


def test_the_history_happens_as_the_truth_and_the_frequencies_say(source):
    log = fitted_world(source, replace(ABOUT, history=20_000), 5).history
    offer = log.offer % 13
    for a in (0, 5, 12):
        p = source.shown[a]
        assert abs((offer == a).sum() - 20_000 * p) < 4 * np.sqrt(20_000 * p * (1 - p))
    expected = (source.chance * source.shown).sum(1).mean()
    assert abs(log.outcome.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 20_000)
    assert np.allclose(log.probability.sum(1), 1.0)


def test_the_description_goes_on_where_the_log_ends(source):
    plain = fitted_world(source, ABOUT, 5)
    rows = np.arange(480)
    moved = fitted_world(source, replace(ABOUT, drift=Drift("sudden", size=0.5)), 5)
    odds = moved.after / (1 - moved.after) * (1 - moved.before) / moved.before
    lift = np.log(odds)[:, :12]
    assert sorted(np.round(np.abs(lift).max(0), 9)) == [0.0] * 6 + [0.5] * 6
    assert np.array_equal(moved.after[:, 12], moved.before[:, 12])
    still = fitted_world(source, replace(ABOUT, drift=Drift("none")), 5)
    assert np.array_equal(still.success(rows, 3, 7), still.success(rows, 3, 0))
    season = fitted_world(source, replace(ABOUT, season=Season(0.5)), 5)
    assert not np.array_equal(season.success(rows, 3, 0), plain.success(rows, 3, 0))
    late = fitted_world(source, replace(ABOUT, offers=Offering(arrivals=(0.5,))), 5)
    assert late.open(0).tolist() == [True] * 8 + [False] + [True] * 3
    assert late.open(4).all()


def test_a_description_with_a_workspace_is_built_from_its_log(original, source, loaded):
    about = replace(ABOUT, workspace=str(loaded.root))
    world, same = build(about, 5, 70), fitted_world(source, ABOUT, 5, 70)
    assert np.array_equal(world.before, same.before)
    assert np.array_equal(world.outcomes(np.arange(70), 3, 1)[0], same.outcomes(np.arange(70), 3, 1)[0])
    with pytest.raises(WorkspaceError):
        build(replace(ABOUT, workspace="/nowhere"), 5)


def test_what_comes_and_goes_must_fit_the_catalogue(source):
    fits = replace(ABOUT, workspace="somewhere", offers=Offering(retirements=(0.5,) * 7, arrivals=(0.5,) * 4))
    assert fitted_world(source, fits, 5, 9).open(7).sum() == 5
    for more, said in (({"retirements": (0.5,) * 8}, "no warm"), ({"arrivals": (0.5,) * 5}, "more offers arrive")):
        with pytest.raises(CampaignError, match=said):
            fitted_world(source, replace(ABOUT, workspace="somewhere", offers=Offering(**more)), 5, 9)


def test_runs_tell_the_data_that_their_world_was_fitted_to_and_are_not_mixed_with_others(tmp_path):
    """Loading other exposures makes another world, unless the description names the data that it is of."""
    files = write(nbo(12, customers=80, history=400), tmp_path)
    workspace = _loaded(tmp_path, customers=files.customers, offers=files.offers, exposures=files.exposures)
    about = Description("mine", days=1, per_day=30, history=300, workspace=str(workspace.root))
    study, runs = Study(about, policies_of("uniform"), (1,)), tmp_path / "runs"
    (first, _) = played(study, runs, processes=1)
    data = current_version(workspace).id
    assert settings_of(path_of(runs, "mine", "uniform", 1))["data"] == data
    some = pq.read_table(files.exposures).slice(0, 300)
    pq.write_table(some, tmp_path / "some.parquet")
    load(workspace, {"exposures": tmp_path / "some.parquet"})
    with pytest.raises(WorkspaceError, match=data) as refused:
        played(study, runs, processes=1)
    assert f'data = "{data}"' in refused.value.remedy
    (other, _) = played(study, tmp_path / "other", processes=1)
    (same, _) = played(replace(study, about=replace(about, data=data)), tmp_path / "same", processes=1)
    assert same.reward == first.reward != other.reward
    with pytest.raises(NotFoundError, match="no data version 'none'"):
        build(replace(about, data="none"), 1)


def test_learners_live_in_it(source):
    known = Known(fitted_world(source, ABOUT, 5))
    share = {name: oracle_share(known, LEARNERS[name](known)) for name in ("allot", "uniform")}
    assert share["uniform"] < share["allot"] < 1.0


def test_other_columns_become_a_segment_and_numbers_and_the_newest_row_counts(tmp_path):
    customers = ["customer_id,valid_from,town,plan,age,vip"]
    customers += [f"c{i},2025-01-01T00:00:00Z,old,a,{i},false" for i in range(3)]
    customers += [
        f"c{i},2025-06-01T00:00:00Z,{'xy'[i % 2]},{'abc'[i % 3]},{i if i else ''},{i % 2 == 0}" for i in range(60)
    ]
    exposures = ["customer_id,offer_id,decided_at,propensity,outcome,reward,outcome_at"]
    for i in range(60):
        won = f"1,9,2025-07-0{i % 9 + 1}T01:00:00Z" if i % 4 == 0 else "0,0,"
        exposures.append(f"c{i},o{i % 2 + 1},2025-07-0{i % 9 + 1}T00:00:00Z,0.5,{won}")
    head = "offer_id,name,channel,category,contact_cost,redemption_cost,margin,starts_on,ends_on,eligible_when"
    offers = [head, *(f"o{a},O{a},mail,x,0.1,0,{a}0,2025-01-01,2026-12-31,true" for a in range(3))]
    paths = {}
    for name, lines in (("customers", customers), ("exposures", exposures), ("offers", offers)):
        paths[name] = tmp_path / f"{name}.csv"
        paths[name].write_text("\n".join(lines) + "\n")
    source = source_of(_loaded(tmp_path, **paths))
    people = source.customers
    assert len(people) == 60 and people.segments == ("x", "y")
    assert people.names == ("plan=a", "plan=b", "plan=c", "age", "vip")
    assert people.numeric[:, :3].sum(1).tolist() == [1.0] * 60
    assert np.isnan(people.numeric[:, 3]).sum() == 1
    assert source.offers.ids == ("o1", "o2", "o0"), "those of the log first"
    assert source.offers.warm.tolist() == [True, True, False]
    assert not source.chance[:, 3].any(), "without a control group nobody knows what happens without an offer"
    world = fitted_world(source, replace(ABOUT, offers=Offering(retirements=(0.5,))), 1)
    assert world.open(4).tolist() == [False, True, True]


def test_without_a_log_there_is_no_world(tmp_path):
    path = tmp_path / "customers.csv"
    path.write_text("customer_id,age\na,1\n")
    with pytest.raises(DataError, match="no offers are loaded"):
        source_of(_loaded(tmp_path, customers=path))

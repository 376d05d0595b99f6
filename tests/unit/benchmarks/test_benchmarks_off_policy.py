"""The policies that are judged are policies, and what their names say."""

import numpy as np
import pytest

from benchmarks.off_policy import held, judged_in, targets_of
from sims.allocations import Drawn
from sims.days import Known
from sims.judged import Judged
from sims.play import play
from sims.policies import policy_of
from sims.targets import ITSELF
from sims.world import nbo


@pytest.fixture(scope="module")
def seen():
    """Every target's table on one day, and the day."""
    known = Known(nbo(7, days=1, per_day=300, history=1_500))
    days: list[Drawn] = []
    tables = {}

    def keeping(name, target):
        def kept(day):
            days.append(day)
            tables[name] = target(day)
            return tables[name]

        return kept

    targets = {name: keeping(name, target) for name, target in targets_of(known).items()}
    (played,) = play(known, policy_of("allot"), targets=targets)
    return days[0], tables, played


def test_twenty_others_have_chances_of_what_may_be_sent(seen):
    day, tables, played = seen
    assert len(tables) == 21 and ITSELF in tables
    assert len({table.tobytes() for table in tables.values()}) == 21
    for table in tables.values():
        assert table.sum(1) == pytest.approx(np.ones(300))
        assert not table[:, :-1][~day.batch.eligible].any()
    assert {one.target for one in played.judged} == set(tables)


def test_limits_are_those_of_the_names(seen):
    day, tables, _ = seen
    spend = {name: float((table[:, :-1] * day.batch.cost).sum()) for name, table in tables.items()}
    budget = day.batch.limits[0].maximum
    assert spend["half the budget"] < 0.51 * budget < spend[ITSELF] <= budget
    assert budget < spend["budget 1.5 times"] <= 1.501 * budget < spend["without limits"]
    for name in ("calmer", "bolder", "itself, log alone", "without trees, log alone", "trees as they are, optimum"):
        assert spend[name] <= 1.001 * budget


def test_calmer_policies_are_nearer_to_certain(seen):
    _, tables, _ = seen
    surest = {name: float(tables[name].max(1).mean()) for name in ("calmer", ITSELF, "bolder")}
    assert surest["bolder"] < surest[ITSELF] < surest["calmer"]


def test_estimates_that_are_kept_are_not_made_again(tmp_path, monkeypatch):
    about = nbo(7, days=1, per_day=100, history=1_500).about
    first = judged_in(about, 7, tmp_path)
    monkeypatch.setattr("benchmarks.off_policy.play", None)
    assert judged_in(about, 7, tmp_path) == first and len(first) == 21


def test_an_interval_holds_the_truth_at_its_ends():
    one = Judged("x", 1, "supported", 1.0, 0.5, 0.0, 2.0, 2.0)
    assert held(one) and not held(Judged("x", 1, "supported", 1.0, 0.5, 0.0, 2.0, 2.1))

"""The referee of choice probabilities is right by itself, and the peers are asked the same questions as we are."""

import sys
from dataclasses import replace
from importlib import util
from types import ModuleType

import numpy as np
import pytest
from scipy.stats import norm

from bandit import choice_probabilities
from benchmarks import learner, learner_peers
from benchmarks.believed import Believed, alike, even, referee, uneven
from benchmarks.measure import said
from benchmarks.peers import ROOT, elsewhere, missing


def twins(mean: list[float], sd: list[float]) -> Believed:
    """Offers that earn 10 and cost nothing."""
    k = len(mean)
    beliefs = np.array([mean], np.float32), np.array([sd], np.float32)
    return Believed(*beliefs, np.full(k, 10.0), np.zeros((1, k), np.float32), np.ones((1, k), np.bool_))


@pytest.mark.parametrize("sd", [(1e-4, 1e-4), (1e-4, 1.0), (0.02, 0.5), (2.0, 1.5)])
def test_referee_of_two_offers_with_one_margin_is_a_normal_cdf(sd: tuple[float, float]) -> None:
    who = twins([-2.0, -2.0 + sd[0]], list(sd))
    mean, spread = who.mean[0].astype(float), who.sd[0].astype(float)
    expected = norm.cdf((mean[0] - mean[1]) / np.hypot(*spread))
    assert referee(who, 0) == pytest.approx([expected, 1 - expected], abs=1e-12)


def test_referee_divides_evenly_among_fifty_offers_that_look_alike() -> None:
    assert referee(twins([-1.0] * 50, [0.003] * 50), 0) == pytest.approx(np.full(50, 0.02), abs=1e-13)


@pytest.mark.parametrize("kind", [even, uneven, alike])
def test_twice_as_many_nodes_tell_the_referee_nothing_new(kind) -> None:
    who = kind(5, 20)
    for i in range(5):
        assert np.abs(referee(who, i) - referee(who, i, nodes=40)).max() < 1e-12


def test_referee_and_product_agree_where_no_offer_is_also_possible() -> None:
    who = uneven(40, 10, seed=3)
    who = replace(who, margin=who.margin / 8)
    ours = choice_probabilities(who.mean, who.sd, who.margin, who.price, who.eligible, threads=1)
    exact = np.array([referee(who, i) for i in range(40)])
    assert (ours[:, -1] > 0.01).any()
    assert np.abs(ours[:, :-1] - exact).max() < learner.LARGEST_ERROR


def test_a_floor_is_kept_broken_or_absent() -> None:
    assert [said(True), said(False), said(None)] == ["yes", "NO", ""]
    assert learner._within(2.1, 2.0, 1_000_000) == ("2.10", "<= 2", "NO")
    assert learner._within(0.1, 2.0, 1_000) == ("0.10", "<= 2", "")


def test_what_is_read_from_text_is_what_was_written() -> None:
    known = learner_peers.world(50, 7)
    assert np.allclose(learner_peers._read(learner_peers._text(known.coming)), known.coming, rtol=0, atol=1e-5)


def test_ours_learns_from_the_outcomes_that_the_peer_is_given() -> None:
    known = learner_peers.world(5_000, 500)
    own = learner_peers.ours(known)
    worth = (own.probability * known.chance).sum(1).mean()
    assert own.probability.sum(1) == pytest.approx(np.ones(500), abs=1e-6)
    assert worth > 0.8 * known.chance.max(1).mean() > 1.5 * known.chance.mean()


def test_a_ratio_below_the_floor_is_said() -> None:
    known = learner_peers.world(100, 10)
    own = learner_peers.Ours(np.full(4, 0.1), np.full(10, 1e-4), np.full((10, learner_peers.OFFERS), 0.05))
    peer = {"seconds": np.array([[1.1, 0.9, 1.1, 1.0]] * len(learner_peers.VARIANTS))}
    rows = learner_peers.compared(known, own, peer)
    assert [row[-1] for row in rows[:4]] == ["yes", "NO", "yes", "yes"]
    assert rows[1][2:5] == (1000, 111, "9.0")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The peer's side, without the peer."""
    fake = ModuleType("vowpalwabbit")
    fake.Workspace = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vowpalwabbit", fake)
    spec = util.spec_from_file_location("vowpal_script", ROOT / "benchmarks" / "vowpal.py")
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_lesson_names_the_cost_and_the_chance_of_the_action_that_was_taken(script: ModuleType) -> None:
    line = script._lines(np.array([[0.5, 0.0, -2.0]]))[0]
    assert line == "shared |s 0:0.5 2:-2"
    assert script._lesson(line, (0, 2, 5), 2, 0.75, 0.25).splitlines() == [line, "|a 0", "0:0.75:0.25 |a 2", "|a 5"]
    assert script._question(line, (1, 3)).splitlines() == [line, "|a 1", "|a 3"]


def test_costs_outside_the_declared_range_are_refused(script: ModuleType) -> None:
    assert script._extremes([np.array([0.0, 0.5]), np.array([0.9])], -1.0) == pytest.approx((-1.0, -0.1))
    with pytest.raises(ValueError, match="are not in"):
        script._extremes([np.array([0.0]), np.array([1.5])], 0.0)


@pytest.mark.parametrize(
    ("package", "script", "options"),
    [
        (
            "vowpalwabbit",
            ("vowpal.py", "play"),
            ["--epsilon 0.1 -l 2", "--epsilon 0.1 -l 2 --cb_min_cost -1 --cb_max_cost 0"],
        ),
        ("mabwiser", ("mabwiser_peer.py",), ["LinTS alpha=0.1", "LinGreedy epsilon=0.1"]),
    ],
)
def test_a_peer_learns_what_it_hears_and_hears_nothing_before_its_time(package, script, options) -> None:
    if missing(package):
        pytest.skip(f"the benchmarks' own environment has no {package}")
    r = np.random.default_rng(4)
    label = r.integers(0, 3, 900)
    customers = np.eye(3)[label] + 0.1 * r.normal(size=(900, 3))
    allowed = np.ones((900, 3), np.bool_)
    allowed[np.arange(0, 900, 7), (label[::7] + 1) % 3] = False
    job = {"customers": customers[:1], "arm": [0], "cost": [1.0], "chance": [1.0], "offers": 3, "seed": 1}
    job |= {"coming": customers, "allowed": allowed, "costs": 1.0 - np.eye(3)[label], "options": options}
    job |= {"ends": np.linspace(0, 900, 10).astype(int)}
    choice = elsewhere(*script, **job, delay=1)["choice"]
    deaf = elsewhere(*script, **job, delay=9)["choice"]
    assert ((choice[:, 600:] == label[600:]).mean(1) > 0.8).all()
    assert ((deaf == label).mean(1) < 0.6).all()
    assert (choice[:, :100] == deaf[:, :100]).all()
    assert allowed[np.arange(900), choice].all() and allowed[np.arange(900), deaf].all()

"""Several customers in one set of statements: what is said, kept and held is what each would have got alone."""

import shutil
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

import numpy as np
import pytest
from engine_singles import PLENTY, Purse, counter, exploring

from bandit import SUCCESSES
from engine.campaign import ContactPolicy, LimitSpec, Where
from engine.serving import decide
from engine.serving.budget import Prices
from engine.serving.customer import from_audience
from engine.serving.decide import TakenError
from engine.serving.requests import Refusal
from engine.serving.weigh import Chances, chances, unsure
from warehouse import GroupCommit, Ledger
from warehouse.singles import single_of


@pytest.fixture(scope="module")
def house(decided, tmp_path_factory):
    """Where customers of different segments draw on different limits."""
    lab, _ = decided
    lab = lab.copy(tmp_path_factory.mktemp("together"))
    seniors = Where(customers=(("segment", ("senior",)),))
    calls_to_the_young = Where((("channel", ("call",)),), (("segment", ("starter", "family")),))
    apart = (
        LimitSpec("money for seniors", "cost", seniors, maximum=10_000.0),
        LimitSpec("calls to the young", "count", calls_to_the_young, maximum=10_000.0),
    )
    limits = (*lab.campaign.limits, *apart)
    lab.allocate(20, exploration=replace(lab.campaign.exploration, share=0.3), limits=limits)
    return lab.workspace


def uneven(desk):
    """Prices and exploration that differ from cell to cell."""
    r, book = np.random.default_rng(4), desk.snapshot.book
    cells, k = len(book.labels), len(book.offer_ids)
    return Prices("uneven", r.uniform(0.0, 0.4, (3, cells, k)), r.uniform(0.5, 1.0, (cells, k)))


class Undone(Exception):
    pass


@contextmanager
def undone(desk):
    """A transaction that leaves nothing."""
    with pytest.raises(Undone), desk.store.transaction() as session:
        yield session
        raise Undone


def requests(desk, count=8):
    return [desk.request(f"d-{i}", customer) for i, customer in enumerate(desk.customers[:count])]


def people(desk, asked):
    return [(one, from_audience(desk.snapshot, one.name)) for one in asked]


def found(desk, asked, left, *, together):
    """What is said, kept and held with this much left."""
    desk.purse, desk.prices = Purse(dict(left)), uneven(desk)
    work = people(desk, asked)
    with undone(desk) as session:
        if together:
            said = desk.decider.decide_all(session, work)
        else:
            said = [desk.decider.decide(session, one, person) for one, person in work]
        kept = [single_of(session, one.decision_id) for one in asked]
    return said, kept, desk.purse


@pytest.mark.parametrize(
    "left",
    [
        "plenty",
        "nothing of one",
        "not enough of one for the dearest",
        "enough for two",
        "what they may take",
        "nothing",
        "enough for nobody",
    ],
)
def test_together_is_as_one_after_the_other(house, left):
    with counter(house) as desk:
        desk.snapshot = exploring(desk.snapshot, share=0.3)
        asked = requests(desk)
        most = dict.fromkeys(desk.decider.needs.names, 0)
        who = [person for _, person in people(desk, asked)]
        needs = desk.decider.weigh(who).needs
        allowed = sum(need[:, one.reasons == 0].max(1) for need, one in zip(needs, who, strict=True))
        for name, need in zip(most, needs.max((0, 2)).tolist(), strict=True):
            most[name] = need
        first = next(name for name, need in most.items() if need)
        plenty = dict.fromkeys(most, PLENTY)
        some = {
            "plenty": plenty,
            "nothing of one": plenty | {first: 0},
            "not enough of one for the dearest": plenty | {first: most[first] - 1},
            "enough for two": plenty | {first: 2 * most[first] + 1},
            "what they may take": dict(zip(most, allowed.tolist(), strict=True)),
            "nothing": dict.fromkeys(most, 0),
            "enough for nobody": dict.fromkeys(most, 1),
        }[left]
        single, together = (found(desk, asked, some, together=way) for way in (False, True))
        assert together[:2] == single[:2]
        assert together[2] == single[2]
        if left == "plenty":
            assert single[2].held


@pytest.mark.parametrize("exhausted", [False, True])
def test_where_nobody_takes_what_another_could_want_all_chances_are_found_at_once(house, exhausted, monkeypatch):
    passes = []

    def counted(snapshot, those, *given):
        passes.append(len(those.customers))
        return chances(snapshot, those, *given)

    monkeypatch.setattr(decide, "chances", counted)
    with counter(house) as desk:
        left = dict.fromkeys(desk.decider.needs.names, PLENTY)
        found(desk, requests(desk), left | ({"budget": 0} if exhausted else {}), together=True)
    assert passes == [8]


def bits(thing):
    """Everything in a dataclass, arrays as bytes with their shapes."""
    if is_dataclass(thing):
        return {one.name: bits(getattr(thing, one.name)) for one in fields(thing) if one.name != "customers"}
    return (np.asarray(thing).tobytes(), np.shape(thing)) if isinstance(thing, np.ndarray) else thing


@pytest.mark.parametrize(
    "way", ["profit", "incremental", "margins", "incremental margins", "segments", "nothing known", "greedy"]
)
def test_a_customer_has_the_same_bits_whoever_is_weighed_with_them(house, way):
    r = np.random.default_rng(9)
    with counter(house) as desk:
        desk.snapshot, desk.prices = exploring(desk.snapshot, share=0.3, temperature=0.7), uneven(desk)
        book = desk.snapshot.book
        if way.startswith("incremental"):
            campaign, terms = replace(book.campaign, objective="incremental"), replace(book.terms, outside_margin=2.0)
            desk.snapshot = replace(desk.snapshot, book=replace(book, campaign=campaign, terms=terms))
        elif way == "greedy":
            desk.snapshot = exploring(desk.snapshot, temperature=0.0)
        elif way in ("segments", "nothing known"):
            known = desk.snapshot.segments
            theirs = replace(known, relative=r.uniform(0.5, 2.0, known.relative.shape))
            segments = theirs if way == "segments" else None
            desk.snapshot = replace(desk.snapshot, scoring=None, segments=segments)
        away = int(np.flatnonzero(book.held_out & (book.reasons == 0).any(1))[0])
        some = [*range(9), away]
        who = [from_audience(desk.snapshot, book.customer_id[row].as_py()) for row in some]
        if way.endswith("margins"):
            theirs = [r.uniform(0.5, 2.0, one.scored.logits.shape) for one in who]
            who = [replace(one, scored=replace(one.scored, relative=own)) for one, own in zip(who, theirs, strict=True)]
        assert len({one.cell for one in who}) > 1
        assert any((one.reasons > 0).any() for one in who)
        those, room = desk.decider.weigh(who), np.full(len(desk.decider.needs.names), PLENTY)
        reasons, offers = np.stack([one.reasons for one in who]), r.integers(0, len(book.offer_ids), len(who))
        found, sd = chances(desk.snapshot, those, desk.prices, reasons, room), unsure(SUCCESSES, those, offers)
        assert not found.probability[:, :-1][found.reasons > 0].any()
        assert found.probability[-1].tolist() == [0.0] * len(book.offer_ids) + [1.0]  # held out
        for i, one in enumerate(who):
            alone, row = desk.decider.weigh([one]), slice(i, i + 1)
            assert bits(those.alone(i)) == bits(alone)
            drawn_from = chances(desk.snapshot, alone, desk.prices, reasons[row], room)
            assert bits(Chances(found.reasons[row], found.price[row], found.probability[row])) == bits(drawn_from)
            assert bits(sd[row]) == bits(unsure(SUCCESSES, alone, offers[row]))


def test_the_ledger_is_asked_for_all_that_could_be_taken_and_lends_what_each_would_get_alone(house):
    class Strict(Purse):
        """Lends what is asked for, and no more."""

        needs: ClassVar[list[dict[str, int]]] = []

        def room(self, session, account, need):
            self.needs.append(need)
            return {name: min(amount, need.get(name, 0)) for name, amount in self.left.items()}

    with counter(house) as desk:
        desk.snapshot, desk.prices = exploring(desk.snapshot, share=0.3), uneven(desk)
        plenty, work = dict.fromkeys(desk.decider.needs.names, PLENTY), people(desk, requests(desk, 24))
        told = []
        for size in (1, len(work)):
            desk.purse = Strict(dict(plenty))
            with undone(desk) as session:
                parts = [work[at : at + size] for at in range(0, len(work), size)]
                said = [one for part in parts for one in desk.decider.decide_all(session, part)]
            told.append((said, desk.purse.held))
        assert told[0] == told[1]
        *alone, together = Strict.needs
        assert together == {name: sum(one.get(name, 0) for one in alone) for name in together}
        allowed = [one.reasons == 0 for _, one in work]
        needs = desk.decider.weigh([one for _, one in work]).needs
        most = sum(need[:, free].max(1) for need, free in zip(needs, allowed, strict=True))
        assert together == {n: m for n, m in zip(desk.decider.needs.names, most.tolist(), strict=True) if m}


def test_customers_of_whom_the_model_knows_and_others_are_decided_one_by_one(house):
    with counter(house) as desk:
        asked = people(desk, requests(desk))
        asked[2] = asked[2][0], replace(asked[2][1], scored=None)
        with undone(desk) as session:
            alone = [desk.decider.decide(session, *one) for one in asked]
        desk.purse = Purse(dict.fromkeys(desk.decider.needs.names, PLENTY))
        with undone(desk) as session:
            assert desk.decider.decide_all(session, asked) == alone
        assert [one.mode for one in alone].count("segment_prior") == 1


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
@pytest.mark.parametrize("part", [1.5, 0.5], ids=["one of the dearest fits", "only cheaper ones fit"])
def test_a_small_budget_is_drawn_on_until_nothing_fits_any_more(house, tmp_path, together, part):
    with counter(type(house).open(shutil.copytree(house.root, tmp_path / "house"))) as desk:
        decider = desk.decider
        work = people(desk, requests(desk, len(desk.customers)))
        needs = decider.weigh([person for _, person in work]).needs
        first = int(np.flatnonzero(needs.max((0, 2)))[0])
        cap = int(needs[:, first].max() * part)
        caps = dict.fromkeys(decider.needs.names, PLENTY) | {decider.needs.names[first]: cap}
        desk.purse = Ledger(desk.store, worker="w", clock=lambda: datetime.now(UTC))
        desk.purse.open(decider.account, caps)
        decider = desk.decider
        with undone(desk) as session:
            for at in range(0, len(work), 4):
                some = work[at : at + 4]
                if together:
                    decider.decide_all(session, some)
                else:
                    [decider.decide(session, *each) for each in some]
            left = decider.budget.room(session, decider.account, {decider.needs.names[first]: cap})
        assert left[decider.needs.names[first]] < cap


def test_where_there_is_enough_the_ledger_is_asked_once_and_holds_once(house):
    class Counting(Purse):
        calls = 0

        def room(self, *given):
            self.calls += 1
            return super().room(*given)

        def hold_all(self, *given):
            self.calls += 1
            return super().hold_all(*given)

    with counter(house) as desk:
        desk.purse = Counting(dict.fromkeys(desk.decider.needs.names, PLENTY))
        with undone(desk) as session:
            desk.decider.decide_all(session, people(desk, requests(desk)))
        assert desk.purse.calls == 2


def test_one_customer_twice_is_decided_one_after_the_other(decided, tmp_path):
    lab, _ = decided
    lab = lab.copy(tmp_path)
    lab.allocate(20, contact=ContactPolicy(most=1, days=10), limits=())
    with counter(lab.workspace) as desk:
        book = desk.snapshot.book
        free = [c for c in desk.customers if book.reached.count[book.find(c)] == 0][:20]
        asked = [desk.request(f"{way}-{c}", c) for c in free for way in "ab"]
        said = found(desk, asked, {}, together=True)[0]
        assert said == found(desk, asked, {}, together=False)[0]
        after = [b.status for a, b in zip(said[::2], said[1::2], strict=True) if a.offer_id is not None]
        assert after
        assert set(after) == {"no_eligible"}


def test_among_several_one_that_was_asked_before_has_its_old_answer_and_a_taken_id_is_refused(house, tmp_path):
    with counter(type(house).open(shutil.copytree(house.root, tmp_path / "house"))) as desk:
        first, second, third = requests(desk, 3)
        before = desk.one(first.decision_id, first.name)
        other = replace(second, decision_id=third.decision_id)
        held = dict(desk.purse.held)
        with pytest.raises(TakenError), desk.store.transaction() as session:
            desk.decider.decide_all(session, people(desk, [first, second]))
        assert desk.purse.held == held

        def together(session, work):
            return desk.decider.decide_all(session, work)

        writer = GroupCommit(desk.store)
        try:
            futures = [writer.submit_item(work, together) for work in people(desk, [first, second, third])]
            said = [future.result(10) for future in futures]
            (late,) = [writer.submit_item(work, together) for work in people(desk, [other])]
            assert isinstance(late.result(10), Refusal)
        finally:
            writer.close()
        assert said[0] == before
        assert [one.decision_id for one in said] == [first.decision_id, second.decision_id, third.decision_id]

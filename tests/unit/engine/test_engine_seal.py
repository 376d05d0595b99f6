"""Single decisions become allocations: each in exactly one file, and learnt from as it was served."""

from collections import Counter
from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from engine_singles import ON_BOTH, counter

from api import tables
from engine.evaluate import Question, evaluate
from engine.explain import explain
from engine.fold import RowReader
from engine.learn import learn
from engine.rows import released
from engine.serving import seal as sealing
from engine.serving.customer import from_audience
from engine.serving.features import Asked, from_features
from engine.serving.requests import Request
from engine.serving.seal import seal
from sims.files import moment, outcome_rows
from warehouse import connect, feedback_items, history, open_store, outcomes, read_decisions, take_feedback
from warehouse.singles import single_of

DAY = 20


@pytest.fixture
def house(decided, kept_in, tmp_path):
    """A workspace with a release that single decisions are made in."""
    lab, _ = decided
    lab = kept_in(lab, tmp_path)
    lab.allocate(DAY, limits=(), exploration=replace(lab.campaign.exploration, share=0.1))
    return lab


def ask(lab, names, hours=(0,)):
    """Decide for the first customers, some in each hour; returns the decisions."""
    said = []
    with counter(lab.workspace) as desk:
        people = desk.snapshot.book.customer_id.to_pylist()
        for hour in hours:
            said += [
                desk.one(f"{n}-{hour}", c, after=timedelta(hours=hour)) for n, c in zip(names, people, strict=False)
            ]
    return said


def hear(lab, decisions, day=DAY):
    """What the world says of them, three days later."""
    rows = [(d.decision_id, d.customer_id, d.offer_id) for d in decisions]
    answers = outcome_rows(lab.world, rows, day, delay_days=3.0)
    with open_store(lab.workspace) as store:
        items = feedback_items([asdict(answer) for answer in answers])
        return take_feedback(store, items, set, received_at=moment(day + 4))


def close(lab, hours=48):
    with open_store(lab.workspace) as store:
        return seal(lab.workspace, store, now=moment(DAY) + timedelta(hours=hours))


def sealed(lab):
    """Every decision in a sealed file, by id, and how often."""
    with open_store(lab.workspace) as store:
        files = [lab.workspace.root / a.decisions_path for a in store.allocations(status="released") if a.single]
    return Counter(i for path in files for i in read_decisions(path, ["decision_id"])["decision_id"].to_pylist())


def names(count, letter="d"):
    return [f"{letter}{i:04}" for i in range(count)]


def test_decide_hear_seal_learn_evaluate_explain(house, capsys):
    said = ask(house, names(300), hours=(0, 5))
    hear(house, said)
    made = close(house)
    assert len(made) == 2
    learnt = learn(house.workspace, as_of=moment(DAY + 30))
    with open_store(house.workspace) as store:
        singles = [a for a in store.allocations(status="released") if a.single]
        assert {a.allocation_id for a in singles} == set(made)
        assert store.latest_allocation().single is False
    assert learnt["folded"] + learnt["filled"] >= len([d for d in said if d.status != "held_out"])
    question = Question(None, None, None, made, 30.0, moment(DAY + 30))
    judged = evaluate(house.workspace, question)
    assert judged["rows"] == sum(d.status != "held_out" for d in said)
    chosen = next(d for d in said if d.offer_id is not None)
    told = explain(house.workspace, chosen.customer_id, made[0])
    assert told["chosen"] in {d.offer_id for d in said if d.customer_id == chosen.customer_id}
    assert told["without_reasons"] == ""
    tables.explained(told)
    assert told["sentence"] in " ".join(capsys.readouterr().out.split())


@ON_BOTH
def test_every_decision_is_in_exactly_one_file(house):
    said = ask(house, names(40), hours=(0, 1, 5))
    assert close(house, hours=4)  # the fourth hour is not over by the patience
    assert set(sealed(house)) == {d.decision_id for d in said if d.decided_at < moment(DAY) + timedelta(hours=3)}
    close(house)
    assert close(house) == ()
    assert sealed(house) == Counter(d.decision_id for d in said)


def test_an_hour_that_is_not_over_by_the_patience_waits(house):
    ask(house, names(5))
    with open_store(house.workspace) as store:
        just = moment(DAY) + timedelta(hours=2)
        assert seal(house.workspace, store, now=just + timedelta(seconds=59)) == ()
        assert len(seal(house.workspace, store, now=just + timedelta(seconds=60))) == 1


@ON_BOTH
def test_a_decision_that_is_committed_while_its_hour_is_sealed_is_not_lost(house, monkeypatch):
    early = ask(house, names(10))
    write = sealing.write_singles
    late = []

    def slow(folder, singles, meta):
        if not late:
            late.extend(ask(house, ["late"]))
        return write(folder, singles, meta)

    monkeypatch.setattr(sealing, "write_singles", slow)
    close(house)
    assert "late-0" not in sealed(house)
    close(house)
    assert sealed(house) == Counter(d.decision_id for d in [*early, *late])


@pytest.mark.parametrize("step", ["publish", "mark_sealed"])
def test_what_stops_half_way_is_done_again_and_counts_once(house, monkeypatch, step):
    said = ask(house, names(10))

    class Stopped(Exception):
        pass

    whole = getattr(sealing, step)

    def stop(*arguments):
        whole(*arguments)
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(sealing, step, stop)
        with pytest.raises(Stopped):
            close(house)
    assert sealed(house) == Counter()
    close(house)
    assert sealed(house) == Counter(d.decision_id for d in said)
    assert len(list(house.workspace.decisions.glob("single-*"))) == 1


def test_learning_sees_customers_as_they_were_served(house):
    """Prior logit and basis of every row, also where the request brought features."""
    ask(house, names(12))
    with counter(house.workspace) as desk:
        snapshot, store = desk.snapshot, desk.store
        customer = desk.customers[0]
        loaded = {"age": 33.0} if "age" in columns(snapshot) else {columns(snapshot)[0]: 0.25}
        request = Request("with", "spring", customer, desk.opened, loaded)
        given = from_features(house.workspace, store, snapshot, Asked(customer, loaded))
        with store.transaction() as session:
            desk.decider.decide(session, request, given)
        served = {"with": given.scored}
        for i, name in enumerate(names(12)):
            served[f"{name}-0"] = from_audience(snapshot, snapshot.book.customer_id[i].as_py()).scored
        foundation = snapshot.scoring.foundation
    close(house)
    with open_store(house.workspace) as store, connect(house.workspace) as connection:
        allocations = {a.allocation_id: a for a in store.allocations(status="released") if a.single}
        log = history(connection, released(house.workspace, [*allocations.values()]), outcomes(store), moment(90))
        rows = RowReader(house.workspace, store, foundation, allocations)(log)
    for i, decision in enumerate(sorted(served)):
        scored = served[decision]
        np.testing.assert_array_equal(rows.basis[i], scored.basis[0])
        assert rows.logit[i] == scored.logits[0, rows.arm[i]]
    assert not np.array_equal(served["with"].basis, from_audience(snapshot, customer).scored.basis)


def columns(snapshot):
    """Numeric customer columns that the model reads."""
    features = snapshot.scoring.foundation.features.features
    return [f.name.removeprefix("customer.") for f in features if f.kind == "number" and f.name.startswith("customer.")]


def test_an_hour_without_feedback_is_silence_where_another_hour_of_the_release_was_heard(house):
    first, second = ask(house, names(30), hours=(0,)), ask(house, names(30), hours=(5,))
    hear(house, first)
    made = close(house)
    with open_store(house.workspace) as store, connect(house.workspace) as connection:
        every = [store.allocation(one) for one in made]
        log = history(connection, released(house.workspace, every), outcomes(store), moment(90))
    quiet = log.filter(pa.compute.is_in(log["decision_id"], pa.array([d.decision_id for d in second])))
    assert quiet.num_rows == 30
    assert all(quiet["silence_is_failure"].to_pylist())
    assert not any(quiet["answered"].to_pylist())


def test_each_row_keeps_its_own_moment(house):
    said = {d.decision_id: d for d in ask(house, names(6), hours=(0, 1))}
    made = close(house)
    with open_store(house.workspace) as store, connect(house.workspace) as connection:
        every = [store.allocation(one) for one in made]
        log = history(connection, released(house.workspace, every), outcomes(store), moment(90))
    assert log["decision_id"].to_pylist() == sorted(said)
    for row in log.to_pylist():
        assert row["decided_at"] == said[row["decision_id"]].decided_at


def test_the_next_release_remembers_contacts_of_single_decisions(house):
    said = ask(house, names(100))
    contacted = {d.customer_id for d in said if d.offer_id is not None}
    with counter(house.workspace) as desk:
        book = desk.snapshot.book
        before = dict(zip(book.customer_id.to_pylist(), (book.contacts + book.reached.count).tolist(), strict=True))
    close(house)
    house.allocate(DAY + 3, limits=())
    with counter(house.workspace) as desk:
        book = desk.snapshot.book
        after = dict(zip(book.customer_id.to_pylist(), book.contacts.tolist(), strict=True))
        for customer, count in after.items():
            assert count == before[customer] + (customer in contacted)


def test_a_sealed_decision_is_still_answered_again(house):
    (first,) = ask(house, ["d1"])
    close(house)
    (again,) = ask(house, ["d1"])
    assert again == first
    with open_store(house.workspace) as store, store.transaction(write=False) as session:
        assert single_of(session, "d1-0").sealed_in is not None


def test_a_release_in_the_place_of_another_leaves_single_decisions_counting(house):
    """They were made and sent, whatever becomes of the plan for the others."""
    ask(house, names(5), hours=(-1,))  # in the hour of the release itself
    close(house)
    before = sealed(house)
    again = house.allocate(DAY, limits=(), exploration=replace(house.campaign.exploration, share=0.2))
    assert len(again["warnings"]) > 0  # the plan before no longer counts
    assert sealed(house) == before
    assert sum(before.values()) == 5

"""Candidates: rules of every kind, NULL, households, history of customers, and order."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from allot import DataError, RuleError
from allot.uniforms import keys
from governance import Rule, Vocabulary, candidate_plan, compile_eligible_when, compile_rule, contact_rules, house_rules
from warehouse import Workspace, audience_ids, candidates, connect

AS_OF = datetime(2026, 3, 1, 15, tzinfo=UTC)


@pytest.fixture
def connection(tmp_path):
    with connect(Workspace.init(tmp_path), user_sql=True, threads=1) as connection:
        yield connection


def offer(offer_id, **columns):
    return {"offer_id": offer_id, "channel": "email", "eligible_when": None, **columns}


def described(connection, relation):
    return {row[0]: row[1] for row in connection.execute(f"DESCRIBE FROM {relation}").fetchall()}


def planned(connection, customers, offers, rules=(), *, memory=None, household=False, house=False):
    """Compile rules for tables and return a plan; the tables become relations."""
    connection.register("customers", customers)
    connection.register("offers", pa.Table.from_pylist(offers))
    if memory is not None:
        connection.register("memory", memory)
    words = Vocabulary(
        described(connection, "customers"),
        described(connection, "offers"),
        {} if memory is None else described(connection, "memory"),
    )
    rules = [*(house_rules(words) if house else ()), *rules]
    compiled = [compile_rule(rule, words, as_of=AS_OF) for rule in rules]
    own = compile_eligible_when(offers, words, as_of=AS_OF)
    return candidate_plan(offers, compiled, own, household=household)


def reasons(found, plan):
    """{customer: names of the failed rules per offer}."""
    names = [[tuple(rule.name for rule in plan.failed(int(mask))) for mask in row] for row in found.reasons]
    return dict(zip(found.customer_id.to_pylist(), names, strict=True))


def rule(name, predicate):
    return Rule(name, f"because of {name}", predicate)


def test_every_rule_that_fails_is_a_reason_and_null_fails(connection):
    customers = pa.table({"customer_id": ["a", "b", "c"], "age": [30, 10, None], "plan": ["x", "y", "x"]})
    offers = [offer("one", level=1), offer("two", level=2, channel=None, eligible_when="plan = 'x'")]
    rules = [rule("adult", "age >= 18"), rule("level", "age > 10 * level"), rule("mail", "channel = 'email'")]
    plan = planned(connection, customers, offers, rules)
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    assert reasons(found, plan) == {
        "a": [(), ("mail",)],
        "b": [("adult", "level"), ("adult", "level", "mail", "eligible_when")],
        "c": [("adult", "level"), ("adult", "level", "mail")],
    }
    assert [r.reason for r in plan.failed(1)] == ["because of adult"]


def test_each_offer_is_judged_by_its_own_values(connection):
    """Values of every type come back as the literals that they were."""
    customers = pa.table({"customer_id": ["a"], "x": [1]})
    values = {
        "text": ["it's", "two", None],
        "number": [0.1, -1e-300, 2.5],
        "whole": [2**60, -1, 0],
        "flag": [True, False, None],
        "day": [AS_OF.date(), None, AS_OF.date() - timedelta(days=1)],
        "moment": [AS_OF, AS_OF - timedelta(microseconds=1), None],
    }
    offers = [offer(str(i), **{name: column[i] for name, column in values.items()}) for i in range(3)]
    rules = [
        rule("text", "text = 'it''s' and x = 1"),
        rule("number", "number = 0.1"),
        rule("whole", f"whole = {2**60}"),
        rule("flag", "flag is not false"),
        rule("day", "day = cast(as_of as date)"),
        rule("moment", "moment = as_of"),
    ]
    plan = planned(connection, customers, offers, rules)
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    assert reasons(found, plan)["a"] == [
        (),
        ("text", "number", "whole", "flag", "day", "moment"),
        ("text", "number", "whole", "day", "moment"),
    ]


def test_consent_is_refused_only_by_false_and_offer_dates_are_inclusive_and_open(connection):
    customers = pa.table({"customer_id": ["yes", "no", "unknown"], "consent": [True, False, None]})
    today, day = AS_OF.date(), timedelta(days=1)
    offers = [
        offer("first_day", starts_on=today, ends_on=None),
        offer("last_day", starts_on=None, ends_on=today),
        offer("tomorrow", starts_on=today + day, ends_on=None),
        offer("yesterday", starts_on=None, ends_on=today - day),
    ]
    plan = planned(connection, customers, offers, house=True)
    found = reasons(candidates(connection, plan, audience_sql="true", as_of=AS_OF), plan)
    assert found["yes"] == found["unknown"] == [(), (), ("offer_started",), ("offer_ended",)]
    assert found["no"] == [("consent",), ("consent",), ("consent", "offer_started"), ("consent", "offer_ended")]


def test_the_contact_policy_counts_contacts_and_refusals_and_knows_nothing_of_strangers(connection):
    customers = pa.table({"customer_id": ["new", "fresh", "tired", "hurt", "mailed"]})
    memory = pa.table(
        {
            "customer_id": ["fresh", "tired", "hurt", "mailed"],
            "contacts_30d": [1, 2, 0, 1],
            "contacts_30d_email": [0, 0, 0, 1],
            "days_since_refusal": [None, 10.0, 9.9, 11.0],
        }
    )
    rules = contact_rules(most=2, days=30, quiet_days=10, channels={"email": 1})
    offers = [offer("mail"), offer("call", channel="phone")]
    plan = planned(connection, customers, offers, rules, memory=memory)
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF, memory="memory")
    assert reasons(found, plan) == {
        "new": [(), ()],
        "fresh": [(), ()],
        "tired": [("contacts",), ("contacts",)],
        "hurt": [("quiet_period",), ("quiet_period",)],
        "mailed": [("contacts_email",), ()],
    }
    assert found.memory is not None
    by_id = dict(zip(found.customer_id.to_pylist(), found.memory["contacts_30d"].to_pylist(), strict=True))
    assert by_id == {"new": None, "fresh": 1, "tired": 2, "hurt": 0, "mailed": 1}
    with pytest.raises(RuleError, match="memory"):
        candidates(connection, plan, audience_sql="true", as_of=AS_OF)


def test_one_member_of_a_household_is_addressed_the_first_in_hash_order_who_may_be(connection):
    ids = [f"c{i}" for i in range(40)]
    customers = pa.table(
        {
            "customer_id": ids,
            "household_id": [f"h{i % 8}" if i < 32 else None for i in range(40)],
            "ok": [i % 8 != 7 and i % 3 != 0 for i in range(40)],
        }
    )
    plan = planned(connection, customers, [offer("one"), offer("two")], [rule("ok", "ok")], household=True)
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    by_id = reasons(found, plan)
    order = [ids[i] for i in np.argsort(keys(ids))]
    expected = {}
    for customer in order:
        i = ids.index(customer)
        if i < 32 and customers["ok"][i].as_py():
            expected.setdefault(i % 8, customer)
    for i, customer in enumerate(ids):
        served = i < 32 and i % 8 in expected and expected[i % 8] != customer
        assert (
            by_id[customer]
            == [(*(() if customers["ok"][i].as_py() else ("ok",)), *(("household",) if served else ()))] * 2
        )


def test_households_need_their_column(connection):
    plan = planned(connection, pa.table({"customer_id": ["a"]}), [offer("one")], household=True)
    with pytest.raises(RuleError, match="household_id"):
        candidates(connection, plan, audience_sql="true", as_of=AS_OF)


def test_customers_are_taken_as_they_were_known_at_the_moment(connection):
    at = [AS_OF - timedelta(days=2), AS_OF, AS_OF + timedelta(seconds=1), AS_OF + timedelta(days=1)]
    customers = pa.table({"customer_id": ["a", "a", "a", "later"], "valid_from": at, "age": [1, 2, 3, 4]})
    plan = planned(connection, customers, [offer("one")])
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    assert found.columns.select(["customer_id", "age"]).to_pylist() == [{"customer_id": "a", "age": 2}]
    before = candidates(connection, plan, audience_sql="true", as_of=AS_OF - timedelta(microseconds=1))
    assert before.columns["age"].to_pylist() == [1]
    with pytest.raises(DataError, match="4 rows of customers are valid only after"):
        candidates(connection, plan, audience_sql="true", as_of=AS_OF - timedelta(days=9))


def test_order_of_input_does_not_show(connection):
    ids = [f"k{i}" for i in range(500)]
    table = pa.table({"customer_id": ids, "x": list(range(500))})
    plan = planned(connection, table, [offer("one", eligible_when="x % 3 = 0"), offer("two")])
    first = candidates(connection, plan, audience_sql='c."x" >= 100', as_of=AS_OF)
    plan = planned(
        connection, table.take(pa.array(range(499, -1, -1))), [offer("one", eligible_when="x % 3 = 0"), offer("two")]
    )
    second = candidates(connection, plan, audience_sql='c."x" >= 100', as_of=AS_OF)
    assert first.customer_id == second.customer_id
    assert first.columns.equals(second.columns)
    np.testing.assert_array_equal(first.reasons, second.reasons)
    np.testing.assert_array_equal(first.key, keys(first.customer_id.to_pylist()))
    assert (np.diff(first.key.astype(object)) > 0).all()
    assert sorted(first.customer_id.to_pylist()) == sorted(ids[100:])
    np.testing.assert_array_equal(first.reasons[:, 0] == 0, np.array(first.columns["x"]) % 3 == 0)
    assert audience_ids(connection, audience_sql='c."x" >= 100', as_of=AS_OF).to_pylist() == sorted(ids[100:])


def test_an_empty_audience_says_which_rule_and_how_many_there_are(connection):
    plan = planned(connection, pa.table({"customer_id": ["a", "b"], "age": [1, None]}), [offer("one")])
    with pytest.raises(DataError, match="none of 2 customers satisfies age > 7"):
        candidates(connection, plan, audience_sql="age > 7", as_of=AS_OF)
    assert len(candidates(connection, plan, audience_sql="age > 0", as_of=AS_OF).key) == 1


def test_a_rule_that_breaks_on_the_data_is_named(connection):
    customers = pa.table({"customer_id": ["a", "b"], "plan": ["7", "gold"], "age": [2**62, 1]})
    plan = planned(
        connection,
        customers,
        [offer("one"), offer("two", eligible_when="plan > 'a' and age <> 'old'")],
        [rule("p", "age > 'old'")],
    )
    with pytest.raises(RuleError, match="rule 'p': cannot be evaluated"):
        candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    plan = planned(connection, customers, [offer("one"), offer("two", eligible_when="plan > 'a' and age <> 'old'")])
    with pytest.raises(RuleError, match="eligible_when of offer two"):
        candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    with pytest.raises(RuleError, match="rule 'audience'"):
        candidates(connection, plan, audience_sql="age > 'old'", as_of=AS_OF)


def test_a_cast_that_fails_is_null_and_does_not_pass(connection):
    customers = pa.table({"customer_id": ["a", "b"], "plan": ["7", "gold"]})
    plan = planned(connection, customers, [offer("one")], [rule("p", "plan::int > 3")])
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF)
    assert reasons(found, plan) == {"a": [()], "b": [("p",)]}


def test_many_rules_fill_the_whole_mask(connection):
    customers = pa.table({"customer_id": ["a"], "age": [5]})
    rules = [rule(f"r{i}", f"age > {4 + i % 2}") for i in range(62)]
    plan = planned(connection, customers, [offer("one", eligible_when="age > 9")], rules)
    mask = int(candidates(connection, plan, audience_sql="true", as_of=AS_OF).reasons[0, 0])
    assert [r.name for r in plan.failed(mask)] == [*(f"r{i}" for i in range(1, 62, 2)), "eligible_when"]

"""The bitmask is what asking every rule about every pair, one at a time, would give."""

from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance import Rule, Vocabulary, candidate_plan, compile_eligible_when, compile_rule
from warehouse import Workspace, candidates, connect

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
NUMBERS = st.one_of(st.none(), st.integers(-3, 3))
WORDS = st.one_of(st.none(), st.sampled_from(["a", "B", "it's", ""]))
CUSTOMERS = pa.schema([("customer_id", pa.string()), ("age", pa.int64()), ("plan", pa.string())])
OFFERS = pa.schema(
    [("offer_id", pa.string()), ("level", pa.int64()), ("kind", pa.string()), ("eligible_when", pa.string())]
)
MEMORY = pa.schema([("customer_id", pa.string()), ("seen", pa.int64())])


def atoms():
    number = st.sampled_from(["age", "level", "seen", "1", "-2", "coalesce(seen, 0)", "age + level", "null"])
    text = st.sampled_from(["plan", "kind", "'a'", "lower(plan)", "coalesce(kind, 'a')"])
    return st.one_of(
        st.builds("{} {} {}".format, number, st.sampled_from(["<", ">=", "=", "<>"]), number),
        st.builds("{} {} {}".format, text, st.sampled_from(["=", "<>", "<", "like"]), text),
        st.builds("{} is {}null".format, st.one_of(number, text), st.sampled_from(["", "not "])),
        st.builds("{} in (1, {})".format, number, number),
        st.sampled_from(["true", "false"]),
    )


def predicates():
    return st.recursive(
        atoms(),
        lambda inner: st.one_of(
            st.builds("({}) and ({})".format, inner, inner),
            st.builds("({}) or {}".format, inner, inner),
            st.builds("not ({})".format, inner),
            st.builds("case when {} then {} end".format, inner, inner),
        ),
        max_leaves=4,
    )


@st.composite
def cases(draw):
    n, k = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    customers = [{"customer_id": f"c{i}", "age": draw(NUMBERS), "plan": draw(WORDS)} for i in range(n)]
    offers = [
        {
            "offer_id": f"o{a}",
            "level": draw(NUMBERS),
            "kind": draw(WORDS),
            "eligible_when": draw(st.one_of(st.none(), predicates())),
        }
        for a in range(k)
    ]
    memory = [{"customer_id": f"c{i}", "seen": draw(NUMBERS)} for i in range(n) if draw(st.booleans())]
    return customers, offers, memory, draw(st.lists(predicates(), max_size=4))


def naive(customers, offers, memory, rules):
    """Every rule on the full join, as it was written: bare names, no literals, no masks."""
    plain = duckdb.connect()
    for name, rows, schema in (("x", customers, CUSTOMERS), ("y", offers, OFFERS), ("z", memory, MEMORY)):
        plain.register(name, pa.Table.from_pylist(rows, schema))
    joined = "x CROSS JOIN y LEFT JOIN z USING (customer_id)"
    failed = {}
    for c in customers:
        for o in offers:
            masks = []
            for predicate in [*rules, o["eligible_when"] or "true"]:
                query = f"SELECT ({predicate}) FROM {joined} WHERE customer_id = ? AND offer_id = ?"
                masks.append(plain.execute(query, [c["customer_id"], o["offer_id"]]).fetchall()[0][0] is not True)
            failed[c["customer_id"], o["offer_id"]] = sum(bit << i for i, bit in enumerate(masks))
    return failed


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with connect(Workspace.init(tmp_path_factory.mktemp("home")), user_sql=True, threads=1) as connection:
        yield connection


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_the_bitmask_is_every_rule_asked_about_every_pair(connection, case):
    customers, offers, memory, rules = case
    connection.register("customers", pa.Table.from_pylist(customers, CUSTOMERS))
    connection.register("memory", pa.Table.from_pylist(memory, MEMORY))
    words = Vocabulary(
        {"customer_id": "VARCHAR", "age": "BIGINT", "plan": "VARCHAR"},
        {"offer_id": "VARCHAR", "level": "BIGINT", "kind": "VARCHAR", "eligible_when": "VARCHAR"},
        {"seen": "BIGINT"},
    )
    compiled = [compile_rule(Rule(f"r{i}", "", p), words, as_of=AS_OF) for i, p in enumerate(rules)]
    plan = candidate_plan(offers, compiled, compile_eligible_when(offers, words, as_of=AS_OF))
    found = candidates(connection, plan, audience_sql="true", as_of=AS_OF, memory="memory")
    masks = {
        (customer, offer["offer_id"]): int(found.reasons[i, a])
        for i, customer in enumerate(found.customer_id.to_pylist())
        for a, offer in enumerate(offers)
    }
    assert masks == naive(customers, offers, memory, rules)

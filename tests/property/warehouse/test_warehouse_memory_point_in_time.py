"""Memory against a naive count in Python: strictly before the pair's time, as far as it was known by then."""

import itertools
import math
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from warehouse.memory import MemorySpec, memory_columns, memory_features

START = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = MemorySpec((2, 9), (1, 3, 10), ("e-mail", "push", "E mail"), ("a", "b"), ("o-1", "o2", "O 1"))
TIME = pa.timestamp("us", "UTC")
CONNECTION = duckdb.connect(config={"threads": 1})
CONNECTION.execute("SET TimeZone = 'UTC'")
STEP = timedelta(hours=6)
AFTER = timedelta(microseconds=1)

at = st.integers(0, 48).map(lambda i: START + i * STEP) | st.integers(0, 60).map(
    lambda i: START + i * timedelta(minutes=15)
)
customer = st.sampled_from(["u", "v"])
later = st.none() | st.sampled_from([timedelta(0), timedelta(minutes=15), STEP, 4 * STEP])
EVENTS = 12
pairs = st.lists(st.tuples(customer, at), min_size=1, max_size=5)
contacts = st.lists(
    st.tuples(
        customer,
        at,
        st.sampled_from(["e-mail", "push", "E mail", "letter", None]),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([0, 1, None]),
        later,
        st.sampled_from([None, True, False]),
        st.sampled_from(["o-1", "o2", "O 1", "gone"]),
    ),
    max_size=12,
)
events = st.lists(
    st.tuples(
        customer,
        at,
        later,
        st.sampled_from(["view", "Refusal", "unsubscribe", None]),
        st.sampled_from(["a", "b", "c", None]),
        st.sampled_from([None, 0.0, 12.5, -3.0]),
    ),
    max_size=EVENTS,
)


def tables(pairs, contacts, events):
    columns = list(zip(*pairs, strict=True))
    pair = pa.table({"pair_id": range(len(pairs)), "customer_id": columns[0], "at": pa.array(columns[1], TIME)})
    contact = pa.table(
        {
            "customer_id": pa.array([c[0] for c in contacts], pa.string()),
            "at": pa.array([c[1] for c in contacts], TIME),
            "channel": pa.array([c[2] for c in contacts], pa.string()),
            "category": pa.array([c[3] for c in contacts], pa.string()),
            "outcome": pa.array([c[4] for c in contacts], pa.int8()),
            "outcome_at": pa.array([None if c[5] is None else c[1] + c[5] for c in contacts], TIME),
            "refused": pa.array([c[6] for c in contacts], pa.bool_()),
            "offer_id": pa.array([c[7] for c in contacts], pa.string()),
        }
    )
    event = pa.table(
        {
            "customer_id": pa.array([e[0] for e in events], pa.string()),
            "at": pa.array([e[1] for e in events], TIME),
            "received_at": pa.array([None if e[2] is None else e[1] + e[2] for e in events], TIME),
            "kind": pa.array([e[3] for e in events], pa.string()),
            "category": pa.array([e[4] for e in events], pa.string()),
            "amount": pa.array([e[5] for e in events], pa.float64()),
        }
    )
    return pair, contact, event


def remember(pairs, contacts, events):
    pair, contact, event = tables(pairs, contacts, events)
    CONNECTION.register("contacts", contact)
    CONNECTION.register("events", event)
    return memory_features(CONNECTION, pair, SPEC).to_pylist()


def days(delta):
    return delta / timedelta(days=1)


def counted(now, contacts, known, ending):
    """Contacts and successes of the longest window."""
    recent = [c for c in contacts if now - c[1] <= timedelta(days=10)]
    successes = sum(c[4] == 1 and known[id(c)] for c in recent)
    return {f"contacts_10d_{ending}": len(recent), f"successes_10d_{ending}": successes}


def naive(who, now, contacts, events):
    """One pair's memory, by the words of its definition."""
    got = [c for c in contacts if c[0] == who and c[1] < now]
    did = [e for e in events if e[0] == who and e[1] < now and e[1] + (e[2] or timedelta(0)) < now]
    known = {id(c): c[5] is not None and c[1] + c[5] < now for c in got}
    out = {}
    for w in SPEC.windows:
        recent = [c for c in got if now - c[1] <= timedelta(days=w)]
        out[f"contacts_{w}d"] = len(recent)
        out[f"contacts_{w}d_e_mail"] = sum(c[2] in ("e-mail", "E mail") for c in recent)
        out[f"contacts_{w}d_push"] = sum(c[2] == "push" for c in recent)
        out[f"successes_{w}d"] = sum(c[4] == 1 and known[id(c)] for c in recent)
        out[f"events_{w}d"] = sum(now - e[1] <= timedelta(days=w) for e in did)
    for word in ("a", "b"):
        out |= counted(now, [c for c in got if c[3] == word], known, f"category_{word}")
    refusals = {id(c): c[1] + c[5] for c in got if known[id(c)] and (c[4] == 0 if c[6] is None else c[6])}
    for word, names in {"o_1": ("o-1", "O 1"), "o2": ("o2",)}.items():
        mine = [c for c in got if c[7] in names]
        out |= counted(now, mine, known, f"offer_{word}")
        out[f"days_since_contact_offer_{word}"] = min((days(now - c[1]) for c in mine), default=None)
        since = [days(now - refusals[id(c)]) for c in mine if id(c) in refusals]
        out[f"days_since_refusal_offer_{word}"] = min(since, default=None)
    refused = list(refusals.values())
    refused += [e[1] for e in did if e[3] in ("Refusal", "unsubscribe")]
    out["days_since_contact"] = min((days(now - c[1]) for c in got), default=None)
    out["days_since_refusal"] = min((days(now - t) for t in refused), default=None)
    out["days_since_event"] = min((days(now - e[1]) for e in did), default=None)
    share = {}
    for h in SPEC.half_lives:
        weight = [0.5 ** (days(now - e[1]) / h) for e in did]
        out[f"events_decayed_{h}d"] = sum(weight)
        out[f"amount_decayed_{h}d"] = sum(w * (e[5] or 0.0) for w, e in zip(weight, did, strict=True))
        whole = sum(w for w, e in zip(weight, did, strict=True) if e[4] is not None)
        for word in ("a", "b"):
            part = sum(w for w, e in zip(weight, did, strict=True) if e[4] == word)
            share[h, word] = part / whole if whole > 0 else 0.0
    for word in ("a", "b"):
        out[f"share_{word}"] = share[9, word]
        out[f"drift_{word}"] = share[2, word] - share[9, word]
    times = sorted(e[1] for e in did if now - e[1] <= timedelta(days=30))
    gaps = [b - a for a, b in itertools.pairwise(times)]
    out["sessions_30d"] = bool(times) + sum(gap > timedelta(minutes=30) for gap in gaps)
    return out


def alike(a, b):
    """Decayed amounts are sums of multiples of 2^-20, each rounded: half of one for every event at most."""
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=1e-6, abs_tol=EVENTS * 2.0**-21)


@settings(max_examples=25, deadline=None)
@given(pairs, contacts, events)
def test_memory_is_what_a_naive_count_finds(pairs, contacts, events):
    found = remember(pairs, contacts, events)
    assert [row["pair_id"] for row in found] == list(range(len(pairs)))
    for (who, now), row in zip(pairs, found, strict=True):
        wanted = naive(who, now, contacts, events)
        assert set(wanted) == set(memory_columns(SPEC, contacts=True, events=True)) == set(row) - {"pair_id"}
        assert {name for name in wanted if not alike(row[name], wanted[name])} == set()


@settings(max_examples=10, deadline=None)
@given(pairs, contacts, events, st.data())
def test_what_happens_or_becomes_known_at_or_after_the_moment_changes_nothing(pairs, contacts, events, data):
    (who, now), *_ = pairs
    before = remember([(who, now)], contacts, events)
    late = data.draw(st.sampled_from([timedelta(0), AFTER, timedelta(seconds=1)]))
    more_contacts = [*contacts, (who, now + late, "push", "a", 1, timedelta(0), True, "o2")]
    happened = (who, now + late, None, "refusal", "a", 5.0)
    received = (who, now - timedelta(days=1), timedelta(days=1) + late, "refusal", "a", 5.0)
    assert remember([(who, now)], more_contacts, [*events, happened, received]) == before
    seen = remember([(who, now + late + AFTER)], more_contacts, [*events, happened, received])
    assert seen[0]["contacts_1d"] >= 1
    assert seen[0]["successes_10d_offer_o2"] >= 1
    assert seen[0]["events_3d"] >= 2
    assert abs(seen[0]["days_since_refusal"] * 86_400_000_000 - 1) < 1e-3


@settings(max_examples=6, deadline=None)
@given(pairs, contacts, events, st.randoms())
def test_memory_of_a_pair_depends_on_no_other_pair_and_on_no_order(pairs, contacts, events, random):
    together = remember(pairs, contacts, events)
    random.shuffle(contacts)
    random.shuffle(events)
    for i, pair in enumerate(pairs):
        assert remember([pair], contacts, events)[0] | {"pair_id": i} == together[i]

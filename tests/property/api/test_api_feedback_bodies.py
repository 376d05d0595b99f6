"""Bodies of feedback are read fast where they are ordinary; what is said of a record is the same either way."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.service import feedback_bodies
from api.service.feedback_bodies import records_of
from api.service.problems import Problem

ORDINARY = {
    "event_id": "e1",
    "decision_id": "A-00000000000000ff",
    "outcome": 1,
    "reward": 2.5,
    "occurred_at": "2026-04-02T10:00:00.25+02:00",
}
IDS = [
    "e1",
    "e2",
    "\u00e9\u4e16",
    "x" * 200,
    "x" * 201,
    "",
    " ",
    "tab\t",
    "nul\0",
    "\ud800",
    "\x7f",
    'quo"te',
    1,
    None,
    ["e"],
    {},
]
NUMBERS = [
    0,
    1,
    2,
    True,
    1.0,
    2.5,
    -3,
    9e12,
    9.1e12,
    2**53 + 1,
    2**70,
    "1",
    None,
    float("nan"),
    float("inf"),
    [],
    1e-9,
    5e-7,
]
TIMES = [
    "2026-04-02",
    "2026-04-02T10:00:00Z",
    "0001-01-01T00:00:00+09:00",
    "9999-12-31T23:59:59-09:00",
    "noon",
    3,
    None,
]
RAW = [
    b'{"event_id":"e1","event_id":"e2","decision_id":"d","outcome":1,"reward":1,"occurred_at":"2026-04-02"}',
    b'{"event_id":"e1","event\\u005fid":"e2","decision_id":"d","outcome":1,"reward":1,"occurred_at":"2026-04-02"}',
    b'{"event_id":"e1","decision_id":"d","outcome":1,"reward":1e400,"occurred_at":"2026-04-02"}',
    b'{"event_id":"e1","decision_id":"d","outcome":1,"reward":-Infinity,"occurred_at":"2026-04-02"}',
    b'{"event_id":"e1","decision_id":"reward","outcome":1,"reward":1,"occurred_at":"2026-04-02"}',
    b"[" * 40_000,
    b"{}",
    b"7",
    b"",
    b"\xff",
]


FIELDS = {"event_id": IDS, "decision_id": IDS, "outcome": NUMBERS, "reward": NUMBERS, "occurred_at": TIMES, "more": [1]}


@st.composite
def records(draw):
    changed = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=2))
    record = ORDINARY | {name: draw(st.sampled_from(FIELDS[name])) for name in sorted(changed)}
    if draw(st.integers(0, 9)) == 0:
        del record[draw(st.sampled_from(sorted(record)))]
    return json.dumps(record, ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")


def told(raw, kind):
    """What is said of a body: its records with the types of their fields, or the problem that it is."""
    try:
        return repr(records_of(raw, kind))
    except Problem as problem:
        return problem.status, problem.detail


def told_slowly(raw, kind):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feedback_bodies, "_plain", lambda _raw, _kind: ())
        return told(raw, kind)


@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize(("name", "values"), [*FIELDS.items()])
def test_every_value_of_every_field_is_taken_or_refused_as_by_the_closer_look(name, values, escaped):
    for value in values:
        raw = json.dumps([ORDINARY | {name: value}, ORDINARY], ensure_ascii=escaped).encode(errors="surrogatepass")
        assert told(raw, "application/json") == told_slowly(raw, "application/json"), value


@settings(max_examples=50, deadline=None)
@example(parts=[RAW[0]], form=2)
@example(parts=[json.dumps(ORDINARY).encode(), RAW[1]], form=1)
@example(parts=[RAW[2], RAW[3]], form=2)
@example(parts=[json.dumps(ORDINARY).encode()] * 3, form=1)
@given(parts=st.lists(records() | st.sampled_from(RAW), min_size=1, max_size=4), form=st.integers(0, 2))
def test_the_fast_way_says_what_the_closer_look_says(parts, form):
    raw = [parts[0], b"[" + b",".join(parts) + b"]", b"\n".join([*parts, b""])][form]
    kind = "application/x-ndjson" if form == 2 else "application/json"
    assert told(raw, kind) == told_slowly(raw, kind)


def test_an_ordinary_body_goes_the_fast_way():
    one, other = json.dumps(ORDINARY), json.dumps(dict(reversed(ORDINARY.items())), indent=1)
    assert len(feedback_bodies._plain(f" [{one},{other}]".encode(), "application/json")) == 2
    assert len(feedback_bodies._plain(one.encode(), "application/json")) == 1
    assert len(feedback_bodies._plain(f"{one}\r\n{one}\n".encode(), "application/x-ndjson")) == 2

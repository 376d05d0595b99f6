"""A campaign document survives being written out and read again, as JSON and as TOML."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from allot import CampaignError
from engine.campaign import OBJECTIVES, campaign_from_file, read_campaign

names = st.text("abcdefgh xyzäß'_-", min_size=1, max_size=12).filter(str.strip)
numbers = st.floats(0, 1e9)
moments = st.datetimes(
    datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))])
)
values = st.one_of(names, st.integers(-5, 5), st.floats(-1e6, 1e6))
lists = st.one_of(st.lists(kind, min_size=1, max_size=3) for kind in (values, st.booleans()))
columns = st.dictionaries(names, st.one_of(values, st.booleans(), lists), max_size=2)
wheres = st.fixed_dictionaries({}, optional={"offers": columns, "customers": columns})


def bounds(high):
    """A minimum, a maximum, or both."""
    some = st.floats(0, high)
    return st.one_of(
        st.fixed_dictionaries({"minimum": some}),
        st.fixed_dictionaries({"maximum": some}),
        st.tuples(some, some).map(lambda x: {"minimum": min(x), "maximum": max(x)}),
    )


@st.composite
def limits(draw):
    plain = {"name": draw(names), "measure": draw(st.sampled_from(["count", "cost", "value"]))}
    rest = draw(st.fixed_dictionaries({}, optional={"penalty": numbers, "report_only": st.booleans()}))
    return plain | draw(bounds(1e9)) | draw(wheres) | rest


single_decisions = st.fixed_dictionaries(
    {},
    optional={
        "share": st.floats(0, 1),
        "expected_per_day": st.floats(0, 1e9),
        "until": st.datetimes(datetime(2091, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(str),
    },
)


@st.composite
def shares(draw):
    rest = draw(st.fixed_dictionaries({}, optional={"penalty": numbers, "whole": wheres, "measure": st.just("cost")}))
    return {"name": draw(names), "part": draw(wheres)} | draw(bounds(1.0)) | rest


contacts = st.fixed_dictionaries(
    {},
    optional={
        "most": st.integers(0, 9),
        "days": st.integers(1, 90),
        "quiet_days": st.integers(0, 90),
        "one_per_household": st.booleans(),
    },
)
documents = st.fixed_dictionaries(
    {"name": names, "as_of": moments.map(datetime.isoformat)},
    optional={
        "seed": st.integers(0, 2**63 - 1),
        "audience": names,
        "objective": st.sampled_from(OBJECTIVES),
        "outside_margin": numbers,
        "outcome_days": st.floats(0, 36_500),
        "no_feedback": st.sampled_from(["failure", "ignore"]),
        "exploration": st.fixed_dictionaries(
            {},
            optional={"temperature": st.floats(0, 10), "share": st.floats(0, 0.5), "holdout": st.floats(0, 0.9)},
        ),
        "limits": st.lists(limits(), max_size=3),
        "shares": st.lists(shares(), max_size=2),
        "rules": st.lists(
            st.fixed_dictionaries({"name": names, "predicate": names}, optional={"reason": names}), max_size=2
        ),
        "contact": contacts,
        "single_decisions": single_decisions,
    },
)


def toml(document, path=()):
    """Written by hand, as a user would."""

    def value(x):
        return (
            json.dumps(x, ensure_ascii=False)
            if not isinstance(x, dict)
            else ("{ " + ", ".join(f"{json.dumps(k, ensure_ascii=False)} = {value(v)}" for k, v in x.items()) + " }")
        )

    plain = [f"{key} = {value(x)}" for key, x in document.items() if not isinstance(x, dict) and not _tables(x)]
    tables = [f"[{key}]\n{toml(x)}" for key, x in document.items() if isinstance(x, dict)]
    lists = ([f"[[{key}]]\n" + "\n".join(f"{k} = {value(v)}" for k, v in one.items()) for one in x]
             for key, x in document.items() if _tables(x))  # fmt: skip
    return "\n".join([*plain, *tables, *chain.from_iterable(lists)])


def _tables(x):
    return isinstance(x, list) and bool(x) and isinstance(x[0], dict)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(documents)
def test_a_document_written_out_is_the_same_campaign(document):
    campaign = read_campaign(document)
    written = campaign.to_document()
    again = read_campaign(json.loads(json.dumps(written, allow_nan=False)))
    assert again == campaign
    assert again.digest == campaign.digest
    assert again.to_document() == written


@settings(max_examples=50, deadline=None, derandomize=True)
@given(documents)
def test_toml_and_json_are_the_same_campaign(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("campaign")
    (folder / "c.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "c.toml").write_text(toml(document), encoding="utf-8")
    read = [campaign_from_file(folder / name) for name in ("c.json", "c.toml")]
    assert read[0] == read[1] == read_campaign(document)
    assert read[0].digest == read[1].digest


@settings(max_examples=50, deadline=None, derandomize=True)
@given(documents, st.data())
def test_another_document_has_another_digest(document, data):
    """Whatever is changed; what is left out has the digest of its default."""
    campaign = read_campaign(document)
    other = data.draw(documents)
    again = read_campaign(document | other)
    assert (again.digest == campaign.digest) == (again == campaign)
    plain = {"name": document["name"], "as_of": document["as_of"]}
    assert read_campaign({**plain, "seed": 0, "limits": [], "contact": {}}).digest == read_campaign(plain).digest


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just(10**400)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
    max_leaves=4,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(documents, st.data())
def test_a_wrong_field_is_refused_in_words_and_never_crashes(document, data):
    """One field, at the top or one level down, holds anything at all."""
    document = json.loads(json.dumps(document))
    at = data.draw(st.sampled_from(sorted({*document, "limits", "exploration", "contact"})))
    inner = document.get(at)
    if isinstance(inner, list) and inner:
        inner = inner[0]
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(junk)
    else:
        document[at] = data.draw(junk)
    try:
        campaign = read_campaign(document)
    except CampaignError:
        return
    assert read_campaign(campaign.to_document()).digest == campaign.digest

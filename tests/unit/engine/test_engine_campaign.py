"""The campaign document: what is read, what is filled in, and what is refused in which words."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from allot import CampaignError
from engine.campaign import ContactPolicy, Exploration, LimitSpec, Where, campaign_from_file, read_campaign
from governance import Rule

PLAIN = {"name": "spring", "as_of": "2026-03-01T00:00:00Z"}
CAP = {"name": "cap", "measure": "count", "maximum": 5}

TEXT = """
name = "spring"
as_of = 2026-03-01
audience = "age > 18"
objective = "incremental"
outside_margin = 12

[exploration]
share = 0.02

[[limits]]
name = "budget"
measure = "cost"
maximum = 1000

[[limits]]
name = "calls to seniors"
measure = "count"
minimum = 2
penalty = 3
offers = { channel = "call" }
customers = { segment = ["senior", "family"], vip = true }

[[shares]]
name = "calls"
maximum = 0.25
part = { offers = { channel = "call" } }

[[rules]]
name = "adults"
predicate = "age >= 18"

[contact]
most = 2
"""


def test_every_part_of_a_document_is_read_and_the_rest_filled_in(tmp_path):
    path = tmp_path / "spring.toml"
    path.write_text(TEXT)
    c = campaign_from_file(path)
    assert (c.name, c.as_of, c.seed) == ("spring", datetime(2026, 3, 1, tzinfo=UTC), 0)
    assert (c.audience, c.objective, c.outside_margin) == ("age > 18", "incremental", 12.0)
    assert (c.outcome_days, c.no_feedback) == (30.0, "failure")
    assert c.exploration == Exploration(temperature=1.0, share=0.02, holdout=0.0)
    calls = Where(offers=(("channel", ("call",)),))
    seniors = Where(calls.offers, (("segment", ("senior", "family")), ("vip", (True,))))
    assert c.limits == (
        LimitSpec("budget", "cost", Where(), maximum=1000.0),
        LimitSpec("calls to seniors", "count", seniors, minimum=2.0, penalty=3.0),
        LimitSpec("calls", "count", calls, Where(), maximum=0.25),
    )
    assert c.rules == (Rule("adults", "adults", "age >= 18"),)
    assert c.contact == ContactPolicy(most=2, days=30)


@pytest.mark.parametrize(
    "given",
    [
        "2026-03-01T01:30:00+01:30", "2026-03-01T00:00:00", "2026-03-01", date(2026, 3, 1),
        datetime(2026, 3, 1), datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=1.5))),
    ],
)  # fmt: skip
def test_a_time_is_utc_unless_it_says_otherwise(given):
    campaign = read_campaign({"name": "spring", "as_of": given})
    assert campaign.as_of == datetime(2026, 3, 1, tzinfo=UTC)
    assert campaign == read_campaign(PLAIN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": None}, "campaign: name = None is not a text"),
        ({"name": "\ud800"}, "name = '\\ud800' is not a text"),
        ({"as_of": "soon"}, "as_of = 'soon' is not a time such as 2026-03-01T00:00:00Z"),
        ({"as_of": "0001-01-01T00:00:00+14:00"}, "is not a time such as"),
        ({"seed": -1}, "seed = -1 is not a whole number"),
        ({"seed": True}, "seed = True is not a whole number"),
        ({"objective": "revenue"}, "objective = 'revenue' is not one of profit, value, conversions, incremental"),
        ({"outcome_days": 1e300}, "outcome_days = 1e+300 is not between 0 and 36500"),
        ({"outcome_days": float("nan")}, "is not a finite number"),
        ({"no_feedback": "success"}, "is not one of failure, ignore"),
        ({"exploration": {"share": 0.6}}, "[exploration]: share = 0.6 is not between 0 and 0.5"),
        ({"exploration": {"temprature": 1}}, "Did you mean 'temperature'?"),
        ({"exploration": 1}, "[exploration]: is 1, not a table of fields"),
        ({"contact": {"most": -1}}, "[contact]: most = -1 is not a whole number between 0 and 36500"),
        ({"contact": {"days": 0}}, "days = 0 is not a whole number between 1 and 36500"),
        ({"contact": {"days": 10**30}}, "is not a whole number between 1 and 36500"),
        ({"limits": CAP}, "is not a list of tables"),
        ({"limits": [{"name": "cap", "measure": "count"}]}, "limit 'cap': has neither minimum nor maximum"),
        ({"limits": [{**CAP, "measure": "profit"}]}, "limit 'cap': measure = 'profit' is not one of"),
        ({"limits": [{**CAP, "maximum": 10**400}]}, "is not a finite number"),
        ({"limits": [{**CAP, "minimum": -1}]}, "limit 'cap': minimum = -1 is not at least 0"),
        ({"limits": [{**CAP, "maximums": 1}]}, "Did you mean 'maximum'?"),
        ({"limits": [{"measure": "count", "maximum": 5}]}, "[[limits]]: 'name' is missing"),
        ({"limits": [{**CAP, "customers": ["a"]}]}, "limit 'cap': ['a'] is not a table of columns and values"),
        ({"limits": [{**CAP, "customers": {"since": date(2026, 1, 1)}}]}, "limit 'cap', since: datetime.date(2026"),
        ({"limits": [{**CAP, "customers": {"segment": [["a"]]}}]}, "['a'] is no value to compare with"),
        ({"limits": [{**CAP, "customers": {"segment": []}}]}, "limit 'cap', segment: has no value to compare with"),
        ({"limits": [{**CAP, "customers": {"age": float("nan")}}]}, "nan is no value to compare with"),
        ({"shares": [{"name": "calls", "maximum": 1.5, "part": {}}]}, "maximum = 1.5 is not between 0 and 1"),
        ({"shares": [{"name": "calls", "maximum": 0.5}]}, "limit 'calls': 'part' is missing"),
        ({"rules": [{"name": "adults"}]}, "[[rules]]: 'predicate' is missing"),
        ({"feedback": {"aggregation": "mean"}}, "aggregation = 'mean' is not one of first, latest, sum, max"),
        ({"feedback": {"wait": 1}}, "field 'wait' is unknown"),
        ({"feedback": "sum"}, "is 'sum', not a table of fields"),
        ({"single_decisions": 1}, "[single_decisions]: is 1, not a table of fields"),
        ({"single_decisions": {"share": 1.2}}, "share = 1.2 is not between 0 and 1"),
        ({"single_decisions": {"share": True}}, "share = True is not a finite number"),
        ({"single_decisions": {"expected_per_day": -1}}, "expected_per_day = -1 is not between 0 and"),
        ({"single_decisions": {"until": "soon"}}, "until = 'soon' is not a time"),
        ({"single_decisions": {"until": PLAIN["as_of"]}}, "is not after as_of"),
        ({"single_decisions": {"per_day": 1}}, "field 'per_day' is unknown"),
        ({"limits": [{**CAP, "single_share": 0.5}]}, "limit 'cap': single_share without single decisions"),
        ({"limits": [{**CAP, "penalty": 1, "single_share": 0.5}], "single_decisions": {}}, "nothing can be kept of it"),
        ({"limits": [{**CAP, "single_share": 2}], "single_decisions": {}}, "single_share = 2 is not between 0 and 1"),
        ({"budget": 5}, "field 'budget' is unknown"),
        ({"name": "ä" * 201}, "has 201 characters"),
        ({"name": "spring\n2026"}, r"name has a control character ('\n') at place 7"),
        ({"name": "spring\x85"}, r"name has a control character ('\x85') at place 7"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_told_with_its_place_and_what_was_expected(change, said):
    with pytest.raises(CampaignError) as error:
        read_campaign({**PLAIN, **change})
    assert said in str(error.value)


def test_a_name_is_as_long_as_every_request_about_it_may_say():
    assert read_campaign({**PLAIN, "name": "ä" * 200}).name == "ä" * 200


def test_files_that_cannot_be_read_are_told_by_name(tmp_path):
    path = tmp_path / "spring.toml"
    with pytest.raises(CampaignError, match="No such file"):
        campaign_from_file(path)
    path.write_text('name = "spring"\nas_of = \n')
    with pytest.raises(CampaignError, match=r"spring\.toml.*line 2"):
        campaign_from_file(path)
    path.write_bytes(b"name = \xff")
    with pytest.raises(CampaignError, match="not UTF-8"):
        campaign_from_file(path)
    other = tmp_path / "spring.json"
    other.write_text('{"name": "spring"')
    with pytest.raises(CampaignError, match="line 1 column"):
        campaign_from_file(other)
    other.write_text("[1]")
    with pytest.raises(CampaignError, match="not a table of fields"):
        campaign_from_file(other)


def test_a_document_without_single_decisions_keeps_its_digest():
    campaign = read_campaign({**PLAIN, "limits": [CAP]})
    assert campaign.digest == "9a5f654c83a7a2a890dee24952cece4b62282df391e265aeda53e8b1497496a7"
    assert read_campaign({**PLAIN, "limits": [CAP], "single_decisions": {}}).digest != campaign.digest

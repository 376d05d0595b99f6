"""Rules of offers are read when they are loaded: a slip is named with its place, and nothing is taken in."""

import pytest

from allot import RuleError
from engine.workspaces import init, load
from warehouse import Workspace, current_version

CUSTOMERS = "customer_id,age,town\na,30,inner\nb,40,away\n"
EXPOSURES = "customer_id,offer_id,decided_at,outcome\na,o1,2026-01-01,1\n"


@pytest.fixture
def workspace(tmp_path):
    init(tmp_path / "home")
    return Workspace.open(tmp_path / "home")


def put(workspace, tmp_path, **tables):
    paths = {name: tmp_path / f"{name}.csv" for name in tables}
    for name, text in tables.items():
        paths[name].write_text(text)
    return load(workspace, paths)


def offers(*rules, header="offer_id,margin,channel,eligible_when"):
    return header + "\n" + "".join(f'o{i},5,E-Mail,"{rule}"\n' for i, rule in enumerate(rules, start=1))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("ag > 30", ("line 1, column 1", "column 'ag' is unknown", "Did you mean 'age'?")),
        ("age > 30 AND", ("line 1, column 12", "is not a SQL expression near 'AND'", "Correct the syntax")),
        ("age + 1", ("is of type", "not true or false", "Compare it")),
        ("age > 30 AND town = now()", ("now", "as_of")),
        ("memory.contacts_7d_letter = 0", ("column 'memory.contacts_7d_letter' is unknown",)),
    ],
)
def test_a_rule_that_is_wrong_is_refused_with_its_offer_and_place(workspace, tmp_path, rule, words):
    put(workspace, tmp_path, customers=CUSTOMERS, offers=offers("true"))
    before = current_version(workspace).id
    with pytest.raises(RuleError) as told:
        put(workspace, tmp_path, offers=offers("true", rule))
    assert "eligible_when of offer o2" in str(told.value)
    assert all(word in str(told.value) for word in words), str(told.value)
    assert current_version(workspace).id == before


def test_all_wrong_rules_are_named_together(workspace, tmp_path):
    with pytest.raises(RuleError, match="2 offers have rules that are wrong; nothing was loaded") as told:
        put(workspace, tmp_path, customers=CUSTOMERS, offers=offers("ag > 30", "age > 30", "city = 'x'"))
    assert "offer o1" in str(told.value) and "offer o3" in str(told.value) and "offer o2" not in str(told.value)
    assert not current_version(workspace).tables


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "offer.margin > 1 AND Age < 60",
        "coalesce(memory.contacts_7d_e_mail, 0) < 2",
        "coalesce(contacts_14d, 0) < 3",
        "as_of > TIMESTAMP '2026-01-01' OR events_30d > 2",
    ],
)
def test_what_an_allocation_may_understand_is_loaded(workspace, tmp_path, rule):
    """Memory columns come with decisions and events, and windows with a campaign's contact policy."""
    assert put(workspace, tmp_path, customers=CUSTOMERS, offers=offers(rule))["warnings"] == []


def test_offers_without_customers_wait_for_them(workspace, tmp_path):
    assert put(workspace, tmp_path, offers=offers("ag > 30"))["warnings"] == []
    said = put(workspace, tmp_path, customers=CUSTOMERS)["warnings"]
    assert len(said) == 1 and "column 'ag' is unknown" in said[0] and "no allocation is possible" in said[0]
    assert put(workspace, tmp_path, exposures=EXPOSURES)["warnings"] == []  # said once, not at every load
    assert put(workspace, tmp_path, offers=offers("age > 30"))["warnings"] == []


def test_customers_who_lose_a_column_that_an_offer_reads_are_said(workspace, tmp_path):
    put(workspace, tmp_path, customers=CUSTOMERS, offers=offers("age > 30"))
    said = put(workspace, tmp_path, customers="customer_id,town\na,inner\n")["warnings"]
    assert "offer o1" in said[0] and "'age'" in said[0]

"""A campaign that is wrong: field, limit or rule is named, the remedy is said, and no allocation is kept."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import CAMPAIGN, Commands, House, snapshot

from allot import AllotError
from engine.allocate import allocate
from engine.campaign import campaign_from_file
from warehouse import Workspace

Write = Callable[..., Path]


def limit(lines: str) -> str:
    return f'[[limits]]\nname = "cap"\n{lines}\n'


def rule(predicate: str) -> str:
    return f"[[rules]]\nname = \"mine\"\npredicate = '''{predicate}'''\n"


COUNT = 'measure = "count"\n'
DOCUMENTS = [
    ("unknown field", 'ojective = "profit"\n', ("field 'ojective' is unknown", "Did you mean 'objective'?")),
    ("unknown table field", "[exploration]\ntemprature = 1\n", ("[exploration]", "Did you mean 'temperature'?")),
    ("unknown limit field", limit(COUNT + "maximum = 9\npenaltie = 1"), ("limit 'cap'", "Did you mean 'penalty'?")),
    ("syntax", "audience = \n", ("spring.toml", "line 5, column 12", "Mend the syntax")),
    ("negative maximum", limit(COUNT + "maximum = -1"), ("limit 'cap'", "maximum = -1", "at least 0")),
    ("no bound", limit(COUNT), ("limit 'cap'", "neither minimum nor maximum", "Give at least one")),
    ("not a number", limit(COUNT + "maximum = nan"), ("limit 'cap'", "maximum = nan", "finite number")),
    ("unknown objective", 'objective = "profits"\n', ("objective = 'profits'", "profit, value, conversions")),
    ("unknown measure", limit('measure = "spend"\nmaximum = 1'), ("limit 'cap'", "measure = 'spend'", "count, cost")),
    ("holdout of all", "[exploration]\nholdout = 1.5\n", ("[exploration]", "holdout = 1.5", "between 0 and 0.9")),
    ("date as a segment", limit(COUNT + "maximum = 9\ncustomers = {town = 2026-01-01}"), ("limit 'cap'", "2026")),
    ("no segment", limit(COUNT + "maximum = 9\ncustomers = {town = []}"), ("limit 'cap'", "town")),
    ("mixed", limit(COUNT + "maximum = 9\ncustomers = {age = [true, 30]}"), ("limit 'cap'", "mixes true or false")),
    ("text as a table", limit(COUNT + 'maximum = 9\ncustomers = "inner"'), ("limit 'cap'", "'inner'")),
]


@pytest.mark.parametrize(("lines", "parts"), [d[1:] for d in DOCUMENTS], ids=[d[0] for d in DOCUMENTS])
def test_a_wrong_document_is_answered_with_field_value_and_remedy(
    allot: Commands, workspace: Path, campaign: Write, lines: str, parts: tuple[str, ...]
) -> None:
    before = snapshot(workspace)
    allot("allocate", campaign(lines), "--workspace", workspace).refused(5, *parts)
    assert snapshot(workspace) == before


def test_documents_that_cannot_be_read_are_refused(allot: Commands, workspace: Path, tmp_path: Path) -> None:
    before = snapshot(workspace)

    def given(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    digits = b'{"seed": ' + b"1" * 5000 + b"}"
    here = ("--workspace", workspace)
    allot("allocate", tmp_path / "no.toml", *here).refused(5, "no.toml", "cannot be read", "Give the path")
    allot("allocate", tmp_path, *here).refused(5, "cannot be read", "Give the path")
    allot("allocate", given("a.json", b'{"name": "x",}'), *here).refused(5, "a.json", "line 1 column 14", "Mend")
    allot("allocate", given("b.json", b"[]"), *here).refused(5, "b.json", "not a table of fields")
    allot("allocate", given("c.toml", b'name = "\xff"'), *here).refused(5, "c.toml", "UTF-8")
    allot("allocate", given("d.json", b"[" * 100_000), *here).refused(5, "d.json", "nests too deep")
    allot("allocate", given("f.json", digits), *here).refused(5, "f.json", "digits", "Mend")
    allot("allocate", given("e.toml", b"as_of = 2026-04-20\n"), *here).refused(5, "'name' is missing", "Add a line")
    allot("allocate", *here).refused(5, "no campaign document", "--reproduce")
    assert snapshot(workspace) == before


RULES = [
    ("syntax", "age >> > 3 AND (", ("line 1, column 8", "not a SQL expression", "Correct the syntax")),
    ("second line", "age > 3\nAND town =", ("line 2, column 10", "near '='")),
    ("file", "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0", ("subquery is not allowed", "nothing else")),
    ("file content", "read_text('/etc/passwd') = 'x'", ("read_text() is not allowed", "nothing else")),
    ("environment", "getenv('HOME') = 'x'", ("line 1, column 1", "getenv() is not allowed", "nothing else")),
    ("clock", "as_of < now()", ("now() reads the clock", "Write as_of")),
    ("other table", "age IN (SELECT 3)", ("other than a list", "Write IN")),
    ("chance", "random() < .5", ("random() is not allowed", "nothing else")),
    ("two statements", "true; DROP TABLE customers", ("more than one statement", "Write one expression")),
    ("unknown column", "agee > 3", ("line 1, column 1", "column 'agee' is unknown", "Did you mean 'age'?")),
    ("no predicate", "age", ("is of type BIGINT", "Compare it with something")),
    ("wrong types", "town > 3", ("cannot be evaluated", "Compare values of like types")),
]


@pytest.mark.parametrize(("predicate", "parts"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_a_rule_that_is_no_predicate_or_wants_more_than_to_read_a_row_is_refused_at_its_place(
    workspace: Path, campaign: Write, predicate: str, parts: tuple[str, ...]
) -> None:
    refused_in_process(workspace, campaign(rule(predicate)), 4, ("rule 'mine'", *parts))


INNER = COUNT + "maximum = 100\n"
LIMITS = [
    ("unknown segment", 5, limit(INNER + 'customers = {town = "iner"}'), ("town = 'iner'", "Did you mean 'inner'?")),
    (
        "foreign segment",
        5,
        limit(INNER + 'customers = {town = "x"}'),
        ("town = 'x'", "Known values: away, inner, outer"),
    ),
    ("unknown column", 5, limit(INNER + 'customers = {twn = "x"}'), ("no column 'twn'", "Did you mean 'town'?")),
    ("unknown channel", 5, limit(INNER + 'offers = {channel = "emal"}'), ("channel = 'emal'", "email, post, sms")),
    ("unknown offer column", 5, limit(INNER + 'offers = {chanel = "x"}'), ("'chanel'", "Did you mean 'channel'?")),
    ("upside down", 6, limit(COUNT + "minimum = 9\nmaximum = 5"), ("minimum 9", "maximum 5", "Lower one")),
    ("twice", 6, limit(INNER) + limit(INNER), ("two limits have this name", "Rename one")),
]


@pytest.mark.parametrize(("code", "lines", "parts"), [x[1:] for x in LIMITS], ids=[x[0] for x in LIMITS])
def test_a_limit_that_speaks_of_what_is_not_there_is_named_with_what_is(
    workspace: Path, campaign: Write, code: int, lines: str, parts: tuple[str, ...]
) -> None:
    refused_in_process(workspace, campaign(lines), code, ("limit 'cap'", *parts))


def refused_in_process(workspace: Path, path: Path, code: int, parts: tuple[str, ...]) -> None:
    before = snapshot(workspace)
    with pytest.raises(AllotError) as refused:
        allocate(Workspace.open(workspace), campaign_from_file(path), now=datetime(2026, 4, 20, tzinfo=UTC))
    assert refused.value.exit_code == code
    assert refused.value.remedy
    for part in parts:
        assert part in str(refused.value)
    assert snapshot(workspace) == before


BY_COMMAND = [
    (
        3,
        'audience = "age > 200"\n',
        ("the audience is empty", "none of 600 customers satisfies age > 200.", "Change the audience"),
    ),
    (4, 'audience = "margin > 3"\n', ("rule 'audience'", "customer columns only")),
    (4, rule("town = getenv('HOME')"), ("rule 'mine'", "getenv()")),
    (5, limit(INNER + 'customers = {town = "outter"}'), ("limit 'cap'", "Did you mean 'outer'?")),
    (5, 'objective = "incremental"\n', ("outside_margin", "8 to 60", "Add `outside_margin")),
    (6, limit(COUNT + "minimum = 900"), ("no plan can keep 'cap'", "Lower 'cap' by", "contacts to")),
    (6, limit(COUNT + "minimum = 100\nmaximum = 100"), ("'cap' needs room for 4", "Widen it")),
    (6, limit(COUNT + "maximum = 1"), ("'cap' needs room for 2", "temperature = 0")),
    (4, "[contact]\none_per_household = true\n", ("needs households", "household_id")),
]


@pytest.mark.parametrize(("code", "lines", "parts"), BY_COMMAND, ids=[b[2][0] for b in BY_COMMAND])
def test_the_command_ends_with_the_errors_own_code_and_keeps_nothing(
    allot: Commands, workspace: Path, campaign: Write, code: int, lines: str, parts: tuple[str, ...]
) -> None:
    before = snapshot(workspace)
    allot("allocate", campaign(lines), "--workspace", workspace).refused(code, *parts)
    assert snapshot(workspace) == before


FLOOR = '[[limits]]\nname = "floor"\nmeasure = "count"\nminimum = {floor}\ncustomers = {{town = "away"}}\n'
BUDGET = '[[limits]]\nname = "budget"\nmeasure = "cost"\nmaximum = {budget}\n'


@pytest.mark.parametrize("temperature", [0, 1])
def test_following_any_piece_of_advice_makes_a_plan_possible(
    allot: Commands, workspace: Path, campaign: Write, temperature: int
) -> None:
    """A minimum of letters and a budget that cannot pay for them: each relaxed by what is said, alone."""
    here, head = ("--workspace", workspace), f"[exploration]\ntemperature = {temperature}\n"
    bounds = {"budget": 9.0, "floor": 150.0}

    def document(**changes: float) -> Path:
        return campaign(head + FLOOR.format(**(bounds | changes)) + BUDGET.format(**(bounds | changes)))

    before = snapshot(workspace)
    said = allot("allocate", document(), *here)
    said.refused(6, "no plan can keep", "'budget'", "'floor'", "together", "aise 'budget' by", "ower 'floor' by")
    assert snapshot(workspace) == before
    advice = re.findall(r"(aise|ower) '(\w+)' by ([\d.,]+)(?: contacts)? to ([\d.,]+\d)", said.err)
    assert {name for _, name, _, _ in advice} == set(bounds)
    for verb, name, by, to in advice:
        by, to = (float(x.replace(",", "")) for x in (by, to))
        assert to == pytest.approx(bounds[name] + (by if verb == "aise" else -by), abs=0.01)
        ran = allot("allocate", document(**{name: to}), "--output", "json", *here)
        assert ran.code == 0, (name, ran.err)
        assert ran.document["status"] == "released"
        assert all(x["slack"] >= -1e-9 for x in ran.document["limits"])
    if temperature == 0:
        _, name, by, _ = next(x for x in advice if x[1] == "floor")
        one_short = document(floor=bounds["floor"] - float(by) + 1.0)
        allot("allocate", one_short, *here).refused(6, "no plan can keep", "by 1 contact to")


def test_when_rules_exclude_everybody_the_plan_is_empty_and_every_pair_explained(
    allot: Commands, workspace: Path, campaign: Write
) -> None:
    """An audience whom nothing fits is an answer, not an error; unless a minimum asks for somebody."""
    nobody = "[[rules]]\nname = 'old'\nreason = 'Nobody is that old'\npredicate = 'age > 200'\n"
    here = ("--output", "json", "--workspace", workspace)
    plan = allot("allocate", campaign(nobody + limit(COUNT + "maximum = 50")), *here).document
    assert (plan["chosen"], plan["no_eligible"], plan["audience"]) == (0, 600, 600)
    assert (plan["excluded"], plan["pairs"]) == (2400, 2400)
    assert {x["rule"]: x["all_hits"] for x in plan["funnel"]}["old"] == 2400
    why = allot("explain", "c0001", *here).document
    assert why["sentence"] == "no offer: none is eligible"
    assert all("Nobody is that old" in offer["excluded_by"] for offer in why["offers"] if offer["offer_id"])
    before = snapshot(workspace)
    ran = allot("allocate", campaign(nobody + limit(COUNT + "minimum = 5")), "--workspace", workspace)
    ran.refused(6, "no plan can keep 'cap'", "Lower 'cap' by 5 contacts to 0")
    assert snapshot(workspace) == before
    assert allot("allocate", campaign(nobody + limit(COUNT + "minimum = 0")), *here).code == 0


def test_a_head_without_a_moment_is_refused(allot: Commands, workspace: Path, campaign: Write) -> None:
    soon = CAMPAIGN.replace("2026-04-20T00:00:00Z", '"soon"')
    allot("allocate", campaign(head=soon), "--workspace", workspace).refused(5, "as_of = 'soon'", "a time such as")


def test_a_plan_whose_outcomes_have_come_in_is_replaced_only_on_demand(
    allot: Commands, house: House, workspace: Path, tmp_path: Path
) -> None:
    other = tmp_path / "first.toml"
    other.write_text((house.files / "first.toml").read_text().replace("seed = 1", "seed = 2"))
    before = snapshot(workspace)
    ran = allot("allocate", other, "--workspace", workspace)
    ran.refused(5, "campaign 'first'", "already released as of 2026-04-01", "--again")
    assert snapshot(workspace) == before
    replaced = allot("allocate", other, "--again", "--output", "json", "--workspace", workspace)
    assert replaced.code == 0, replaced.err
    assert any("no longer counts" in warning for warning in replaced.document["warnings"])

"""The rule language: what it takes, what it refuses, and what it says then."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from allot import RuleError
from governance import Rule, Vocabulary, candidate_plan, compile_eligible_when, compile_rule, contact_rules, house_rules

AS_OF = datetime(2026, 3, 1, tzinfo=UTC)
WORDS = Vocabulary(
    customer={
        "age": "BIGINT",
        "plan": "VARCHAR",
        "joined": "DATE",
        "seen": "TIMESTAMP WITH TIME ZONE",
        "gold": "BOOLEAN",
        "score": "DOUBLE",
        'odd "name"': "VARCHAR",
    },
    offer={"margin": "DOUBLE", "channel": "VARCHAR", "age": "INTEGER", "starts_on": "DATE", "ends_on": "DATE"},
    memory={"contacts_30d": "BIGINT", "days_since_refusal": "DOUBLE"},
)


def compiled(predicate, *, scope="campaign", as_of=AS_OF):
    return compile_rule(Rule("r", "why", predicate, scope), WORDS, as_of=as_of)


@pytest.mark.parametrize(
    "predicate",
    [
        "age > 3 and gold or not gold",
        "plan in ('a', 'b') and plan not like 'x%' and plan ilike '%y' and plan similar to 'a.*'",
        "age between 1 and 2 and age is not null and age is not distinct from 3",
        "case when gold then 1 else 2 end = coalesce(age, 1) + nullif(age, 2)",
        "plan::int > 1 and try_cast(plan as date) < as_of and cast(score as decimal(10, 2)) >= 0",
        "date_diff('day', joined, as_of) > 30 and as_of - interval '30 days' > joined",
        "age(as_of, seen) > interval 30 day and date_trunc('month', as_of) > joined and year(joined) = 2020",
        "seen > timestamp '2026-01-01 12:00:00' and cast(plan as timestamp) < seen",
        "extract(year from joined) = 2020 and joined > date '2020-01-01' and joined + interval 3 day < as_of",
        "lower(plan) = upper(plan) and length(plan) > 1 and plan || 'b' = 'ab' and substr(plan, 1, 2) = trim(plan)",
        "round(score, 2) < least(score, 1) and abs(score) < greatest(floor(score), ceil(score)) and isfinite(score)",
        "contains(plan, 'x') or starts_with(plan, 'x') or ends_with(plan, 'y') or list_contains(['a'], plan)",
        '"ODD ""name""" = \'it\'\'s\'',
        "age % 2 = 0 and age // 2 = 1 and -age < 2 ** 3",
        " and ".join(["age in (1, 2)"] * 300),
    ],
)
def test_expressions_over_columns_are_rules(predicate):
    assert compiled(predicate).reads == {"customer"}


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        ("age > ", ["line 1, column", "not a SQL expression"]),
        ("plan = 'unclosed", ["not a SQL expression"]),
        ("age > 1\n and agee > 3", ["line 2, column 6", "'agee' is unknown", "Did you mean 'age'"]),
        ("offer.agee > 3", ["offer.agee", "Did you mean 'age'"]),
        ("shop.age > 3", ["shop.age is unknown", "customer, offer and memory"]),
        ("a.b.age > 1", ["unknown"]),
        ("age", ["type BIGINT"]),
        ("'x'", ["type VARCHAR"]),
        ("null", ["not true or false"]),
        ("plan > joined", ["cannot be evaluated"]),
        ("joined > date 'garbage'", ["cannot be evaluated"]),
        ("lowr(plan) = 'a'", ["lowr() is not allowed", "Did you mean lower()"]),
        ("", ["is empty"]),
        ("-- nothing", ["is empty"]),
        ("\ud800 = 1", ["not a SQL expression"]),
    ],
)
def test_a_wrong_rule_is_answered_with_place_and_remedy(predicate, words):
    with pytest.raises(RuleError) as caught:
        compiled(predicate)
    message = str(caught.value)
    assert message.startswith("rule 'r'")
    assert all(word in message for word in words), message
    assert caught.value.remedy


@pytest.mark.parametrize(
    "predicate",
    [
        "(select count(*) from read_csv('/etc/passwd')) > 0",
        "exists(select 1)",
        "age in (select 1)",
        "read_csv('x') = 1",
        "read_text('/etc/passwd') = 'x'",
        "getenv('HOME') = 'x'",
        "getvariable('x') = 1",
        "random() > 0.5",
        "uuid() = 'x'",
        "nextval('s') = 1",
        "error('x')",
        "repeat('x', 1000000000) = 'y'",
        "range(1000000000) = [1]",
        "now() > joined",
        "current_date > joined",
        "current_timestamp > seen",
        "get_current_timestamp() > seen",
        "today() > joined",
        "age = $1",
        "age = ?",
        "row_number() over () > 1",
        "list_transform([1], x -> x) = [1]",
        "sum(age) > 1",
        "true; drop table customers",
        "pragma database_list",
        "attach 'x'",
        "select true",
        "copy customers to 'x'",
        "*",
        "columns('a') > 1",
        "plan[1] = 'a'",
        "{'a': 1} = {'a': 2}",
        "cast(plan as integer[]) = [1]",
        "e'\\n' = plan",
    ],
)
def test_whatever_does_more_than_read_columns_is_refused(predicate):
    with pytest.raises(RuleError):
        compiled(predicate)


@pytest.mark.parametrize("clock", ["now()", "current_date", "today()", "current_timestamp"])
def test_a_clock_is_answered_with_as_of(clock):
    with pytest.raises(RuleError, match="as_of"):
        compiled(f"{clock} > joined")


@pytest.mark.parametrize(
    "predicate",
    ["(" * 60 + "age" + ")" * 60 + " > 1", "(" * 4000 + "age" + ")" * 4000, "not " * 200 + "gold", "x" * 10_001],
)
def test_rules_are_bounded_in_depth_and_length(predicate):
    with pytest.raises(RuleError, match=r"deep|characters"):
        compiled(predicate)


def test_a_long_sum_is_a_rule_or_a_rule_error():
    with pytest.raises(RuleError, match="cannot be evaluated"):
        compiled("age + " * 1500 + "1 > 2")


def test_bare_names_mean_customer_then_offer_then_memory():
    assert compiled("age > 1").sql == '(c."age" > 1)'
    assert compiled("margin > 1").reads == {"offer"}
    assert compiled("contacts_30d > 1").reads == {"memory"}
    rule = compiled("offer.age > customer.AGE")
    assert rule.reads == {"customer", "offer"}
    assert rule.offer_columns == (("age", "INTEGER"),)


def test_comments_do_not_reach_the_database():
    assert compiled("gold /* ; drop table customers */ -- and more").sql == '(c."gold")'


def test_as_of_is_one_moment_whatever_its_time_zone():
    local = AS_OF.astimezone(timezone(timedelta(hours=9)))
    assert compiled("seen < as_of", as_of=local).sql == compiled("seen < as_of").sql
    assert compiled("seen < as_of", as_of=AS_OF.replace(tzinfo=None)).sql == compiled("seen < as_of").sql


def test_an_audience_reads_customers_only():
    assert compiled("age > 3", scope="audience").reads == {"customer"}
    assert compiled("true", scope="audience").reads == frozenset()
    with pytest.raises(RuleError, match="customer columns only"):
        compiled("margin > 3", scope="audience")


def test_house_rules_follow_the_columns_that_exist():
    consenting = Vocabulary({"consent": "BOOLEAN"}, {"starts_on": "DATE", "ends_on": "DATE"})
    assert [rule.name for rule in house_rules(consenting)] == ["consent", "offer_started", "offer_ended"]
    assert house_rules(Vocabulary({"age": "BIGINT"}, {"margin": "DOUBLE"})) == ()


def test_every_contact_rule_compiles():
    words = Vocabulary(offer=WORDS.offer, memory={**WORDS.memory, "contacts_30d_e_mail": "BIGINT"})
    rules = contact_rules(most=2, days=30, quiet_days=10, channels={"E-mail": 1})
    assert [rule.name for rule in rules] == ["contacts", "contacts_E-mail", "quiet_period"]
    assert [sorted(compile_rule(r, words, as_of=AS_OF).reads) for r in rules] == [
        ["memory"],
        ["memory", "offer"],
        ["memory"],
    ]


def test_a_house_that_never_contacted_anybody_passes_its_contact_policy():
    rules = contact_rules(most=2, quiet_days=10, channels={"email": 1}, memory=["amount_decayed_30d"])
    assert [(r.name, r.predicate) for r in rules] == [
        (n, "true") for n in ("contacts", "contacts_email", "quiet_period")
    ]
    known = contact_rules(most=2, days=14, memory=["contacts_30d"])
    with pytest.raises(RuleError, match="contacts_14d"):
        compile_rule(known[0], WORDS, as_of=AS_OF)


def test_an_offer_with_a_wrong_predicate_is_named():
    with pytest.raises(RuleError, match="offer b"):
        compile_eligible_when(
            [{"offer_id": "a", "eligible_when": None}, {"offer_id": "b", "eligible_when": "agee > 1"}],
            WORDS,
            as_of=AS_OF,
        )


def test_rules_have_names_of_their_own_and_64_bits():
    offers = [{"offer_id": "a"}]
    own = compile_eligible_when(offers, WORDS, as_of=AS_OF)
    with pytest.raises(RuleError, match="this name"):
        candidate_plan(offers, [compiled("gold"), compiled("not gold")], own)
    many = [compile_rule(Rule(f"r{i}", "", "gold"), WORDS, as_of=AS_OF) for i in range(64)]
    with pytest.raises(RuleError, match="more than 64"):
        candidate_plan(offers, many, own)
    plan = candidate_plan(offers, many[:63], own)
    assert [rule.name for rule in plan.failed((1 << 63) | 1)] == ["r0", "eligible_when"]

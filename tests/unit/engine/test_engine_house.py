"""Rules of the house hold in every campaign, and each version of them is told from a campaign's own rules."""

from datetime import UTC, datetime

import pytest

from allot import CampaignError, NotFoundError
from engine.campaign import Campaign, read_campaign
from engine.house import under_house_rules
from warehouse import RuleText, Store, house_rule_versions, newest_house_rules, put_house_rule

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def _campaign(*rules: tuple[str, str]) -> Campaign:
    own = [{"name": name, "reason": "because", "predicate": predicate} for name, predicate in rules]
    return read_campaign({"name": "c", "as_of": NOW, "rules": own})


def _put(store: Store, name: str, predicate: str, *, active: bool = True) -> int:
    return put_house_rule(store, RuleText(name, "because", predicate, active), by="test", at=NOW)[0].version


def test_nothing_is_overwritten_and_the_same_text_is_the_same_version(store: Store) -> None:
    assert [_put(store, "a", p) for p in ("x > 1", "x > 1", "x > 2", "x > 1")] == [1, 1, 2, 3]
    assert [rule.predicate for rule in house_rule_versions(store, "a")] == ["x > 1", "x > 2", "x > 1"]
    assert [(rule.name, rule.version) for rule in newest_house_rules(store)] == [("a", 3)]
    with pytest.raises(NotFoundError):
        house_rule_versions(store, "b")


def test_without_rules_of_the_house_a_campaign_is_itself(store: Store) -> None:
    campaign = _campaign(("mine", "age > 3"))
    assert under_house_rules(store, campaign) == campaign
    assert under_house_rules(store, campaign).digest == campaign.digest


def test_rules_of_the_house_come_first_and_follow_their_newest_version(store: Store) -> None:
    _put(store, "b", "x > 1")
    _put(store, "a", "x > 2")
    stored = under_house_rules(store, _campaign(("mine", "age > 3")))
    assert [(r.name, r.predicate) for r in stored.rules] == [("a", "x > 2"), ("b", "x > 1"), ("mine", "age > 3")]
    assert under_house_rules(store, stored) == stored
    _put(store, "b", "x > 7")
    _put(store, "a", "x > 2", active=False)
    assert [(r.name, r.predicate) for r in under_house_rules(store, stored).rules] == [
        ("b", "x > 7"),
        ("mine", "age > 3"),
    ]


def test_a_rule_of_ones_own_may_not_pass_for_one_of_the_house(store: Store) -> None:
    _put(store, "a", "x > 2")
    with pytest.raises(CampaignError, match="'a'"):
        under_house_rules(store, _campaign(("a", "true")))

"""What holds in every campaign: the house's own rules, checked when they are written."""

from dataclasses import replace
from datetime import UTC, datetime

from allot import CampaignError, DataError
from engine.campaign import Campaign
from governance import Rule
from warehouse import (
    HouseRule,
    RuleText,
    Store,
    Workspace,
    attach,
    connect,
    current_version,
    house_rules_of,
    put_house_rule,
)

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)  # of a rule only names, types and constants are checked


def check_rules(workspace: Workspace, rules: tuple[Rule, ...]) -> None:
    """Compile rules against the columns that are loaded now, and every memory that there may be.

    Raises:
        RuleError: the first that is wrong, with the place in it.
        DataError: no customers or no offers are loaded, so that names mean nothing yet.
    """
    from engine.offer_rules import vocabulary_of  # only here: what holds in a campaign is read without a compiler
    from governance import compile_rule

    version = current_version(workspace)
    missing = [table for table in ("customers", "offers") if table not in version.tables]
    if missing:
        raise DataError(f"there are no {missing[0]} yet.", where="rule", remedy="Load them first.")
    with connect(workspace) as connection:
        attach(connection, workspace, version)
        vocabulary = vocabulary_of(connection, version, *(rule.predicate for rule in rules))
    for rule in rules:
        compile_rule(rule, vocabulary, as_of=_ANY_MOMENT)


def set_house_rule(
    workspace: Workspace, store: Store, text: RuleText, *, by: str, at: datetime
) -> tuple[HouseRule, bool]:
    """Check a rule and make it hold in every campaign from now on; False where it says what it said before.

    Raises:
        RuleError, DataError: see `check_rules`; nothing was stored.
    """
    check_rules(workspace, (Rule(text.name, text.reason, text.predicate, scope="house"),))
    return put_house_rule(store, text, by=by, at=at)


def under_house_rules(store: Store, campaign: Campaign) -> Campaign:
    """The campaign with the house's rules before its own: so what is stored and stamped says all that held.

    Rules of the house that the campaign carries from an earlier time make way for what they are now.

    Raises:
        CampaignError: a rule of the campaign's own has the name of one of the house's.
    """
    every = house_rules_of(store)
    newest = {rule.name: rule for rule in every}
    once = {_rule(rule) for rule in every}
    own = tuple(rule for rule in campaign.rules if rule not in once)
    clash = next((rule.name for rule in own if rule.name in newest and newest[rule.name].active), None)
    if clash is not None:
        what = f"rule {clash!r} has the name of a rule of the house."
        raise CampaignError(what, where="campaign, rules", remedy="Give it another name.")
    return replace(campaign, rules=(*(_rule(rule) for rule in newest.values() if rule.active), *own))


def _rule(rule: HouseRule) -> Rule:
    return Rule(rule.name, rule.reason, rule.predicate)

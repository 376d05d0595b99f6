"""Rules that come with the house: consent, offer dates, eligible_when, contact policy, one per household."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from governance.compiler import compile_rule
from governance.rules import CompiledRule, Rule, Vocabulary
from governance.types import literal

HOUSEHOLD = Rule("household", "Another member of the household is addressed", "true", scope="house")


def house_rules(vocabulary: Vocabulary) -> tuple[Rule, ...]:
    """Consent and offer dates, as far as the columns exist.

    Consent that is unknown passes; only a refusal excludes. Offer dates are whole days in UTC, both inclusive, and an
    empty date leaves that side open.
    """
    rules = []
    if "consent" in vocabulary.customer:
        rules.append(
            Rule("consent", "The customer has refused consent", "customer.consent IS NOT FALSE", scope="house")
        )
    today = "CAST(as_of AS DATE)"
    sides = {
        "starts_on": ("offer_started", "The offer has not started yet", f"offer.starts_on <= {today}"),
        "ends_on": ("offer_ended", "The offer has ended", f"offer.ends_on >= {today}"),
    }
    for column, (name, reason, predicate) in sides.items():
        if column in vocabulary.offer:
            rules.append(Rule(name, reason, f"offer.{column} IS NULL OR {predicate}", scope="house"))
    return tuple(rules)


def contact_rules(
    *,
    most: int | None = None,
    days: int = 30,
    quiet_days: int | None = None,
    channels: Mapping[str, int] | None = None,
    memory: Collection[str] | None = None,
) -> tuple[Rule, ...]:
    """A contact policy over the memory columns contacts_{d}d, contacts_{d}d_{channel} and days_since_refusal.

    Args:
        most: contacts allowed in the last `days` before the decision, so a further one needs fewer; None is no rule.
        days: the length of that window; memory must hold it.
        quiet_days: no offer for so many days after a refusal; None is no rule.
        channels: the same as `most` for single channels, for offers of that channel.
        memory: the memory columns that there are. A house that has never contacted anybody has none about contacts, and
            then these rules pass; None leaves it to the compiler to complain about missing columns.
    """
    never = memory is not None and not any(column.startswith("contacts_") for column in memory)
    rules = []
    if most is not None:
        predicate = "true" if never else f"coalesce(memory.contacts_{days}d, 0) < {int(most)}"
        rules.append(Rule("contacts", f"Already contacted {most} times in {days} days", predicate, scope="house"))
    for channel, cap in sorted((channels or {}).items()):
        column = f'memory."contacts_{days}d_{_word(channel)}"'
        other = f"offer.channel IS DISTINCT FROM {literal(channel)}"
        predicate = "true" if never else f"{other} OR coalesce({column}, 0) < {int(cap)}"
        reason = f"Already contacted {cap} times by {channel} in {days} days"
        rules.append(Rule(f"contacts_{channel}", reason, predicate, scope="house"))
    if quiet_days is not None:
        unknown = memory is not None and "days_since_refusal" not in memory
        predicate = "true" if unknown else f"coalesce(memory.days_since_refusal >= {int(quiet_days)}, true)"
        rules.append(
            Rule("quiet_period", f"Refused an offer less than {quiet_days} days ago", predicate, scope="house")
        )
    return tuple(rules)


def _word(channel: str) -> str:
    """A channel as it stands in the names of memory columns: lower case, letters, digits and single underscores."""
    return re.sub(r"[\W_]+", "_", channel.lower()).strip("_") or "unnamed"


def compile_eligible_when(
    offers: Sequence[Mapping[str, Any]], vocabulary: Vocabulary, *, as_of: datetime
) -> tuple[CompiledRule, ...]:
    """Each offer's own predicate, in the order of the offers; an empty one passes.

    Raises:
        RuleError: the predicate of an offer is wrong; the error names the offer.
    """
    compiled = []
    for offer in offers:
        predicate = offer.get("eligible_when") or "true"
        rule = Rule(
            f"eligible_when of offer {offer['offer_id']}", "The offer is not meant for this customer", predicate
        )
        compiled.append(compile_rule(rule, vocabulary, as_of=as_of))
    return tuple(compiled)

"""All rules at once: one bitmask of failed rules per customer and offer, without ever joining customers and offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from allot import RuleError
from governance.builtin import HOUSEHOLD
from governance.rules import CompiledRule

MAX_RULES = 64
ELIGIBLE_WHEN = "eligible_when"


@dataclass(frozen=True, slots=True)
class PlannedRule:
    """A rule and the bit that is set where it failed."""

    name: str
    reason: str
    bit: int

    @property
    def mask(self) -> int:
        """The bit as a number."""
        return 1 << self.bit


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """The SQL of all rules.

    Args:
        rules: in the order of their bits.
        shared: SQL of type UBIGINT over customer c and memory m: the rules that every offer shares.
        masks: for each of the k offers the same, of the rules that speak of offers; values of the offer are literals.
        predicates: (rule, SQL predicate) of everything above, to find out which one failed to run.
        reads_memory: whether m is needed.
        household: the mask of the rule of one customer per household; 0 where it is not asked for.
    """

    rules: tuple[PlannedRule, ...]
    shared: str
    masks: tuple[str, ...]
    predicates: tuple[tuple[str, str], ...]
    reads_memory: bool
    household: int = 0

    def failed(self, reasons: int) -> tuple[PlannedRule, ...]:
        """The rules behind one bitmask."""
        return tuple(rule for rule in self.rules if reasons & rule.mask)


def candidate_plan(
    offers: Sequence[Mapping[str, Any]],
    rules: Sequence[CompiledRule],
    eligible_when: Sequence[CompiledRule],
    *,
    household: bool = False,
) -> CandidatePlan:
    """Join the rules of a campaign into one plan.

    Args:
        offers: k rows of the offers table, in the order of the columns to come.
        rules: rules of the house and of the campaign, in the order of their bits.
        eligible_when: (k,) each offer's own predicate; they share one bit, after the others.
        household: add the rule of one customer per household.

    Raises:
        RuleError: more than 64 rules, or two of one name.
    """
    planned = [PlannedRule(c.rule.name, c.rule.reason, bit) for bit, c in enumerate(rules)]
    planned.append(PlannedRule(ELIGIBLE_WHEN, "The offer is not meant for this customer", len(planned)))
    if household:
        planned.append(PlannedRule(HOUSEHOLD.name, HOUSEHOLD.reason, len(planned)))
    _check_names(planned)
    shared = [(rule, c.sql) for rule, c in zip(planned, rules, strict=False) if "offer" not in c.reads]
    predicates = [(rule.name, sql) for rule, sql in shared]
    of_offers = [(rule, c) for rule, c in zip(planned, rules, strict=False) if "offer" in c.reads]
    masks = []
    for offer, own in zip(offers, eligible_when, strict=True):
        tests = [(rule, for_offer(c, offer)) for rule, c in of_offers]
        tests.append((planned[len(rules)], for_offer(own, offer)))
        masks.append(_mask(tests))
        predicates += [(f"{rule.name} of offer {offer['offer_id']}", sql) for rule, sql in tests]
    reads_memory = any("memory" in c.reads for c in (*rules, *eligible_when))
    return CandidatePlan(
        tuple(planned),
        _mask(shared),
        tuple(masks),
        tuple(predicates),
        reads_memory,
        planned[-1].mask if household else 0,
    )


def for_offer(rule: CompiledRule, offer: Mapping[str, Any]) -> str:
    """A rule's SQL with the values of one offer in place of its columns."""
    if not rule.offer_columns:
        return rule.sql
    values = ((name, kind, offer[name]) for name, kind in rule.offer_columns)
    return _filled(
        rule.sql, tuple((name, kind, None if value is None else _text(value)) for name, kind, value in values)
    )


@lru_cache(1_024)  # offers share their dates and categories, campaigns their rules: milliseconds each
def _filled(sql: str, columns: tuple[tuple[str, str, str | None], ...]) -> str:
    """SQL with a value in place of each column of the offer: its name, type and text."""
    import sqlglot
    from sqlglot import exp

    known = {name: (kind, text) for name, kind, text in columns}
    tree = sqlglot.parse_one(sql, read="duckdb")
    for node in list(tree.find_all(exp.Column)):
        if node.table == "o":
            kind, text = known[node.name]
            value = exp.null() if text is None else exp.Literal.string(text)
            node.replace(exp.cast(value, kind, dialect="duckdb"))
    return str(tree.sql("duckdb"))


def _text(value: Any) -> str:
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat() if isoformat is not None else value)


def _mask(tests: Sequence[tuple[PlannedRule, str]]) -> str:
    """The bits of the predicates that are not true: ELSE takes both false and NULL."""
    bits = [f"CASE WHEN {sql} THEN 0::UBIGINT ELSE {rule.mask}::UBIGINT END" for rule, sql in tests]
    return " | ".join(f"({bit})" for bit in bits) or "0::UBIGINT"


def _check_names(planned: Sequence[PlannedRule]) -> None:
    if len(planned) > MAX_RULES:
        raise RuleError(f"{len(planned)} rules are more than {MAX_RULES}.", remedy="Join some of them with AND.")
    seen: set[str] = set()
    for rule in planned:
        if rule.name in seen:
            raise RuleError("two rules have this name.", where=f"rule {rule.name!r}", remedy="Rename one.")
        seen.add(rule.name)

"""The house's own rules, every version of them: they hold in every campaign."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from allot import NotFoundError
from warehouse.rule_tables import HouseRuleRow
from warehouse.store import Store


@dataclass(frozen=True, slots=True)
class HouseRule:
    """One version of a rule. Versions count from 1."""

    name: str
    version: int
    reason: str
    predicate: str
    active: bool
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RuleText:
    """What somebody writes: a name, a reason for people, a predicate, and whether it is to hold."""

    name: str
    reason: str
    predicate: str
    active: bool = True


def put_house_rule(store: Store, text: RuleText, *, by: str, at: datetime) -> tuple[HouseRule, bool]:
    """Store the next version of a rule; what says the same as the newest version is that version (False)."""
    with store.transaction() as session:
        store.alone(session, f"house rule {text.name}")
        newest = session.exec(_versions(text.name)).first()
        if newest is not None and _text(newest) == text:
            return _rule(newest), False
        row = HouseRuleRow(
            name=text.name,
            version=1 if newest is None else newest.version + 1,
            reason=text.reason,
            predicate=text.predicate,
            active=text.active,
            created_by=by,
            created_at=at,
        )
        session.add(row)
        session.flush()
        return _rule(row), True


def house_rule_versions(store: Store, name: str) -> tuple[HouseRule, ...]:
    """Every version of a rule, the newest first.

    Raises:
        NotFoundError: there is no rule of that name.
    """
    with store.transaction(write=False) as session:
        found = tuple(_rule(row) for row in session.exec(_versions(name)))
    if not found:
        raise NotFoundError(f"there is no rule {name[:80]!r}.")
    return found


def house_rules_of(store: Store) -> tuple[HouseRule, ...]:
    """Every version of every rule, by name and version."""
    query = select(HouseRuleRow).order_by(HouseRuleRow.name, col(HouseRuleRow.version))
    with store.transaction(write=False) as session:
        return tuple(sorted((_rule(row) for row in session.exec(query)), key=lambda rule: (rule.name, rule.version)))


def newest_house_rules(store: Store) -> tuple[HouseRule, ...]:
    """The newest version of every rule, by name, active or not."""
    newest = {rule.name: rule for rule in house_rules_of(store)}
    return tuple(newest.values())


def _versions(name: str) -> SelectOfScalar[HouseRuleRow]:
    return select(HouseRuleRow).where(HouseRuleRow.name == name).order_by(col(HouseRuleRow.version).desc())


def _text(row: HouseRuleRow) -> RuleText:
    return RuleText(row.name, row.reason, row.predicate, row.active)


def _rule(row: HouseRuleRow) -> HouseRule:
    return HouseRule(**{name: getattr(row, name) for name in HouseRule.__dataclass_fields__})

"""The request: who, for what, under which limits, with how much exploration. The same document as TOML and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from allot import CampaignError
from engine.document import Reader, document_from_file, is_number, is_unicode
from governance import Rule
from portfolio import MEASURES, Measure

Objective: TypeAlias = Literal["profit", "value", "conversions", "incremental"]
OBJECTIVES: tuple[Objective, ...] = ("profit", "value", "conversions", "incremental")

Approval: TypeAlias = Literal["none", "second_person"]
APPROVALS: tuple[Approval, ...] = ("none", "second_person")

Aggregation: TypeAlias = Literal["first", "latest", "sum", "max"]
AGGREGATIONS: tuple[Aggregation, ...] = ("first", "latest", "sum", "max")

_LONGEST = 36_500  # days; beyond a hundred years the calendar ends before the arithmetic does


@dataclass(frozen=True, slots=True)
class Exploration:
    """How much is tried for the sake of learning.

    `temperature` multiplies the uncertainty that the draw sees (0 = the deterministic optimum), `share` of the
    decisions is spread evenly, `holdout` of the customers are never addressed.
    """

    temperature: float = 1.0
    share: float = 0.01
    holdout: float = 0.0


@dataclass(frozen=True, slots=True)
class Where:
    """Columns and the values that select: every column must match one of its values. Empty selects all."""

    offers: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    customers: tuple[tuple[str, tuple[Any, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A limit in terms of offer columns and customer columns. With `whole`, it is a share: bounds times the whole.

    `single_share` of the maximum is kept for single decisions; None = the campaign's share.
    """

    name: str
    measure: Measure
    part: Where
    whole: Where | None = None
    minimum: float | None = None
    maximum: float | None = None
    penalty: float | None = None
    report_only: bool = False
    single_share: float | None = None

    @property
    def rations(self) -> bool:
        """Whether it is a hard maximum of a sum: what a budget can be kept of."""
        return self.whole is None and self.maximum is not None and self.penalty is None and not self.report_only


@dataclass(frozen=True, slots=True)
class SingleDecisions:
    """What is kept for customers who are decided on one at a time, after the allocation.

    `share` of every hard maximum is kept for them (a limit's own `single_share` goes first), and whatever the
    allocation leaves of the rest; `expected_per_day` of them are expected, `until` a moment.
    """

    share: float = 0.0
    expected_per_day: float | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """At most so many contacts in so many days; none for some days after a refusal; one customer per household."""

    most: int | None = None
    days: int = 30
    quiet_days: int | None = None
    one_per_household: bool = False


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign document; see `read_campaign` for its fields."""

    name: str
    as_of: datetime
    seed: int
    audience: str
    objective: Objective
    outside_margin: float | None
    outcome_days: float
    no_feedback: Literal["failure", "ignore"]
    exploration: Exploration
    limits: tuple[LimitSpec, ...]
    rules: tuple[Rule, ...]
    contact: ContactPolicy
    approval: Approval = "none"
    single_decisions: SingleDecisions | None = None
    aggregation: Aggregation = "latest"

    def to_document(self) -> dict[str, Any]:
        """The document again, every default written out; `read_campaign` takes it back."""
        plain = ("name", "seed", "audience", "objective", "outside_margin", "outcome_days", "no_feedback")
        return {
            **{key: getattr(self, key) for key in plain},
            "as_of": self.as_of.isoformat(),
            "exploration": asdict(self.exploration),
            "limits": [_limit_document(x) for x in self.limits if x.whole is None],
            "shares": [_limit_document(x) for x in self.limits if x.whole is not None],
            "rules": [{"name": r.name, "reason": r.reason, "predicate": r.predicate} for r in self.rules],
            "contact": asdict(self.contact),
            **({} if self.approval == "none" else {"approval": self.approval}),  # as before there was such a field
            **({} if self.aggregation == "latest" else {"feedback": {"aggregation": self.aggregation}}),
            **({} if self.single_decisions is None else {"single_decisions": _single_document(self.single_decisions)}),
        }

    @property
    def digest(self) -> str:
        """Fingerprint of everything in the document."""
        return sha256(json.dumps(self.to_document(), sort_keys=True).encode()).hexdigest()


def _single_document(single: SingleDecisions) -> dict[str, Any]:
    return {**asdict(single), "until": None if single.until is None else single.until.isoformat()}


def _limit_document(limit: LimitSpec) -> dict[str, Any]:
    out: dict[str, Any] = {"name": limit.name, "measure": limit.measure, "minimum": limit.minimum}
    out |= {"maximum": limit.maximum, "penalty": limit.penalty}
    if limit.single_share is not None:  # documents without it keep their digests
        out["single_share"] = limit.single_share
    if limit.whole is not None:
        return out | {"part": _where_document(limit.part), "whole": _where_document(limit.whole)}
    return out | _where_document(limit.part) | {"report_only": limit.report_only}


def _where_document(where: Where) -> dict[str, Any]:
    return {"offers": {c: list(v) for c, v in where.offers}, "customers": {c: list(v) for c, v in where.customers}}


def campaign_from_file(path: Path) -> Campaign:
    """Read a campaign from TOML, or from JSON when the name ends in .json.

    Raises:
        CampaignError: no such file, a syntax error with its position, or a wrong field.
    """
    document = document_from_file(path, remedy="Give the path of a campaign document.")
    return read_campaign(document, where=path.name)


def read_campaign(document: Mapping[str, Any], *, where: str = "campaign") -> Campaign:
    """Check a campaign document.

    Fields: name, as_of, seed, audience (a rule over customer columns, default "true"), objective, outside_margin,
    outcome_days, no_feedback, [exploration] temperature, share, holdout, [[limits]], [[shares]], [[rules]], [contact],
    approval, [single_decisions] share, expected_per_day, until, [feedback] aggregation.

    Raises:
        CampaignError: with the field, its value and what was expected.
    """
    r = Reader(document, where)
    campaign = Campaign(
        name=r.name("name"),
        as_of=r.moment("as_of"),
        seed=r.whole("seed", 0),
        audience=r.text("audience", "true"),
        objective=cast(Objective, r.text("objective", "profit", choices=OBJECTIVES)),
        outside_margin=r.number("outside_margin", None, low=0.0),
        outcome_days=r.amount("outcome_days", 30.0, low=0.0, high=_LONGEST),
        no_feedback=cast(Any, r.text("no_feedback", "failure", choices=("failure", "ignore"))),
        exploration=_exploration(r.take("exploration", {}), where),
        limits=(*map(_limit, r.tables("limits")), *map(_share, r.tables("shares"))),
        rules=tuple(map(_rule, r.tables("rules"))),
        contact=_contact(r.take("contact", {}), where),
        approval=cast(Approval, r.text("approval", "none", choices=APPROVALS)),
        single_decisions=_single(r.take("single_decisions", None), where),
        aggregation=_aggregation(r.take("feedback", {}), where),
    )
    r.done()
    _check_single(campaign)
    return campaign


def _exploration(table: Any, where: str) -> Exploration:
    r = Reader(table, f"{where}, [exploration]")
    plain = Exploration()
    out = Exploration(
        temperature=r.amount("temperature", plain.temperature, low=0.0, high=10.0),
        share=r.amount("share", plain.share, low=0.0, high=0.5),
        holdout=r.amount("holdout", plain.holdout, low=0.0, high=0.9),
    )
    r.done()
    return out


def _contact(table: Any, where: str) -> ContactPolicy:
    r = Reader(table, f"{where}, [contact]")
    most = r.take("most", None)
    quiet = r.take("quiet_days", None)
    for key, value in (("most", most), ("quiet_days", quiet)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LONGEST):
            what = f"{key} = {value!r} is not a whole number between 0 and {_LONGEST}."
            raise CampaignError(what, where=r.where, remedy="Give one, or leave the line out.")
    days = r.whole("days", 30, low=1, high=_LONGEST)
    out = ContactPolicy(most, days, quiet, r.flag("one_per_household", False))
    r.done()
    return out


def _single(table: Any, where: str) -> SingleDecisions | None:
    if table is None:
        return None
    r = Reader(table, f"{where}, [single_decisions]")
    until = r.take("until", None)
    out = SingleDecisions(
        share=r.amount("share", 0.0, low=0.0, high=1.0),
        expected_per_day=r.number("expected_per_day", None, low=0.0, high=1e12),
        until=None if until is None else Reader({"until": until}, r.where).moment("until"),
    )
    r.done()
    return out


def _check_single(campaign: Campaign) -> None:
    """Refuse what is said of single decisions and can mean nothing."""
    for limit in campaign.limits:
        if limit.single_share is None:
            continue
        if campaign.single_decisions is None:
            remedy = "Add a table [single_decisions], or leave single_share out."
            raise CampaignError("single_share without single decisions.", where=f"limit {limit.name!r}", remedy=remedy)
        if not limit.rations:
            remedy = "Give the limit a maximum without penalty, or leave single_share out."
            raise CampaignError("nothing can be kept of it.", where=f"limit {limit.name!r}", remedy=remedy)
    until = None if campaign.single_decisions is None else campaign.single_decisions.until
    if until is not None and until <= campaign.as_of:
        what = f"until = {until.isoformat()} is not after as_of."
        raise CampaignError(what, where="[single_decisions]", remedy="Give a later moment, or leave the line out.")


def _aggregation(table: Any, where: str) -> Aggregation:
    r = Reader(table, f"{where}, [feedback]")
    out = cast(Aggregation, r.text("aggregation", "latest", choices=AGGREGATIONS))
    r.done()
    return out


def _rule(table: Any) -> Rule:
    r = Reader(table, "[[rules]]")
    name = r.text("name")
    rule = Rule(name=name, reason=r.text("reason", name), predicate=r.text("predicate"))
    r.done()
    return rule


def _where(table: Any, place: str) -> Where:
    r = Reader(table, place)
    out = Where(offers=_columns(r.take("offers", {}), place), customers=_columns(r.take("customers", {}), place))
    r.done()
    return out


def _columns(table: Any, place: str) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    if not isinstance(table, Mapping):
        remedy = 'Write columns with their values, such as {town = "inner"}.'
        raise CampaignError(f"{table!r} is not a table of columns and values.", where=place, remedy=remedy)
    pairs = ((str(c), tuple(v) if isinstance(v, list | tuple) else (v,)) for c, v in sorted(table.items()))
    return tuple((column, _values(values, f"{place}, {column}")) for column, values in pairs)


def _values(values: tuple[Any, ...], place: str) -> tuple[Any, ...]:
    for value in values:
        if not isinstance(value, bool) and not is_number(value) and not (isinstance(value, str) and is_unicode(value)):
            raise CampaignError(
                f"{value!r} is no value to compare with.", where=place, remedy="Give texts, numbers, true or false."
            )
    if len({isinstance(value, bool) for value in values}) > 1:
        what = f"{list(values)!r} mixes true or false with other values."
        raise CampaignError(what, where=place, remedy="Give values of one kind.")
    if not values:
        raise CampaignError("has no value to compare with.", where=place, remedy="Give one, or leave the column out.")
    return values


def _named(table: Any, kind: str) -> tuple[Reader, str]:
    name = Reader(table, f"[[{kind}]]").text("name")
    r = Reader(table, f"limit {name!r}")
    r.take("name")
    return r, name


def _bounded(r: Reader, *, low: float = -float("inf"), high: float = float("inf")) -> tuple[float | None, float | None]:
    minimum = r.number("minimum", None, low=low, high=high)
    maximum = r.number("maximum", None, low=low, high=high)
    if minimum is None and maximum is None:
        raise CampaignError("has neither minimum nor maximum.", where=r.where, remedy="Give at least one of them.")
    return minimum, maximum


def _limit(table: Any) -> LimitSpec:
    r, name = _named(table, "limits")
    measure = cast(Measure, r.text("measure", choices=MEASURES))
    low = -float("inf") if measure == "value" else 0.0
    minimum, maximum = _bounded(r, low=low)
    part = _where({key: r.take(key, {}) for key in ("offers", "customers")}, r.where)
    out = LimitSpec(
        name=name,
        measure=measure,
        part=part,
        minimum=minimum,
        maximum=maximum,
        penalty=r.number("penalty", None, low=0.0),
        report_only=r.flag("report_only", False),
        single_share=r.number("single_share", None, low=0.0, high=1.0),
    )
    r.done()
    return out


def _share(table: Any) -> LimitSpec:
    r, name = _named(table, "shares")
    measure = cast(Measure, r.text("measure", "count", choices=MEASURES))
    minimum, maximum = _bounded(r, low=0.0, high=1.0)
    part = _where(r.take("part"), f"{r.where}, part")
    whole = _where(r.take("whole", {}), f"{r.where}, whole")
    out = LimitSpec(name, measure, part, whole, minimum, maximum, r.number("penalty", None, low=0.0))
    r.done()
    return out

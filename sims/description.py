"""A world in words: every ingredient has a key, and its default is the world `nbo`.

Moments are shares of the world's days, so that a shorter world has them, too. Effects are in logits.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from allot import CampaignError
from engine.document import Reader, document_from_file

Kind: TypeAlias = Literal["none", "sudden", "gradual", "recurring"]

KINDS: Final = ("none", "sudden", "gradual", "recurring")
_MANY: Final = 10_000_000
_TWELVE: Final = (12, 8)  # offers of `nbo`, and how many of them are in the log
_NAME: Final = re.compile(r"[^\W_][\w .-]{0,79}")
_T = TypeVar("_T", bound="Section")


def _between(default: Any, low: float, high: float) -> Any:
    """A number's field, or that of a list of numbers, with its range."""
    return field(default=default, metadata={"low": low, "high": high})


def _share(default: Any = 0.0) -> Any:
    return _between(default, 0.0, 1.0)


def _taken(reader: Reader, key: Field[Any], default: Any) -> Any:
    """The value of a key, checked by its type; a table's is checked by itself."""
    about: Mapping[str, Any] = key.metadata
    if "optional" in about:
        given = reader.take(key.name, default)
        return given if given is None else Reader({key.name: given}, reader.where).text(key.name)
    if isinstance(default, str):
        return reader.text(key.name, default, choices=about.get("choices", ()))
    if isinstance(default, tuple):
        return _several(reader, key, default)
    if key.type is int:
        return reader.whole(key.name, default, low=about["low"], high=about["high"])
    if key.type is float:
        return reader.amount(key.name, default, low=about["low"], high=about["high"])
    return reader.take(key.name, default)


def _several(reader: Reader, key: Field[Any], default: tuple[float, ...]) -> tuple[float, ...]:
    given = reader.take(key.name, default)
    if not isinstance(given, list | tuple):
        raise CampaignError(f"{key.name} = {given!r} is no list.", where=reader.where, remedy="Write [0.2, 0.4].")
    each = Reader({f"{key.name}[{i}]": value for i, value in enumerate(given)}, reader.where)
    low, high = key.metadata["low"], key.metadata["high"]
    return tuple(each.amount(f"{key.name}[{i}]", 0.0, low=low, high=high) for i in range(len(given)))


@dataclass(frozen=True, slots=True)
class Section:
    """A table of keys; each is checked against its type and range, whoever writes it."""

    def __post_init__(self) -> None:
        """Raises `CampaignError` with the key, its value and what was expected."""
        reader = Reader({key.name: getattr(self, key.name) for key in fields(self)}, type(self).__name__)
        for key in fields(self):
            _taken(reader, key, getattr(self, key.name))


@dataclass(frozen=True, slots=True)
class Taste(Section):
    """How customers respond: multipliers of the terms of their logit, 0 = off."""

    level: float = _between(-3.4, -6.0, 0.0)  # mean logit of an offer
    segments: float = _between(1.0, 0.0, 10.0)  # offer × segment
    numbers: float = _between(1.0, 0.0, 10.0)  # offer × number, a line
    shared: float = _between(1.0, 0.0, 10.0)  # number, a line that all offers share
    pairs: float = _between(1.0, 0.0, 10.0)  # offer × pair of numbers: a threshold of one, a bend of the other
    trees: float = _between(0.0, 0.0, 10.0)  # offer × thresholds of two numbers together; some are shared by all offers


@dataclass(frozen=True, slots=True)
class Offering(Section):
    """How many offers, how many of them are in the log, and when they come and go."""

    count: int = _between(_TWELVE[0], 1, 200)
    warm: int = _between(_TWELVE[1], 1, 200)
    arrivals: tuple[float, ...] = _share(())  # of the offers that are not warm, in order; the others are there
    retirements: tuple[float, ...] = _share(())  # of the warm offers, in order; the others stay


@dataclass(frozen=True, slots=True)
class Amounts(Section):
    """Money. Costs are multipliers of the reference's, 0 = free."""

    margin_spread: float = _between(0.0, 0.0, 2.0)  # sd of the logarithm of a customer's factor on all margins
    contact_cost: float = _between(1.0, 0.0, 100.0)
    redemption_cost: float = _between(1.0, 0.0, 5.0)


@dataclass(frozen=True, slots=True)
class Alone(Section):
    """What customers do without an offer: shares of three kinds; whoever is left can be persuaded."""

    sure_things: float = _share()  # buy as readily without any offer as with their best
    lost_causes: float = _share()  # hardly buy, with an offer or without
    do_not_disturbs: float = _share()  # buy like sure things unless an offer disturbs them


@dataclass(frozen=True, slots=True)
class Season(Section):
    """A wave through every offer's logit, each at its own phase."""

    strength: float = _between(0.0, 0.0, 3.0)
    period_days: float = _between(7.0, 2.0, 1000.0)


@dataclass(frozen=True, slots=True)
class Drift(Section):
    """Half of the offers become better or worse, and three change which segments like them."""

    kind: Kind = field(default="sudden", metadata={"choices": KINDS})
    at: float = _share(0.5)  # when it begins
    over: float = _share(0.2)  # how long "gradual" takes, and how long each phase of "recurring" lasts
    size: float = _between(0.9, 0.0, 3.0)


@dataclass(frozen=True, slots=True)
class Cut(Section):
    """From a moment on the campaign has only a part of its budget."""

    at: float = _share(0.5)
    to: float = _share(1.0)


@dataclass(frozen=True, slots=True)
class Reporting(Section):
    """When and how the outcome of a decision is heard."""

    delay_days: int = _between(3, 0, 365)  # of every report
    late: float = _between(0.0, 0.0, 0.99)  # chance of one more day, and again
    window_days: int = _between(30, 1, 365)  # then the decision is reported as a failure
    missing: float = _share()  # never reported
    wrong: float = _share()  # reported wrongly at first
    correction_days: int = _between(10, 1, 365)  # from a wrong report to its correction


@dataclass(frozen=True, slots=True)
class Bots(Section):
    """For a while a share of the customers is clicked for by bots: success is reported whatever they do."""

    share: float = _share()
    at: float = _share(0.4)
    over: float = _share(0.2)


@dataclass(frozen=True, slots=True)
class Defects(Section):
    """What is wrong with the data that one gets to see; the truth knows better."""

    duplicated: float = _share()  # of the logged exposures stand there twice
    missing_numbers: float = _share()  # of the customers' numbers are not known
    wrong_segments: float = _share()  # of the customers are filed under another segment


@dataclass(frozen=True, slots=True)
class Description(Section):
    """A whole world but for its seed.

    With a `workspace` its log settles taste, money and kinds of customers; see `sims.fitted`.

    Raises:
        CampaignError: a key out of range, or keys that contradict one another.
    """

    name: str = "nbo"
    days: int = _between(50, 1, 3650)
    per_day: int = _between(1500, 1, _MANY)  # new customers on each day
    history: int = _between(30_000, 1, _MANY)  # logged exposures; a tenth is added as control group
    fatigue: float = _between(0.0, 0.0, 3.0)  # logit lost by every offer for each contact in the last 30 days
    workspace: str | None = field(default=None, metadata={"optional": True})  # folder of one whose log is the truth
    data: str | None = field(default=None, metadata={"optional": True})  # version of its tables; None = the one now
    taste: Taste = Taste()
    offers: Offering = Offering()
    money: Amounts = Amounts()
    alone: Alone = Alone()
    season: Season = Season()
    drift: Drift = Drift()
    budget: Cut = Cut()
    feedback: Reporting = Reporting()
    bots: Bots = Bots()
    defects: Defects = Defects()

    def __post_init__(self) -> None:
        """Each key by itself, then what several say together."""
        Section.__post_init__(self)
        for what, remedy in _contradictions(self):
            raise CampaignError(what, where=f"world {self.name!r}", remedy=remedy)


def _contradictions(about: Description) -> Iterator[tuple[str, str]]:
    """What is wrong between keys, and what to do about it."""
    offers, alone = about.offers, about.alone
    if not _NAME.fullmatch(about.name):
        remedy = "Write letters, digits, spaces, dots, - and _, a letter or digit first."
        yield "the name cannot be that of a folder.", remedy
    if alone.sure_things + alone.lost_causes + alone.do_not_disturbs > 1.0:
        yield "shares of customers add up to more than 1.", "Lower one in [alone]."
    if about.data is not None and about.workspace is None:
        yield "data is a version of a workspace's tables.", "Add workspace, or drop data."
    if about.workspace is not None:  # how many offers there are, and which are warm, its log tells later
        if (about.taste, about.money, alone, offers.count, offers.warm) != (Taste(), Amounts(), Alone(), *_TWELVE):
            remedy = "Drop [taste], [money], [alone], and count and warm of [offers]."
            yield "the log of the workspace settles tastes, money, kinds of customers and offers.", remedy
        return
    if offers.warm > offers.count:
        yield "more offers are warm than there are.", "Lower warm or raise count."
    if len(offers.arrivals) > offers.count - offers.warm:
        yield "more offers arrive than are cold.", "Drop some."
    if len(offers.retirements) >= offers.warm:
        yield "no warm offer would stay.", "Let one stay."


def pinned(about: Description) -> Description:
    """The description with the data version of its workspace, so that a later `allot load` does not change its worlds.

    Raises:
        WorkspaceError, DataError: there is no workspace, or no log in it.
    """
    if about.workspace is None or about.data is not None:
        return about
    from sims.fitted import data_version  # not for worlds that are drawn, which are most

    return replace(about, data=data_version(about.workspace))


NBO: Final = Description()

WORLDS: Final[Mapping[str, Description]] = {
    one.name: one
    for one in (
        NBO,
        Description("nbo-trees", taste=Taste(segments=0.3, numbers=0.2, shared=0.3, pairs=0.0, trees=1.0)),
        Description("nbo-still", drift=Drift("none")),
        Description("nbo-gradual", drift=Drift("gradual", at=0.2, over=0.6)),
        Description("nbo-recurring", drift=Drift("recurring", at=0.2, over=0.2), season=Season(0.5)),
        Description("nbo-offers", offers=Offering(arrivals=(0.0, 0.2, 0.4, 0.6), retirements=(0.3, 0.5, 0.7))),
        Description(
            "nbo-people",
            fatigue=0.15,
            money=Amounts(margin_spread=0.5),
            alone=Alone(sure_things=0.15, lost_causes=0.2, do_not_disturbs=0.1),
        ),
        Description("nbo-cut", budget=Cut(at=0.5, to=0.5)),
        Description("nbo-late", feedback=Reporting(delay_days=1, late=0.75, window_days=14, missing=0.05, wrong=0.02)),
        Description(
            "nbo-dirty",
            bots=Bots(share=0.05),
            defects=Defects(duplicated=0.02, missing_numbers=0.05, wrong_segments=0.05),
        ),
    )
}
"""The worlds that have a name."""


def described(world: str) -> Description:
    """A world by its name, or from a TOML file.

    Raises:
        CampaignError: neither.
    """
    if world in WORLDS:
        return WORLDS[world]
    if world.endswith(".toml"):
        return from_file(Path(world))
    remedy = f"There are {', '.join(WORLDS)}; or give the path of a file.toml that describes one."
    raise CampaignError(f"world {world!r} is unknown.", where="simulate", remedy=remedy)


def from_file(path: Path) -> Description:
    """Read a world from TOML.

    Raises:
        CampaignError: no such file, a syntax error with its position, or a wrong key.
    """
    return read(document_from_file(path, remedy="Give the path of a world in TOML."), where=path.name)


def read(document: Mapping[str, Any], *, where: str = "world") -> Description:
    """Check the document of a world: `name`, the keys that differ from `nbo`, or from the named world `like`.

    Raises:
        CampaignError: a key that is unknown, mistyped or out of range, by its place.
    """
    rest = dict(document)
    base = Reader({"like": rest.pop("like", "nbo")}, where).text("like", choices=tuple(WORLDS))
    if "name" not in rest:
        raise CampaignError("'name' is missing.", where=where, remedy="Add a line `name = ...`.")
    if rest["name"] in WORLDS:
        remedy = "Choose another; write `like = ...` to start from it."
        raise CampaignError(f"the name {rest['name']!r} is taken.", where=where, remedy=remedy)
    return _read(rest, WORLDS[base], where)


def _read(table: Any, base: _T, where: str) -> _T:
    reader = Reader(table, where)
    values: dict[str, Any] = {}
    for key in fields(base):
        was = getattr(base, key.name)
        if is_dataclass(was):
            section = reader.take(key.name, {})
            values[key.name] = _read(section, was, f"{where}, [{key.name}]")  # type: ignore[type-var]
        else:
            values[key.name] = _taken(reader, key, was)
    reader.done()
    return replace(base, **values)

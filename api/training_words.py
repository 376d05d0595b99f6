"""What a training's figures are called, by the kind of outcome that was learnt; one place for terminal and page."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bandit import Kind

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """Names of figures.

    Args:
        outcome: the kind of outcomes, by name.
        key: how the loss that models are compared by is named in the document.
        level: what everybody is said to have by a model that knows nothing, and `rate` the same of an offer.
        line: the plain rival, and `line_key` how its loss begins in the document.
        unit: of the losses.
        predicted: what is foretold of a row, in the plural.
    """

    outcome: str
    key: str
    level: str
    rate: str
    line: str
    line_key: str
    unit: str
    predicted: str

    def figure(self, value: float | None) -> str:
        """A rate, or what is foretold of a row: chances are shares, amounts money."""
        from api.pages.figures import money, percent

        return percent(value) if self.predicted == "chances" else money(value)

    @property
    def kind(self) -> "Kind":
        """Of the outcomes."""
        from bandit import kind_named

        return kind_named(self.outcome)

    @property
    def loss(self) -> str:
        """What models are compared by."""
        return self.kind.loss

    def losses(self, d: Document) -> tuple[tuple[str, float | None], ...]:
        """The compared models by name, with their losses: level, line and trees."""
        rivals = ((self.level, "base"), (self.line, self.line_key), ("trees", "tree"))
        return tuple((name, d[f"{model}_{self.key}"]) for name, model in rivals)


_SUCCESSES: Final = Words(
    outcome="success",
    key="log_loss",
    level="base rate",
    rate="success rate",
    line="logistic regression",
    line_key="logistic",
    unit="nats",
    predicted="chances",
)
_AMOUNTS: Final = Words(
    outcome="amount",
    key="squared_error",
    level="mean amount",
    rate="mean amount",
    line="linear regression",
    line_key="linear",
    unit="squared currency units",
    predicted="amounts",
)


def words_of(d: Document) -> Words:
    """The words for a training; reports of earlier versions are of successes and do not say so."""
    return _AMOUNTS if d.get("outcome") == "amount" else _SUCCESSES

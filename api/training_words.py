"""What a training's figures are called, by the kind of outcome that was learnt; one place for terminal and page."""

from dataclasses import dataclass
from typing import Any, Final

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """Names of figures.

    Args:
        loss: what models are compared by, and `key` its name in the document.
        level: what everybody is said to have by a model that knows nothing, and `rate` the same of an offer.
        line: the plain rival, and `line_key` how its loss begins in the document.
        unit: of the losses.
        predicted: what is foretold of a row, in the plural.
    """

    loss: str
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

    def losses(self, d: Document) -> tuple[tuple[str, float | None], ...]:
        """The compared models by name, with their losses: level, line and trees."""
        rivals = ((self.level, "base"), (self.line, self.line_key), ("trees", "tree"))
        return tuple((name, d[f"{model}_{self.key}"]) for name, model in rivals)


_SUCCESSES: Final = Words(
    loss="log loss",
    key="log_loss",
    level="base rate",
    rate="success rate",
    line="logistic regression",
    line_key="logistic",
    unit="nats",
    predicted="chances",
)
_AMOUNTS: Final = Words(
    loss="mean squared error",
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

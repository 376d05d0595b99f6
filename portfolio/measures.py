"""What a limit may count."""

from typing import Literal, TypeAlias

Measure: TypeAlias = Literal["count", "cost", "value"]
MEASURES: tuple[Measure, ...] = ("count", "cost", "value")

"""Below the floors nobody wins: what a policy earns is left out of every answer whose verdict is not `supported`."""

from typing import Any, Final

_EARNED: Final = frozenset(
    {
        "adjusted",
        "chosen_because",
        "difference",
        "estimate",
        "estimates",
        "estimator",
        "finding",
        "held_out_mean",
        "high",
        "in_all",
        "level",
        "lift",
        "low",
        "plain",
        "plan_missed",
        "planned",
        "planned_minus_realised",
        "realised",
        "slices",
        "std_error",
        "value",
        "variance_removed",
    }
)
"""What says, alone or beside the log's own mean, which of two policies earns more."""


def withheld(answer: Any) -> Any:
    """The same answer without figures from which a winner could be read.

    Wherever a document or a part of it has a `verdict` other than "supported", lists of such figures become empty,
    sentences about them "", and single ones None; diagnostics, costs and what was logged stay. A part with a verdict
    of its own goes by that, unless the whole is invalid: then nothing in it means what it says. Withholding twice is
    withholding once.

    Args:
        answer: any answer of ours; what has no verdict comes back as it is.
    """
    return _shown(answer, doubtful=False)


def _shown(value: Any, *, doubtful: bool) -> Any:
    if isinstance(value, list | tuple):
        return [_shown(item, doubtful=doubtful) for item in value]
    if not isinstance(value, dict):
        return value
    verdict = value.get("verdict")
    hidden = verdict is not None and (doubtful or verdict != "supported")
    doubtful = doubtful or verdict == "invalid"
    return {
        key: _without(item) if hidden and key in _EARNED and not _judged(item) else _shown(item, doubtful=doubtful)
        for key, item in value.items()
    }


def _judged(item: Any) -> bool:
    """Whether a part has a verdict of its own, by which it is shown or not."""
    return isinstance(item, dict) and "verdict" in item


def _without(item: Any) -> Any:
    return type(item)() if isinstance(item, list | str) else None

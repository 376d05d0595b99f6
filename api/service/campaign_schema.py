"""The campaign document for the contract; what it means is checked by `engine.campaign.read_campaign`."""

from typing import Any

_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}
_VALUES = {"type": ["string", "number", "boolean"]}
_SELECTION = {
    "type": "object",
    "description": "Columns and the values, or lists of values, that select.",
    "additionalProperties": {"anyOf": [_VALUES, {"type": "array", "items": _VALUES}]},
}
_MEASURE = {"type": "string", "enum": ["count", "cost", "value"]}
_BOUNDS = {"minimum": _NUMBER, "maximum": _NUMBER, "penalty": _NUMBER}
_WHERE = {"offers": _SELECTION, "customers": _SELECTION}


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


CAMPAIGN: dict[str, Any] = {
    "title": "Campaign",
    "description": "Who, for what, under which limits, with how much exploration; docs/campaigns.md explains it.",
    **_object(
        ["name", "as_of"],
        {
            "name": {"type": "string", "minLength": 1, "maxLength": 200},
            "as_of": {"type": "string", "format": "date-time"},
            "seed": {"type": "integer", "minimum": 0},
            "audience": {"type": "string", "description": "A rule over customer columns."},
            "objective": {"type": "string", "enum": ["profit", "value", "conversions", "incremental"]},
            "outside_margin": _NUMBER,
            "outcome_days": _NUMBER,
            "no_feedback": {"type": "string", "enum": ["failure", "ignore"]},
            "exploration": _object([], {"temperature": _NUMBER, "share": _NUMBER, "holdout": _NUMBER}),
            "limits": _list(_object(["name", "measure"], {"name": _TEXT, "measure": _MEASURE, **_BOUNDS, **_WHERE})),
            "shares": _list(
                _object(
                    ["name", "measure"], {"name": _TEXT, "measure": _MEASURE, **_BOUNDS, "part": _object([], _WHERE)}
                )
            ),
            "rules": _list(
                _object(["name", "reason", "predicate"], {"name": _TEXT, "reason": _TEXT, "predicate": _TEXT})
            ),
            "contact": {"type": "object"},
            "approval": {"type": "string", "enum": ["none", "second_person"]},
            "feedback": {"type": "object"},
            "single_decisions": {"type": "object"},
        },
    ),
}

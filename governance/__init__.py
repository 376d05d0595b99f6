"""May this be sent? Rules and contracts as SQL, gates before a release, artifacts that cannot be half-written."""

from typing import TYPE_CHECKING, Any

from governance.contracts import BoundContract, Breach, Contract
from governance.rules import CompiledRule, Rule, Vocabulary
from governance.tables import CONTRACTS

if TYPE_CHECKING:
    from governance.artifacts import load_artifact, save_artifact
    from governance.builtin import compile_eligible_when, contact_rules, house_rules
    from governance.compiler import compile_rule
    from governance.gates import GATES, Books, Evidence, Finding, Verdict, books_of, release
    from governance.plan import CandidatePlan, PlannedRule, candidate_plan

_LAZY = {
    "Books": "gates",
    "Evidence": "gates",
    "Finding": "gates",
    "GATES": "gates",
    "Verdict": "gates",
    "books_of": "gates",
    "load_artifact": "artifacts",
    "release": "gates",
    "save_artifact": "artifacts",
    "CandidatePlan": "plan",
    "PlannedRule": "plan",
    "candidate_plan": "plan",
    "compile_eligible_when": "builtin",
    "compile_rule": "compiler",
    "contact_rules": "builtin",
    "house_rules": "builtin",
}

__all__ = [
    "CONTRACTS",
    "GATES",
    "Books",
    "BoundContract",
    "Breach",
    "CandidatePlan",
    "CompiledRule",
    "Contract",
    "Evidence",
    "Finding",
    "PlannedRule",
    "Rule",
    "Verdict",
    "Vocabulary",
    "books_of",
    "candidate_plan",
    "compile_eligible_when",
    "compile_rule",
    "contact_rules",
    "house_rules",
    "load_artifact",
    "release",
    "save_artifact",
]


def __getattr__(name: str) -> Any:
    """Import what needs the SQL parser when it is first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module 'governance' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"governance.{_LAZY[name]}"), name)

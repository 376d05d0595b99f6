"""May this be sent? Rules and contracts as SQL, gates before a release, artifacts that cannot be half-written."""

from typing import TYPE_CHECKING

from allot.exports import lazily

if TYPE_CHECKING:
    from governance.artifacts import load_artifact, save_artifact
    from governance.builtin import compile_eligible_when, contact_rules, house_rules
    from governance.compiler import compile_rule
    from governance.contracts import BoundContract, Breach, Contract
    from governance.gates import GATES, Books, Evidence, Finding, Verdict, books_of, release
    from governance.plan import CandidatePlan, PlannedRule, candidate_plan
    from governance.rules import CompiledRule, Rule, Vocabulary
    from governance.tables import CONTRACTS
else:
    __getattr__ = lazily(
        __name__,
        {
            "artifacts": "load_artifact save_artifact",
            "builtin": "compile_eligible_when contact_rules house_rules",
            "compiler": "compile_rule",
            "contracts": "BoundContract Breach Contract",
            "gates": "Books Evidence Finding GATES Verdict books_of release",
            "plan": "CandidatePlan PlannedRule candidate_plan",
            "rules": "CompiledRule Rule Vocabulary",
            "tables": "CONTRACTS",
        },
    )

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

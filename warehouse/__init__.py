"""What do we know?"""

from typing import TYPE_CHECKING

from allot.exports import lazily

if TYPE_CHECKING:
    from warehouse.arrays import pack_arrays, unpack_arrays
    from warehouse.backups import Copied, back_up, restore
    from warehouse.connection import connect
    from warehouse.contacts import contacts_view
    from warehouse.counted import Counted
    from warehouse.decision_outcomes import outcomes
    from warehouse.decisions import (
        DECISIONS,
        Decisions,
        Written,
        decision_groups,
        decision_ids,
        decision_row,
        decisions_meta,
        read_decisions,
        write_decisions,
    )
    from warehouse.eligible import Candidates, audience_ids, candidates
    from warehouse.exclusions import EXCLUSIONS, excluded_by, write_exclusions
    from warehouse.feedback import Answer, Batch, Receipt, take_feedback, write_feedback
    from warehouse.feedback_files import read_feedback
    from warehouse.feedback_records import Item, feedback_items
    from warehouse.fresh import make_database, make_store
    from warehouse.group_commit import GroupCommit
    from warehouse.home import make_tenant, tenant_names, tenant_workspace
    from warehouse.house_rules import (
        HouseRule,
        RuleText,
        house_rule_versions,
        house_rules_of,
        newest_house_rules,
        put_house_rule,
    )
    from warehouse.intake import Intake
    from warehouse.jobs import Job, JobCancelledError, JobEvent, JobLostError, Jobs, JobState, digest_of
    from warehouse.keys import KeyRecord, Keys, NewKey
    from warehouse.known_decisions import KnownDecisions, known_singles, source_of
    from warehouse.ledger import Balance, Ledger, Recount
    from warehouse.loading import Loaded, known_offers, load
    from warehouse.memory import MemorySpec, column_word, memory_columns, memory_families, memory_features
    from warehouse.past import Released, distinct_values, exposures_log, history
    from warehouse.records import AuditEntry, Checkpoint, StoredAllocation, StoredCampaign, StoredModel
    from warehouse.releases import Delivery, Releases, StoredRelease, Webhook
    from warehouse.rows import customer_rows
    from warehouse.sources import read_checked
    from warehouse.store import Store, open_store
    from warehouse.versions import DataVersion, attach, current_version, read_version
    from warehouse.workspace import Workspace, publish, write_atomically
else:
    __getattr__ = lazily(
        __name__,
        {
            "arrays": "pack_arrays unpack_arrays",
            "backups": "Copied back_up restore",
            "connection": "connect",
            "contacts": "contacts_view",
            "counted": "Counted",
            "decisions": (
                "DECISIONS Decisions Written decision_groups decision_ids decision_row decisions_meta read_decisions "
                "write_decisions"
            ),
            "eligible": "Candidates audience_ids candidates",
            "exclusions": "EXCLUSIONS excluded_by write_exclusions",
            "feedback": "Answer Batch Receipt take_feedback write_feedback",
            "feedback_files": "read_feedback",
            "feedback_records": "Item feedback_items",
            "fresh": "make_database make_store",
            "group_commit": "GroupCommit",
            "intake": "Intake",
            "known_decisions": "KnownDecisions known_singles source_of",
            "ledger": "Balance Ledger Recount",
            "home": "make_tenant tenant_names tenant_workspace",
            "house_rules": "HouseRule RuleText house_rule_versions house_rules_of newest_house_rules put_house_rule",
            "keys": "KeyRecord Keys NewKey",
            "jobs": "Job JobCancelledError JobEvent JobLostError JobState Jobs digest_of",
            "loading": "Loaded known_offers load",
            "memory": "MemorySpec column_word memory_columns memory_families memory_features",
            "decision_outcomes": "outcomes",
            "past": "Released distinct_values exposures_log history",
            "records": "AuditEntry Checkpoint StoredAllocation StoredCampaign StoredModel",
            "releases": "Delivery Releases StoredRelease Webhook",
            "rows": "customer_rows",
            "sources": "read_checked",
            "store": "Store open_store",
            "versions": "DataVersion attach current_version read_version",
            "workspace": "Workspace publish write_atomically",
        },
    )

__all__ = [
    "DECISIONS",
    "EXCLUSIONS",
    "Answer",
    "AuditEntry",
    "Balance",
    "Batch",
    "Candidates",
    "Checkpoint",
    "Copied",
    "Counted",
    "DataVersion",
    "Decisions",
    "Delivery",
    "GroupCommit",
    "HouseRule",
    "Intake",
    "Item",
    "Job",
    "JobCancelledError",
    "JobEvent",
    "JobLostError",
    "JobState",
    "Jobs",
    "KeyRecord",
    "Keys",
    "KnownDecisions",
    "Ledger",
    "Loaded",
    "MemorySpec",
    "NewKey",
    "Receipt",
    "Recount",
    "Released",
    "Releases",
    "RuleText",
    "Store",
    "StoredAllocation",
    "StoredCampaign",
    "StoredModel",
    "StoredRelease",
    "Webhook",
    "Workspace",
    "Written",
    "attach",
    "audience_ids",
    "back_up",
    "candidates",
    "column_word",
    "connect",
    "contacts_view",
    "current_version",
    "customer_rows",
    "decision_groups",
    "decision_ids",
    "decision_row",
    "decisions_meta",
    "digest_of",
    "distinct_values",
    "excluded_by",
    "exposures_log",
    "feedback_items",
    "history",
    "house_rule_versions",
    "house_rules_of",
    "known_offers",
    "known_singles",
    "load",
    "make_database",
    "make_store",
    "make_tenant",
    "memory_columns",
    "memory_families",
    "memory_features",
    "newest_house_rules",
    "open_store",
    "outcomes",
    "pack_arrays",
    "publish",
    "put_house_rule",
    "read_checked",
    "read_decisions",
    "read_feedback",
    "read_version",
    "restore",
    "source_of",
    "take_feedback",
    "tenant_names",
    "tenant_workspace",
    "unpack_arrays",
    "write_atomically",
    "write_decisions",
    "write_exclusions",
    "write_feedback",
]

"""What do we know?"""

# Imported at once, not lazily: a submodule of the same name would otherwise hide the function.
from warehouse.arrays import pack_arrays, unpack_arrays
from warehouse.candidates import Candidates, audience_ids, candidates
from warehouse.connection import connect
from warehouse.contacts import contacts_view
from warehouse.decisions import (
    DECISIONS,
    Decisions,
    Written,
    decision_ids,
    decision_row,
    decisions_meta,
    find_decisions,
    read_decisions,
    write_decisions,
)
from warehouse.exclusions import EXCLUSIONS, excluded_by, write_exclusions
from warehouse.feedback import Receipt, outcomes, take_feedback
from warehouse.feedback_files import Item, feedback_items, read_feedback
from warehouse.history import Released, distinct_values, exposures_log, history
from warehouse.load import Loaded, known_offers, load
from warehouse.memory import MemorySpec, column_word, memory_columns, memory_families, memory_features
from warehouse.records import AuditEntry, Checkpoint, StoredAllocation, StoredCampaign, StoredModel
from warehouse.rows import customer_rows
from warehouse.sources import read_checked
from warehouse.store import Store
from warehouse.versions import DataVersion, attach, current_version, read_version
from warehouse.workspace import Workspace, publish, write_atomically

__all__ = [
    "DECISIONS",
    "EXCLUSIONS",
    "AuditEntry",
    "Candidates",
    "Checkpoint",
    "DataVersion",
    "Decisions",
    "Item",
    "Loaded",
    "MemorySpec",
    "Receipt",
    "Released",
    "Store",
    "StoredAllocation",
    "StoredCampaign",
    "StoredModel",
    "Workspace",
    "Written",
    "attach",
    "audience_ids",
    "candidates",
    "column_word",
    "connect",
    "contacts_view",
    "current_version",
    "customer_rows",
    "decision_ids",
    "decision_row",
    "decisions_meta",
    "distinct_values",
    "excluded_by",
    "exposures_log",
    "feedback_items",
    "find_decisions",
    "history",
    "known_offers",
    "load",
    "memory_columns",
    "memory_families",
    "memory_features",
    "outcomes",
    "pack_arrays",
    "publish",
    "read_checked",
    "read_decisions",
    "read_feedback",
    "read_version",
    "take_feedback",
    "unpack_arrays",
    "write_atomically",
    "write_decisions",
    "write_exclusions",
]

"""Which decisions exist? Answered from memory, for what a service is asked a thousand times a second."""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, String, select, type_coerce
from sqlmodel import Session

from warehouse.columns import micros
from warehouse.decisions import read_decisions
from warehouse.feedback_log import listed
from warehouse.single_tables import SingleRow
from warehouse.store import Store
from warehouse.workspace import Workspace

_MOST_BYTES = 256 * 2**20
_DIGITS = 16  # of a customer's key, at the end of a decision's id


@dataclass(frozen=True, slots=True)
class _Allocation:
    """The keys of an allocation's customers, ascending, and the microsecond at which they were decided on."""

    keys: NDArray[np.uint64]
    decided_us: int


@final
class KnownDecisions:
    """The decisions of allocations, read from their files when they are first asked for, the latest used kept.

    May be used by several threads.

    Args:
        workspace: where the files are.
        store: which allocations there are.
        most_bytes: what may be kept in memory; eight bytes a decision. The allocation used last is kept in any case.
    """

    def __init__(self, workspace: Workspace, store: Store, *, most_bytes: int = _MOST_BYTES) -> None:
        self._workspace = workspace
        self._store = store
        self._most_bytes = most_bytes
        self._loaded: OrderedDict[str, _Allocation] = OrderedDict()
        self._lock = threading.Lock()

    def missing(self, decision_ids: Iterable[str]) -> set[str]:
        """The allocations that some decision ids name and that are not in memory."""
        return {source for source in map(source_of, decision_ids) if source and source not in self._loaded}

    def load(self, allocation_ids: Collection[str]) -> None:
        """Bring those allocations into memory that are in the store; this may read files.

        Raises:
            WorkspaceError: a decisions file is missing or damaged.
        """
        for allocation in self._store.allocations_named(sorted(allocation_ids)):
            if allocation.decisions_path is not None:
                keys = _keys_in(self._workspace, allocation.decisions_path)
                with self._lock:
                    self._loaded[allocation.allocation_id] = _Allocation(keys, micros(allocation.as_of))
                    self._drop_beyond()

    def known(self, decision_ids: Iterable[str]) -> dict[str, int]:
        """Of some decisions, those of allocations in memory that exist, with their microseconds. Reads nothing."""
        by_source: dict[str, list[str]] = {}
        for decision_id in decision_ids:
            by_source.setdefault(source_of(decision_id), []).append(decision_id)
        out: dict[str, int] = {}
        for source, ids in by_source.items():
            with self._lock:
                allocation = self._loaded.get(source)
                if allocation is not None:
                    self._loaded.move_to_end(source)
            if allocation is not None:
                out |= dict.fromkeys(_found(allocation.keys, ids), allocation.decided_us)
        return out

    def __call__(self, decision_ids: Sequence[str]) -> dict[str, int]:
        """Of some decisions, those that exist, single ones too, with their microseconds; reads what it takes."""
        self.load(self.missing(decision_ids))
        found = self.known(decision_ids)
        rest = [decision_id for decision_id in decision_ids if decision_id not in found]
        if rest:
            with self._store.transaction(write=False) as session:
                found |= known_singles(session, rest)
        return found

    def _drop_beyond(self) -> None:
        while len(self._loaded) > 1 and sum(one.keys.nbytes for one in self._loaded.values()) > self._most_bytes:
            self._loaded.popitem(last=False)


def known_singles(session: Session, decision_ids: Collection[str]) -> dict[str, int]:
    """Of some decisions, those that are single ones, with their microseconds."""
    table = SingleRow.__table__.c  # type: ignore[attr-defined]  # SQLModel makes it
    query = select(table.decision_id, type_coerce(table.decided_at, BigInteger))
    among = table.decision_id.in_(listed(session, decision_ids, String))
    rows = session.connection().execute(query.where(among))
    return {row.decision_id: row[1] for row in rows}


def source_of(decision_id: str) -> str:
    """The allocation that a decision's id names: what stands before a hyphen and sixteen digits; else empty."""
    source, hyphen, key = decision_id[: -_DIGITS - 1], decision_id[-_DIGITS - 1 : -_DIGITS], decision_id[-_DIGITS:]
    return source if hyphen == "-" and len(key) == _DIGITS else ""


def _keys_in(workspace: Workspace, decisions_path: str) -> NDArray[np.uint64]:
    """The keys in a decisions file, ascending as the rows are."""
    ids = read_decisions(workspace.root / decisions_path, ["decision_id"])["decision_id"].combine_chunks()
    digits = "".join(decision_id[-_DIGITS:] for decision_id in ids.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)


def _found(keys: NDArray[np.uint64], ids: Sequence[str]) -> list[str]:
    """Those of some decision ids whose key is among sorted ones."""
    try:
        asked = np.array([int(decision_id[-_DIGITS:], 16) for decision_id in ids], np.uint64)
    except (ValueError, OverflowError):
        return [one for decision_id in ids if _is_key(decision_id) for one in _found(keys, [decision_id])]
    place = np.searchsorted(keys, asked)
    place[place == len(keys)] = 0
    hits = keys[place] == asked if len(keys) else np.zeros(len(ids), np.bool_)
    return [ids[at] for at in np.flatnonzero(hits).tolist() if ids[at][-_DIGITS:] == f"{asked[at]:016x}"]


def _is_key(decision_id: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in decision_id[-_DIGITS:])

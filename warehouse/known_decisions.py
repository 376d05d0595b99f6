"""Which decisions exist? Answered from memory, for what a service is asked a thousand times a second."""

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress
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
_KEY, _HYPHEN = -_DIGITS - 1, -_DIGITS


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
        named = {source_of(decision_id) for decision_id in decision_ids}
        return {source for source in named if source and source not in self._loaded}

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
        by_source: dict[str, list[str]] = defaultdict(list)
        for decision_id in decision_ids:
            by_source[source_of(decision_id)].append(decision_id)
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
    return decision_id[:_KEY] if decision_id[_KEY:_HYPHEN] == "-" else ""


def _keys_in(workspace: Workspace, decisions_path: str) -> NDArray[np.uint64]:
    """The keys in a decisions file, ascending as the rows are."""
    ids = read_decisions(workspace.root / decisions_path, ["decision_id"])["decision_id"].combine_chunks()
    digits = "".join(decision_id[-_DIGITS:] for decision_id in ids.to_pylist())
    return np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)


def _found(keys: NDArray[np.uint64], ids: Sequence[str]) -> list[str]:
    """Those of some decision ids whose key is among sorted ones."""
    asked = _keys_of(ids)
    if asked is None:  # some of them are no allocation's ids
        return [] if len(ids) == 1 else [one for decision_id in ids for one in _found(keys, [decision_id])]
    if not len(keys):
        return []
    place = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return list(compress(ids, (keys[place] == asked).tolist()))


def _keys_of(ids: Sequence[str]) -> NDArray[np.uint64] | None:
    """The keys at the end of decision ids; None where one of them has not sixteen small digits there."""
    digits = "".join([decision_id[-_DIGITS:] for decision_id in ids])
    try:
        keys = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
    except ValueError:
        return None
    return keys if len(keys) == len(ids) and digits == digits.lower() else None  # blanks between digits are left out

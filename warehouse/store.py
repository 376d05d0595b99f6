"""What must be transactional: campaigns, allocations, models, checkpoints, the audit trail. The clock is passed in."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from typing import Any, Self, TypeVar, final

from sqlalchemy import delete, func, update
from sqlmodel import Session, SQLModel, col, select

from allot import NotFoundError
from warehouse.database import Database, DialectName, database_of, put
from warehouse.records import AuditEntry, Checkpoint, ModelKind, StoredAllocation, StoredCampaign, StoredModel
from warehouse.tables import AllocationRow, AuditRow, CampaignRow, CheckpointRow, ModelRow
from warehouse.transactions import Transactions
from warehouse.workspace import Workspace

T = TypeVar("T")
Record = TypeVar("Record", StoredCampaign, StoredAllocation, Checkpoint, AuditEntry)


def _record(kind: type[Record], row: SQLModel) -> Record:
    return kind(**{name: getattr(row, name) for name in kind.__dataclass_fields__})


def open_store(workspace: Workspace, *, create: bool = False) -> "Store":
    """Open a workspace's operational database, with its tables brought up to date.

    It is the workspace's SQLite file or, where `ALLOT_DATABASE_URL` is set, a schema of that PostgreSQL database.

    Args:
        workspace: whose.
        create: make it where it is missing.

    Raises:
        WorkspaceError: missing, damaged, locked, out of reach, or made by a newer version.
    """
    return Store.open(database_of(workspace), create=create)


@final
class Store:
    """One operational database. Every method is a transaction of its own, or joins the `transaction()` around it.

    On SQLite one transaction writes at a time. On PostgreSQL several do, each seeing what the others have committed:
    what reads before it writes first makes itself `alone` with its subject.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @classmethod
    def open(cls, database: Database, *, create: bool = False) -> Self:
        """See `open_store`."""
        return cls(Transactions.open(database, create=create))

    @property
    def database(self) -> Database:
        """Where it is."""
        return self._transactions.database

    @property
    def dialect(self) -> DialectName:
        """Which database it is."""
        return self.database.dialect

    def close(self) -> None:
        """Give back every connection."""
        self._transactions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def transaction(self, *, write: bool = True) -> AbstractContextManager[Session]:
        """One transaction: durable when the block ends, and as if it had never begun when the block fails.

        Blocks may nest; the outermost one commits.

        Raises:
            WorkspaceError: the database is locked, full, damaged or out of reach, or a writing block stands inside a
                reading one.
        """
        return self._transactions.begin(write=write)

    def repeated(self, work: Callable[[Session], T]) -> T:
        """What a work returns, done in one `transaction()`.

        PostgreSQL ends one of several transactions that wait for each other; the work of that one is done again, a few
        times. So it changes nothing but the database. Inside a transaction the outermost `repeated` begins anew.

        Raises:
            WorkspaceError: as `transaction`.
        """
        return self._transactions.repeated(work)

    def alone(self, session: Session, subject: str) -> None:
        """Keep every other transaction that asks for the same subject waiting until this one has ended."""
        self._transactions.alone(session, subject)

    def put_campaign(self, name: str, document: dict[str, Any], *, digest: str, at: datetime) -> StoredCampaign:
        """Store a campaign's document as its next version; a document already stored keeps its version.

        Args:
            name: of the campaign.
            document: finite JSON.
            digest: names the document; equal documents have equal digests.
            at: now.
        """
        with self.transaction() as session:
            self.alone(session, f"campaign {name}")
            known = session.exec(
                select(CampaignRow).where(CampaignRow.name == name, CampaignRow.digest == digest)
            ).first()
            if known is None:
                last = session.exec(select(func.max(CampaignRow.version)).where(CampaignRow.name == name)).one()
                known = CampaignRow(name=name, version=(last or 0) + 1, document=document, digest=digest, created_at=at)
                session.add(known)
                session.flush()
            return _record(StoredCampaign, known)

    def campaign(self, name: str, *, digest: str | None = None) -> StoredCampaign:
        """A campaign by name: the version of that digest, else the newest.

        Raises:
            NotFoundError: there is none.
        """
        query = select(CampaignRow).where(CampaignRow.name == name).order_by(col(CampaignRow.version).desc())
        with self.transaction(write=False) as session:
            row = session.exec(query if digest is None else query.where(CampaignRow.digest == digest)).first()
        if row is None:
            raise NotFoundError(f"there is no campaign {name!r}.", remedy="See `allot allocate --help`.")
        return _record(StoredCampaign, row)

    def campaign_versions(self, name: str) -> tuple[StoredCampaign, ...]:
        """Every version of a campaign, the newest first.

        Raises:
            NotFoundError: there is none of that name.
        """
        query = select(CampaignRow).where(CampaignRow.name == name).order_by(col(CampaignRow.version).desc())
        with self.transaction(write=False) as session:
            found = tuple(_record(StoredCampaign, row) for row in session.exec(query))
        if not found:
            raise NotFoundError(f"there is no campaign {name[:80]!r}.")
        return found

    def campaigns(self) -> tuple[StoredCampaign, ...]:
        """The newest version of every campaign, by name."""
        query = select(CampaignRow).order_by(CampaignRow.name, col(CampaignRow.version))
        with self.transaction(write=False) as session:
            newest = {row.name: row for row in session.exec(query)}
        return tuple(_record(StoredCampaign, row) for row in newest.values())

    def put_allocation(self, allocation: StoredAllocation) -> None:
        """Store an allocation, or replace the one of the same id.

        Raises:
            WorkspaceError: its campaign is not stored.
        """
        with self.transaction() as session:
            put(session, AllocationRow, [asdict(allocation)])

    def allocation(self, allocation_id: str) -> StoredAllocation:
        """An allocation by id.

        Raises:
            NotFoundError: there is none.
        """
        with self.transaction(write=False) as session:
            row = session.get(AllocationRow, allocation_id)
        if row is None:
            raise NotFoundError(f"there is no allocation {allocation_id!r}.", remedy="Run `allot allocate`.")
        return _record(StoredAllocation, row)

    def allocations(self, *, campaign: str | None = None, status: str | None = None) -> tuple[StoredAllocation, ...]:
        """All allocations, of one campaign and status where given, newest first."""
        newest = (col(AllocationRow.created_at).desc(), col(AllocationRow.as_of).desc(), AllocationRow.allocation_id)
        query = select(AllocationRow).order_by(*newest)
        if campaign is not None:
            query = query.where(AllocationRow.campaign == campaign)
        if status is not None:
            query = query.where(AllocationRow.status == status)
        with self.transaction(write=False) as session:
            return tuple(_record(StoredAllocation, row) for row in session.exec(query))

    def allocations_named(self, allocation_ids: Sequence[str]) -> tuple[StoredAllocation, ...]:
        """Those of some allocations that there are, by id."""
        if not allocation_ids:
            return ()
        query = select(AllocationRow).where(col(AllocationRow.allocation_id).in_(allocation_ids))
        with self.transaction(write=False) as session:
            rows = session.exec(query.order_by(AllocationRow.allocation_id))
            return tuple(_record(StoredAllocation, row) for row in rows)

    def latest_allocation(self, *, campaign: str | None = None, status: str | None = None) -> StoredAllocation | None:
        """The newest allocation of an audience, of one campaign and status where given."""
        found = self.allocations(campaign=campaign, status=status)
        return next((a for a in found if not a.single), None)

    def put_model(self, model: StoredModel, *, make_current: bool = True) -> None:
        """Store a model, or replace the one of the same kind and id; decisions use the current one of its kind."""
        with self.transaction() as session:
            self.alone(session, f"model {model.kind}")
            if make_current:
                session.execute(update(ModelRow).where(col(ModelRow.kind) == model.kind).values(is_current=False))
            old = session.get(ModelRow, (model.kind, model.model_id), populate_existing=True)
            values = asdict(model) | {"parents": list(model.parents)}
            current = make_current or (old is not None and old.is_current)
            put(session, ModelRow, [values | {"is_current": current}])

    def model(self, kind: ModelKind, model_id: str) -> StoredModel:
        """A model by kind and id.

        Raises:
            NotFoundError: there is none.
        """
        with self.transaction(write=False) as session:
            row = session.get(ModelRow, (kind, model_id))
        if row is None:
            raise NotFoundError(f"there is no {kind} {model_id!r}.", remedy="Run `allot train`.")
        return _model(row)

    def current(self, kind: ModelKind) -> StoredModel | None:
        """The model that decisions use now; None before the first."""
        query = select(ModelRow).where(ModelRow.kind == kind, col(ModelRow.is_current))
        with self.transaction(write=False) as session:
            row = session.exec(query).first()
        return None if row is None else _model(row)

    def put_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Store the fold's state after a window, or replace the one of the same base and window."""
        with self.transaction() as session:
            put(session, CheckpointRow, [asdict(checkpoint)])

    def checkpoints(self, base_id: str) -> tuple[Checkpoint, ...]:
        """The checkpoints over a base model, by window."""
        query = select(CheckpointRow).where(CheckpointRow.base_id == base_id).order_by(col(CheckpointRow.window))
        with self.transaction(write=False) as session:
            return tuple(_record(Checkpoint, row) for row in session.exec(query))

    def drop_checkpoints(self, base_id: str, *, from_window: int) -> None:
        """Forget the checkpoints of a base model at and after a window, as a late outcome demands."""
        late = delete(CheckpointRow).where(
            col(CheckpointRow.base_id) == base_id, col(CheckpointRow.window) >= from_window
        )
        with self.transaction() as session:
            session.execute(late)

    def audit(self, entry: AuditEntry) -> None:
        """Add to the audit trail."""
        with self.transaction() as session:
            session.add(AuditRow(**asdict(entry)))

    def audit_trail(self, *, subject: str | None = None) -> Sequence[AuditEntry]:
        """The audit trail, of one subject where given, oldest first."""
        query = select(AuditRow).order_by(col(AuditRow.entry))
        if subject is not None:
            query = query.where(AuditRow.subject == subject)
        with self.transaction(write=False) as session:
            return tuple(_record(AuditEntry, row) for row in session.exec(query))


def _model(row: ModelRow) -> StoredModel:
    kind: ModelKind = "prior" if row.kind == "prior" else "posterior"
    return StoredModel(kind, row.model_id, row.created_at, tuple(row.parents), row.manifest, row.watermark, row.blob)

"""Who may call? API keys, `allot_<id>_<secret>`: shown once, kept as argon2id hashes, rotated with an overlap."""

import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Self, final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import update
from sqlmodel import Session, col, select

from allot import AccessError, NotFoundError, WorkspaceError
from warehouse.control_tables import KeyAuditRow, KeyRow
from warehouse.database import control_of
from warehouse.home import tenant_names
from warehouse.records import AuditEntry
from warehouse.revisions import CONTROL
from warehouse.transactions import Transactions
from warehouse.workspace import Workspace

# OWASP's smallest argon2id: 19 MiB, two passes, one lane. The secrets are 256 random bits, so more buys nothing.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)
_ID_BYTES, _SECRET_BYTES = 6, 32
_KEY = re.compile(r"allot_([0-9a-f]{12})_([0-9a-f]{64})", re.ASCII)
_LONGEST_NAME = 200
_USED_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key: everything but its secret. `last_used_at` is right to an hour."""

    key_id: str
    tenant: str
    name: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    replaced_by: str | None = None
    last_used_at: datetime | None = None

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at that time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is what callers send; it is shown now and never again."""

    record: KeyRecord
    text: str = field(repr=False)


@final
class Keys:
    """The API keys of a home and all its tenants."""

    def __init__(self, home: Workspace, transactions: Transactions) -> None:
        self._home = home
        self._transactions = transactions

    @classmethod
    def open(cls, home: Workspace) -> Self:
        """Open a home's control database; one without keys is made where there is none.

        Raises:
            WorkspaceError: it is damaged, locked, out of reach, or was made by a newer version.
        """
        return cls(home, Transactions.open(control_of(home), create=True, revisions=CONTROL))

    def close(self) -> None:
        """Give back every connection."""
        self._transactions.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create(
        self,
        tenant: str,
        roles: Iterable[str],
        *,
        actor: str,
        at: datetime,
        name: str = "",
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a key.

        Args:
            tenant: the one it opens.
            roles: what it may do there; the names are the caller's to check.
            actor: who makes it, for the audit trail.
            at: now.
            name: for people.
            expires_at: from when on it opens nothing; None is never.

        Raises:
            NotFoundError: there is no such tenant.
            AccessError: no role, a name of more than 200 or unprintable characters, or it would have expired already.
        """
        if tenant not in tenant_names(self._home):
            remedy = "Make it first: `allot tenants create`."
            raise NotFoundError(f"there is no tenant {tenant[:80]!r}.", where=str(self._home.root), remedy=remedy)
        held = tuple(dict.fromkeys(roles))
        if not held:
            raise AccessError("a key needs a role.", where="key", remedy="Give --role.")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            remedy = f"Give at most {_LONGEST_NAME} printable characters."
            raise AccessError("the name cannot be shown to people.", where="key", remedy=remedy)
        if expires_at is not None and expires_at <= at:
            what = f"a key that expires at {expires_at.isoformat()} would open nothing."
            raise AccessError(what, where="key", remedy="Give a time to come.")
        new, secret_hash = _new_key(tenant, held, name, at, expires_at)
        with self._transactions.begin() as session:
            _add(session, new.record, secret_hash)
            _note(session, "create", new.record, actor, at, {"roles": list(held), "name": name})
        return new

    def rotate(self, key_id: str, *, overlap: timedelta, actor: str, at: datetime) -> NewKey:
        """Make a key's successor: same tenant, roles, name and length of life. The old key ends after `overlap`.

        Raises:
            NotFoundError: there is no such key.
            AccessError: it is revoked, has expired or has a successor already, or the overlap is negative.
        """
        if overlap < timedelta(0):
            raise AccessError("an overlap cannot be negative.", where="key", remedy="Give hours from 0 on.")
        with self._transactions.begin() as session:
            self._transactions.alone(session, f"key {key_id}")
            old = _found(session, key_id)
            if not old.valid(at) or old.replaced_by is not None:
                state = f"was replaced by {old.replaced_by}" if old.replaced_by else "opens nothing any more"
                raise AccessError(f"the key {key_id} {state}.", where="key", remedy="Make a new one.")
            life = None if old.expires_at is None else old.expires_at - old.created_at
            new, secret_hash = _new_key(old.tenant, old.roles, old.name, at, None if life is None else at + life)
            ends = at + overlap if old.expires_at is None else min(at + overlap, old.expires_at)
            _add(session, new.record, secret_hash)
            _change(session, key_id, {"expires_at": ends, "replaced_by": new.record.key_id})
            detail = {"replaced_by": new.record.key_id, "ends": ends.isoformat()}
            _note(session, "rotate", old, actor, at, detail)
        return new

    def revoke(self, key_id: str, *, actor: str, at: datetime) -> KeyRecord:
        """Make a key open nothing from now on; one that is revoked stays as it is.

        Raises:
            NotFoundError: there is no such key.
        """
        with self._transactions.begin() as session:
            self._transactions.alone(session, f"key {key_id}")
            old = _found(session, key_id)
            if old.revoked_at is None:
                _change(session, key_id, {"revoked_at": at})
                _note(session, "revoke", old, actor, at, {})
            return _found(session, key_id)

    def records(self, *, tenant: str | None = None) -> tuple[KeyRecord, ...]:
        """All keys, of one tenant where given, oldest first."""
        query = select(KeyRow).order_by(col(KeyRow.created_at), KeyRow.key_id)
        if tenant is not None:
            query = query.where(KeyRow.tenant == tenant)
        with self._transactions.begin(write=False) as session:
            return tuple(_record(row) for row in session.exec(query))

    def check(self, text: str, now: datetime) -> KeyRecord | None:
        """Whose key it is; None for one that is malformed, unknown, expired or revoked.

        One hash is computed whatever is wrong with it, so the time taken does not say which ids there are. That costs
        about 20 ms and 19 MiB: remember the answer for a while under a digest of the text.

        Raises:
            WorkspaceError: the control database cannot be read.
        """
        said = _KEY.fullmatch(text)
        key_id, secret = said.groups() if said is not None else ("", "")
        with self._transactions.begin(write=False) as session:
            row = session.get(KeyRow, key_id)
        right = _matches(_decoy() if row is None else row.secret_hash, secret)
        if row is None or not right:
            return None
        record = _record(row)
        if not record.valid(now):
            return None
        if record.last_used_at is None or now - record.last_used_at >= _USED_EVERY:
            with suppress(WorkspaceError), self._transactions.begin() as session:  # a full disk locks nobody out
                _change(session, key_id, {"last_used_at": now})
        return record

    def audit_trail(self, *, tenant: str | None = None) -> tuple[AuditEntry, ...]:
        """What was done to the keys, of one tenant where given, oldest first."""
        query = select(KeyAuditRow).order_by(col(KeyAuditRow.entry))
        if tenant is not None:
            query = query.where(KeyAuditRow.tenant == tenant)
        with self._transactions.begin(write=False) as session:
            return tuple(AuditEntry(r.at, r.actor, r.action, r.subject, r.detail) for r in session.exec(query))


def _new_key(
    tenant: str, roles: tuple[str, ...], name: str, at: datetime, expires_at: datetime | None
) -> tuple[NewKey, str]:
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    record = KeyRecord(key_id, tenant, name, roles, at, expires_at)
    return NewKey(record, f"allot_{key_id}_{secret}"), _HASHER.hash(secret)


@cache
def _decoy() -> str:
    """The hash of a secret that nobody has."""
    return _HASHER.hash(secrets.token_hex(_SECRET_BYTES))


def _matches(secret_hash: str, secret: str) -> bool:
    try:
        return _HASHER.verify(secret_hash, secret)
    except (VerificationError, InvalidHashError):
        return False


def _add(session: Session, record: KeyRecord, secret_hash: str) -> None:
    session.add(
        KeyRow(
            key_id=record.key_id,
            tenant=record.tenant,
            name=record.name,
            roles=list(record.roles),
            secret_hash=secret_hash,
            created_at=record.created_at,
            expires_at=record.expires_at,
        )
    )


def _change(session: Session, key_id: str, new: dict[str, Any]) -> None:
    session.execute(update(KeyRow).where(col(KeyRow.key_id) == key_id).values(new))


def _note(session: Session, action: str, key: KeyRecord, actor: str, at: datetime, detail: dict[str, Any]) -> None:
    entry = KeyAuditRow(tenant=key.tenant, at=at, actor=actor, action=action, subject=key.key_id, detail=detail)
    session.add(entry)


def _found(session: Session, key_id: str) -> KeyRecord:
    row = session.get(KeyRow, key_id, populate_existing=True)
    if row is None:
        raise NotFoundError(f"there is no key {key_id[:80]!r}.", remedy="See `allot keys list`.")
    return _record(row)


def _record(row: KeyRow) -> KeyRecord:
    return KeyRecord(
        row.key_id,
        row.tenant,
        row.name,
        tuple(row.roles),
        row.created_at,
        row.expires_at,
        row.revoked_at,
        row.replaced_by,
        row.last_used_at,
    )

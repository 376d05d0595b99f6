"""Whatever is done to a store in whatever order, it holds what a few dictionaries hold; on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import inspect, text

from allot import AccessError, NotFoundError, WorkspaceError
from warehouse import (
    AuditEntry,
    Checkpoint,
    Keys,
    StoredAllocation,
    StoredModel,
    feedback_items,
    open_store,
    outcomes,
    take_feedback,
)
from warehouse import keys as keys_module
from warehouse.database import control_of, database_of, make_engine

NOW = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = st.sampled_from(["spring", "été ☀", "a'b\"c; --"])
FEW = st.integers(0, 3)
KINDS = st.sampled_from(["prior", "posterior"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


class Failure(Exception):
    """What a transaction is broken off by."""


class Machine(RuleBasedStateMachine):
    """Campaign versions, allocations, models, checkpoints, feedback, audit entries and keys as dictionaries."""

    workspace = None

    @initialize()
    def empty(self):
        for where in (database_of(self.workspace), control_of(self.workspace)):
            engine = make_engine(where)
            with engine.begin() as connection:
                tables = [name for name in inspect(connection).get_table_names() if name != "alembic_version"]
                if where.dialect == "postgresql" and tables:
                    connection.execute(text(f"TRUNCATE {', '.join(tables)} CASCADE"))
                elif tables:
                    connection.execute(text("PRAGMA defer_foreign_keys=ON"))
                    for name in tables:
                        connection.execute(text(f"DELETE FROM {name}"))
            engine.dispose()
        self.store, self.keys = open_store(self.workspace), Keys.open(self.workspace)
        self.now = NOW
        self.campaigns, self.allocations, self.models, self.current = {}, {}, {}, {}
        self.checkpoints, self.bodies, self.trail, self.issued = {}, {}, [], {}

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.keys.close()

    @rule()
    def time_passes(self):
        self.now += HOUR

    @rule()
    def starts_again(self):
        self.store.close()
        self.keys.close()
        self.store, self.keys = open_store(self.workspace), Keys.open(self.workspace)

    @rule(name=NAMES, number=FEW, inner=DOCUMENTS)
    def puts_a_campaign(self, name, number, inner):
        versions = self.campaigns.setdefault(name, {})
        found = self.store.put_campaign(name, {"n": inner}, digest=f"d{number}", at=self.now)
        if f"d{number}" not in versions:
            versions[f"d{number}"] = found
            assert found.version == len(versions)
            assert found.document == {"n": inner}
        assert found == versions[f"d{number}"]

    @rule(name=NAMES, number=FEW, allocation=FEW, status=st.sampled_from(["released", "superseded"]))
    def puts_an_allocation(self, name, number, allocation, status):
        made = StoredAllocation(f"A{allocation}", name, f"d{number}", status, self.now, {"p": "q"}, {}, self.now)
        if f"d{number}" in self.campaigns.get(name, {}):
            self.store.put_allocation(made)
            self.allocations[made.allocation_id] = made
        else:
            with pytest.raises(WorkspaceError, match="refused"):
                self.store.put_allocation(made)

    @rule(kind=KINDS, number=FEW, make_current=st.booleans(), blob=st.none() | st.binary(max_size=4))
    def puts_a_model(self, kind, number, make_current, blob):
        made = StoredModel(kind, f"m{number}", self.now, ("p",), {"n": number}, {}, blob)
        self.store.put_model(made, make_current=make_current)
        self.models[kind, made.model_id] = made
        if make_current:
            self.current[kind] = made.model_id

    @rule(base=FEW, window=FEW, blob=st.binary(max_size=4))
    def puts_a_checkpoint(self, base, window, blob):
        made = Checkpoint(f"b{base}", window, "d", blob, self.now)
        self.store.put_checkpoint(made)
        self.checkpoints[made.base_id, window] = made

    @rule(base=FEW, window=FEW)
    def forgets_checkpoints(self, base, window):
        self.store.drop_checkpoints(f"b{base}", from_window=window)
        self.checkpoints = {k: c for k, c in self.checkpoints.items() if k[0] != f"b{base}" or k[1] < window}

    @rule(events=st.lists(st.tuples(FEW, FEW, st.integers(0, 1)), min_size=1, max_size=4))
    def takes_feedback(self, events):
        taken, rejected = set(self.bodies), 0
        for event, *body in events:
            rejected += self.bodies.setdefault(f"e{event}", body) != body
        at = "2026-02-01T00:00:00Z"
        records = [
            {"event_id": f"e{event}", "decision_id": f"A-{n}", "outcome": outcome, "reward": 0, "occurred_at": at}
            for event, n, outcome in events
        ]
        receipt = take_feedback(self.store, feedback_items(records), set, received_at=self.now)
        assert receipt.rejected == rejected
        assert receipt.accepted + receipt.corrected == len(self.bodies) - len(taken)
        assert receipt.duplicate == len(events) - rejected - receipt.accepted - receipt.corrected

    @rule(action=NAMES, n=FEW)
    def notes(self, action, n):
        entry = AuditEntry(self.now, "ada", action, f"s{n}", {"n": n})
        self.store.audit(entry)
        self.trail.append(entry)

    @rule(name=NAMES, number=FEW, kind=KINDS)
    def fails_midway(self, name, number, kind):
        with pytest.raises(Failure), self.store.transaction():
            self.store.put_campaign(name, {}, digest="never", at=self.now)
            self.store.put_model(StoredModel(kind, f"m{number}", self.now, manifest={"never": True}))
            self.store.audit(AuditEntry(self.now, "eve", "never", "x"))
            self.store.drop_checkpoints("b0", from_window=0)
            raise Failure

    @rule(hours=st.none() | st.integers(1, 3))
    def makes_a_key(self, hours):
        ends = None if hours is None else self.now + hours * HOUR
        new = self.keys.create("main", ["admin"], actor="ada", at=self.now, expires_at=ends)
        self.issued[new.record.key_id] = (new.text, new.record)

    @rule(data=st.data(), hours=st.integers(0, 2))
    def rotates_a_key(self, data, hours):
        if not self.issued:
            return
        key_id = data.draw(st.sampled_from(list(self.issued)))  # ids are random, their order of birth is not
        said, record = self.issued[key_id]
        ask = {"overlap": hours * HOUR, "actor": "ada", "at": self.now}
        if record.replaced_by is not None or not record.valid(self.now):
            with pytest.raises(AccessError):
                self.keys.rotate(key_id, **ask)
            return
        new = self.keys.rotate(key_id, **ask)
        ends = min(self.now + hours * HOUR, record.expires_at or self.now + hours * HOUR)
        self.issued[key_id] = (said, replace(record, expires_at=ends, replaced_by=new.record.key_id))
        self.issued[new.record.key_id] = (new.text, new.record)

    @rule(data=st.data())
    def revokes_a_key(self, data):
        if not self.issued:
            with pytest.raises(NotFoundError):
                self.keys.revoke("0" * 12, actor="ada", at=self.now)
            return
        key_id = data.draw(st.sampled_from(list(self.issued)))
        said, record = self.issued[key_id]
        self.keys.revoke(key_id, actor="ada", at=self.now)
        self.issued[key_id] = (said, replace(record, revoked_at=record.revoked_at or self.now))

    @invariant()
    def the_store_holds_what_the_dictionaries_hold(self):
        newest = {name: max(v.values(), key=lambda c: c.version) for name, v in self.campaigns.items() if v}
        with self.store.transaction(write=False):
            assert {campaign.name: campaign for campaign in self.store.campaigns()} == newest
            assert {a.allocation_id: a for a in self.store.allocations()} == self.allocations
            for (kind, model_id), made in self.models.items():
                assert self.store.model(kind, model_id) == made
            for kind in ("prior", "posterior"):
                current = self.store.current(kind)
                assert (None if current is None else current.model_id) == self.current.get(kind)
            for base in range(4):
                kept = [c for (b, _), c in sorted(self.checkpoints.items()) if b == f"b{base}"]
                assert self.store.checkpoints(f"b{base}") == tuple(kept)
            assert self.store.audit_trail() == tuple(self.trail)
            latest = {f"A-{n}": outcome for _, (n, outcome) in sorted(self.bodies.items())}
            found = outcomes(self.store)
            assert dict(zip(found["decision_id"].to_pylist(), found["outcome"].to_pylist(), strict=True)) == latest

    @invariant()
    def keys_open_as_long_as_they_should(self):
        known = {record.key_id: replace(record, last_used_at=None) for record in self.keys.records()}
        assert known == {key_id: record for key_id, (_, record) in self.issued.items()}
        for key_id, (said, record) in self.issued.items():
            found = self.keys.check(said, self.now)
            assert (None if found is None else found.key_id) == (key_id if record.valid(self.now) else None)


@pytest.mark.parametrize("examples", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_a_store_holds_what_dictionaries_would(database, monkeypatch, examples):
    monkeypatch.setattr(keys_module, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    keys_module._decoy.cache_clear()
    monkeypatch.setattr(Machine, "workspace", database)
    Keys.open(database).close()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
    keys_module._decoy.cache_clear()

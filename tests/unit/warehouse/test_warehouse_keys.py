"""API keys: shown once, kept as hashes, ended on time; tenants: workspaces that share nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from allot import AccessError, NotFoundError, WorkspaceError
from warehouse import AuditEntry, Keys, Workspace, make_tenant, open_store, tenant_names, tenant_workspace
from warehouse import keys as keys_module
from warehouse.control_tables import ControlTable, KeyRow
from warehouse.database import control_of, make_engine
from warehouse.revisions import CONTROL, migrate, revision_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def keys(database):
    with Keys.open(database) as opened:
        yield opened


def made(keys, *roles, at=NOW, **more):
    return keys.create(more.pop("tenant", "main"), roles or ("analyst",), actor="ada", at=at, **more)


def secret_of(key):
    return key.text.rpartition("_")[2]


def test_a_key_opens_its_tenant_with_its_roles_and_nothing_like_it_does(keys):
    key = made(keys, "analyst", "ingest", "analyst", name="loader")
    found = keys.check(key.text, NOW)
    assert (found.key_id, found.tenant, found.roles, found.name) == (
        key.record.key_id,
        "main",
        ("analyst", "ingest"),
        "loader",
    )
    other = made(keys)
    swapped = f"allot_{other.record.key_id}_{secret_of(key)}"
    last = "0" if key.text[-1] != "0" else "1"
    for text in ("", "allot_", "x", key.text[:-1], key.text[:-1] + last, key.text + "0", key.text.upper(), swapped):
        assert keys.check(text, NOW) is None
    assert keys.check(f" {key.text}", NOW) is keys.check(f"{key.text}\n", NOW) is None
    assert keys.check(key.text.replace("allot_", "allot_\0"), NOW) is keys.check("allot_é_" + "0" * 64, NOW) is None


def test_the_secret_is_nowhere_in_the_database_nor_in_what_is_printed(keys, database):
    key = made(keys)
    secret = secret_of(key)
    assert secret not in repr(key)
    engine = make_engine(control_of(database))
    with engine.connect() as connection:
        tables = [connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ("api_key", "key_audit")]
    engine.dispose()
    rows = [str(row) for table in tables for row in table]
    assert len(rows) == 2
    assert not any(secret in row for row in rows)
    assert "$argon2id$" in rows[0]


def test_a_key_ends_when_it_expires_or_is_revoked(keys):
    short = made(keys, expires_at=NOW + HOUR)
    assert keys.check(short.text, NOW + HOUR - timedelta(microseconds=1)) is not None
    assert keys.check(short.text, NOW + HOUR) is None
    revoked = made(keys)
    assert keys.revoke(revoked.record.key_id, actor="bob", at=NOW).revoked_at == NOW
    assert keys.check(revoked.text, NOW) is None
    assert keys.revoke(revoked.record.key_id, actor="bob", at=NOW + HOUR).revoked_at == NOW
    assert [entry.action for entry in keys.audit_trail()].count("revoke") == 1


def test_after_a_rotation_both_keys_open_until_the_overlap_ends(keys):
    old = made(keys, "manager", name="shop", expires_at=NOW + 100 * HOUR)
    new = keys.rotate(old.record.key_id, overlap=24 * HOUR, actor="ada", at=NOW + 10 * HOUR)
    assert (new.record.roles, new.record.name, new.record.tenant) == (("manager",), "shop", "main")
    assert new.record.expires_at == NOW + 110 * HOUR
    for at, opens in ((NOW + 33 * HOUR, True), (NOW + 34 * HOUR, False)):
        assert (keys.check(old.text, at) is not None) == opens
        assert keys.check(new.text, at) is not None
    with pytest.raises(AccessError, match=f"replaced by {new.record.key_id}"):
        keys.rotate(old.record.key_id, overlap=HOUR, actor="ada", at=NOW + 11 * HOUR)


def test_a_rotation_never_makes_an_old_key_live_longer(keys):
    old = made(keys, expires_at=NOW + HOUR)
    keys.rotate(old.record.key_id, overlap=24 * HOUR, actor="ada", at=NOW)
    assert keys.check(old.text, NOW + HOUR) is None


def test_a_key_without_end_has_a_successor_without_end(keys):
    old = made(keys)
    new = keys.rotate(old.record.key_id, overlap=timedelta(0), actor="ada", at=NOW)
    assert new.record.expires_at is None
    assert keys.check(old.text, NOW) is None


def test_rotating_at_the_same_time_makes_one_successor(keys):
    old = made(keys)

    def rotate(_):
        try:
            return keys.rotate(old.record.key_id, overlap=HOUR, actor="ada", at=NOW)
        except AccessError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = [new for new in pool.map(rotate, range(4)) if new is not None]
    assert len(found) == 1
    assert len(keys.records()) == 2


def test_what_makes_no_sense_is_refused(keys):
    with pytest.raises(AccessError, match="role"):
        keys.create("main", (), actor="ada", at=NOW)
    with pytest.raises(AccessError, match="open nothing"):
        made(keys, expires_at=NOW)
    with pytest.raises(NotFoundError, match="no tenant"):
        made(keys, tenant="../other")
    for name in ("a\nb", "a\0b", "\udcff", "a" * 201):
        with pytest.raises(AccessError, match="shown to people"):
            made(keys, name=name)
    for act in (keys.revoke, lambda key, **more: keys.rotate(key, overlap=HOUR, **more)):
        with pytest.raises(NotFoundError, match="no key"):
            act("0" * 12, actor="ada", at=NOW)
    key = made(keys)
    with pytest.raises(AccessError, match="negative"):
        keys.rotate(key.record.key_id, overlap=-HOUR, actor="ada", at=NOW)
    keys.revoke(key.record.key_id, actor="ada", at=NOW)
    with pytest.raises(AccessError, match="opens nothing"):
        keys.rotate(key.record.key_id, overlap=HOUR, actor="ada", at=NOW)


def test_the_last_use_is_kept_to_the_hour(keys):
    key = made(keys)
    for minutes in (0, 59, 60, 61):
        keys.check(key.text, NOW + timedelta(minutes=minutes))
    assert keys.records()[0].last_used_at == NOW + HOUR


@pytest.mark.parametrize("wrong", ["unknown", "malformed", "secret", "expired", "revoked"])
def test_every_wrong_key_costs_one_hash_like_a_right_one(keys, monkeypatch, wrong):
    key = made(keys, expires_at=NOW + HOUR)
    keys.check(key.text, NOW)
    text, at = key.text, NOW
    if wrong == "unknown":
        text = f"allot_{'0' * 12}_{secret_of(key)}"
    elif wrong == "malformed":
        text = "allot_nonsense"
    elif wrong == "secret":
        text = key.text[:-64] + "0" * 64
    elif wrong == "expired":
        at = NOW + HOUR
    else:
        keys.revoke(key.record.key_id, actor="ada", at=NOW)
    hashed = []
    plain = keys_module._matches
    monkeypatch.setattr(keys_module, "_matches", lambda *given: hashed.append(given) or plain(*given))
    assert keys.check(text, at) is None
    ((secret_hash, _),) = hashed
    assert secret_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_every_act_on_a_key_is_in_the_audit_trail_of_its_tenant(keys, database):
    make_tenant(database, "acme")
    old = made(keys, "admin", tenant="acme", name="n")
    new = keys.rotate(old.record.key_id, overlap=HOUR, actor="bob", at=NOW)
    keys.revoke(new.record.key_id, actor="eve", at=NOW + HOUR)
    made(keys)
    told = [(e.actor, e.action, e.subject) for e in keys.audit_trail(tenant="acme")]
    assert told == [
        ("ada", "create", old.record.key_id),
        ("bob", "rotate", old.record.key_id),
        ("eve", "revoke", new.record.key_id),
    ]
    assert secret_of(old) not in json.dumps([e.detail for e in keys.audit_trail()])
    assert {r.key_id for r in keys.records(tenant="acme")} == {old.record.key_id, new.record.key_id}


def test_the_revisions_of_the_control_database_make_the_tables_of_the_code(keys, database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    where = control_of(database)
    engine = make_engine(where)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), ControlTable.metadata) == []
    migrate(engine, where, "base", revisions=CONTROL)
    assert revision_of(engine) is None
    engine.dispose()


def test_tenants_are_workspaces_that_see_nothing_of_each_other(database):
    assert tenant_names(database) == ("main",)
    assert (make_tenant(database, "acme"), make_tenant(database, "acme")) == (True, False)
    make_tenant(database, "b-2")
    assert tenant_names(database) == ("main", "acme", "b-2")
    acme, other = tenant_workspace(database, "acme"), tenant_workspace(database, "b-2")
    assert len({database.house_key, acme.house_key, other.house_key}) == 3
    with open_store(acme) as store, open_store(other) as beside, open_store(database) as home:
        store.audit(AuditEntry(NOW, "ada", "look", "it"))
        assert (len(store.audit_trail()), beside.audit_trail(), home.audit_trail()) == (1, (), ())
    assert tenant_workspace(database, "main") == database


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "1a", "a" * 64, "a\0", "a b", "é", "-a", "a.b", "../main"])
def test_a_name_that_is_no_name_makes_no_folder(tmp_path, name):
    home = Workspace.init(tmp_path / "home")
    with pytest.raises(AccessError, match="name of a tenant"):
        make_tenant(home, name)
    with pytest.raises(NotFoundError):
        tenant_workspace(home, name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]
    assert not (home.root / "tenants").exists()


def test_a_folder_that_is_no_workspace_is_no_tenant(database):
    (database.root / "tenants" / "half").mkdir(parents=True)
    assert tenant_names(database) == ("main",)
    with pytest.raises(NotFoundError):
        tenant_workspace(database, "half")
    assert make_tenant(database, "half")
    assert tenant_names(database) == ("main", "half")


def test_two_homes_in_one_postgresql_share_no_key(postgres, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLOT_DATABASE_URL", postgres)
    homes = [Workspace.init(tmp_path / name) for name in ("one", "two")]
    with Keys.open(homes[0]) as one, Keys.open(homes[1]) as two:
        key = made(one)
        assert one.check(key.text, NOW) is not None
        assert two.check(key.text, NOW) is None


def test_a_control_database_that_cannot_be_written_locks_nobody_out(keys, monkeypatch):
    key = made(keys)
    begin = keys._transactions.begin

    def refuse(*, write=True):
        if write:
            raise WorkspaceError("the disk is full.")
        return begin(write=False)

    monkeypatch.setattr(type(keys._transactions), "begin", lambda _, write=True: refuse(write=write))
    assert keys.check(key.text, NOW) is not None
    monkeypatch.undo()
    with keys._transactions.begin(write=False) as session:
        assert session.get(KeyRow, key.record.key_id).last_used_at is None

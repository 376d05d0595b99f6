"""`allot keys` and `allot tenants`, as an operator uses them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from allot import AccessError, DataError, NotFoundError
from api.cli import app
from warehouse import Keys


@pytest.fixture
def allot(database):
    def run(*words, output="json"):
        done = CliRunner().invoke(app, [*words, "--workspace", str(database.root), "--output", output])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return json.loads(done.stdout) if output == "json" and done.exit_code == 0 else done

    return run


def test_a_key_is_made_listed_rotated_and_revoked(allot, database):
    made = allot("keys", "create", "--role", "admin", "--role", "ingest", "--name", "till")
    assert (made["tenant"], made["roles"], made["expires_at"], made["valid"]) == (
        "main",
        ["admin", "ingest"],
        None,
        True,
    )
    new = allot("keys", "rotate", made["id"], "--overlap", "30m")
    assert new["replaces"] == made["id"]
    assert allot("keys", "revoke", new["id"])["valid"] is False
    listed = {key["id"]: key for key in allot("keys", "list")["keys"]}
    assert listed[made["id"]]["replaced_by"] == new["id"]
    assert all("key" not in key for key in listed.values())
    soon = datetime.fromisoformat(listed[made["id"]]["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=29) < soon < timedelta(minutes=31)
    with Keys.open(database) as keys:
        assert keys.check(made["key"], datetime.now(UTC)).roles == ("admin", "ingest")
        assert keys.check(new["key"], datetime.now(UTC)) is None


def test_people_see_the_whole_key_once_and_never_in_the_list(allot):
    shown = allot("keys", "create", "--role", "auditor", "--expires", "2199-01-01", output="table").stdout
    key = next(line for line in shown.splitlines() if line.startswith("allot_"))
    assert len(key) == len("allot_") + 12 + 1 + 64
    listed = allot("keys", "list", output="table").stdout
    assert "auditor" in listed
    assert key[-64:] not in listed


def test_a_tenant_is_made_once_and_its_keys_are_its_own(allot):
    first, again = allot("tenants", "create", "acme"), allot("tenants", "create", "acme")
    assert (first["made"], again["made"]) == (True, False)
    assert allot("tenants", "list")["tenants"] == ["main", "acme"]
    made = allot("keys", "create", "--role", "manager", "--tenant", "acme")
    assert [key["id"] for key in allot("keys", "list", "--tenant", "acme")["keys"]] == [made["id"]]
    assert allot("keys", "list", "--tenant", "main")["keys"] == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("keys", "create", "--role", "admin", "--tenant", "nobody"), NotFoundError),
        (("keys", "create", "--role", "admin", "--expires", "2000-01-01"), AccessError),
        (("keys", "create", "--role", "admin", "--expires", "soon"), DataError),
        (("keys", "revoke", "0"), NotFoundError),
        (("keys", "rotate", "0", "--overlap", "x"), AccessError),
        (("keys", "rotate", "0", "--overlap", "nanh"), AccessError),
        (("tenants", "create", "../x"), AccessError),
    ],
)
def test_what_cannot_be_done_is_said(allot, words, error):
    with pytest.raises(error):
        allot(*words)


def test_a_role_that_is_none_is_refused(allot):
    assert allot("keys", "create", "--role", "king").exit_code == 2
    assert allot("keys", "create").exit_code == 2

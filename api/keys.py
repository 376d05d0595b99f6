"""`allot keys` and `allot tenants`: who may call the service, and whose data it keeps apart."""

import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allot import AccessError
from api.console import say, table
from api.options import HOME, Format, Home, Output, answer, open_workspace, read_moment
from api.service.roles import ROLES

if TYPE_CHECKING:
    from warehouse import KeyRecord, Keys

Document = dict[str, Any]

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}

app = typer.Typer(no_args_is_help=True, help="API keys of the service: made, listed, rotated, revoked.")
tenants_app = typer.Typer(no_args_is_help=True, help="Tenants of the service: workspaces kept apart from one another.")


KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `allot keys list` shows it.")]


@app.command()
def create(
    role: Annotated[list[str], typer.Option(help=f"What the key may do, several times: {', '.join(ROLES)}.")],
    tenant: Annotated[str, typer.Option(help="The tenant that it opens.")] = "main",
    name: Annotated[str, typer.Option(help="For people: who or what uses it.")] = "",
    expires: Annotated[str | None, typer.Option(help="From when on it opens nothing, e.g. 2027-01-01.")] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Make a key. It is shown once: only its hash is kept."""
    ends = None if expires is None else read_moment(expires, "--expires")
    if not set(role) <= set(ROLES):
        raise typer.BadParameter(f"give {', '.join(ROLES)}.", param_hint="--role")
    with _open(workspace) as keys:
        new = keys.create(tenant, role, actor=_actor(), at=datetime.now(UTC), name=name, expires_at=ends)
    answer({"key": new.text, **_document(new.record)}, output, shown)


@app.command("list")
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only its keys.")] = None,
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """All keys, without their secrets."""
    with _open(workspace) as keys:
        found = [_document(record) for record in keys.records(tenant=tenant)]
    answer({"keys": found}, output, listed)


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old key still works: 24h, 30m, 0h.")] = "24h",
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Make a key that follows another, with the same roles; the old one expires after the overlap."""
    with _open(workspace) as keys:
        new = keys.rotate(key_id, overlap=_duration(overlap), actor=_actor(), at=datetime.now(UTC))
    answer({"key": new.text, **_document(new.record), "replaces": key_id}, output, shown)


@app.command()
def revoke(key_id: KeyId, workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """Make a key open nothing any more. A running service may remember it for half a minute."""
    with _open(workspace) as keys:
        document = _document(keys.revoke(key_id, actor=_actor(), at=datetime.now(UTC)))
    answer(document, output, lambda d: say(f"Revoked {d['id']} at {d['revoked_at']}."))


@tenants_app.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(help="Small letters, digits and hyphens, a letter first.")],
    workspace: Home = HOME,
    output: Format = Output.TABLE,
) -> None:
    """Make a tenant: an empty workspace inside this one, with keys, data and decisions of its own."""
    from warehouse import make_tenant, tenant_workspace

    home = open_workspace(workspace)
    made = make_tenant(home, name)
    document = {"tenant": name, "made": made, "workspace": str(tenant_workspace(home, name).root)}
    answer(document, output, lambda d: say(f"{'Made' if d['made'] else 'Found'} {d['tenant']} in {d['workspace']}."))


@tenants_app.command("list")
def list_tenants(workspace: Home = HOME, output: Format = Output.TABLE) -> None:
    """All tenants: `main` is this workspace itself."""
    from warehouse import tenant_names

    answer({"tenants": list(tenant_names(open_workspace(workspace)))}, output, lambda d: say(*d["tenants"]))


def shown(d: Document) -> None:
    """A new key."""
    ends = f"it expires at {d['expires_at']}" if d["expires_at"] else "it does not expire"
    say(d["key"], f"Key {d['id']} of tenant {d['tenant']} as {', '.join(d['roles'])}; {ends}.")
    say("Keep it now: it is not shown again.")


def listed(d: Document) -> None:
    """All keys."""
    head = ["id", "tenant", "name", "roles", "state", "last used"]
    rows = [
        [k["id"], k["tenant"], k["name"], ", ".join(k["roles"]), _state(k), k["last_used_at"] or "never"]
        for k in d["keys"]
    ]
    table("keys", head, rows)


def _state(key: Document) -> str:
    if key["revoked_at"]:
        return f"revoked {key['revoked_at']}"
    return ("" if key["valid"] else "expired ") + (key["expires_at"] or "valid")


def _open(home: Path) -> "Keys":
    from warehouse import Keys

    return Keys.open(open_workspace(home))


def _document(record: "KeyRecord") -> Document:
    known = asdict(record)
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    said = {name: None if known[name] is None else known[name].isoformat() for name in times}
    rest = {name: known[name] for name in ("tenant", "name", "replaced_by")}
    state = {"valid": record.valid(datetime.now(UTC)), "roles": list(record.roles)}
    return {"id": record.key_id, **rest, **state, **said}


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=float(text[:-1]) * _SECONDS[text[-1:]])
    except (ValueError, OverflowError, KeyError):
        remedy = "Write 24h, 30m or 7d."
        raise AccessError(f"{text!r} is not a duration.", where="--overlap", remedy=remedy) from None


def _actor() -> str:
    return f"command line, user {os.getuid()}"

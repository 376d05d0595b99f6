"""Whose data is it? A home is a workspace, tenant `main`; further tenants are workspaces in its folder `tenants`."""

import re
from pathlib import Path

from allot import AccessError, NotFoundError
from warehouse.fresh import make_store
from warehouse.workspace import Workspace

MAIN = "main"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def tenant_names(home: Workspace) -> tuple[str, ...]:
    """The tenants of a home: `main`, then the others by name."""
    folder = home.root / "tenants"
    found = folder.iterdir() if folder.is_dir() else ()
    others = sorted(f.name for f in found if _NAME.fullmatch(f.name) and (f / "workspace.toml").is_file())
    return (MAIN, *(name for name in others if name != MAIN))


def tenant_workspace(home: Workspace, name: str) -> Workspace:
    """A tenant's workspace.

    Raises:
        NotFoundError: there is none of that name.
        WorkspaceError: it is damaged.
    """
    if name == MAIN:
        return home
    if name not in tenant_names(home):
        remedy = "See `allot tenants list`, or make it with `allot tenants create`."
        raise NotFoundError(f"there is no tenant {name[:80]!r}.", where=str(home.root), remedy=remedy)
    return Workspace.open(_root(home, name))


def make_tenant(home: Workspace, name: str) -> bool:
    """Make a tenant with an empty workspace; False where there is one of that name. Nothing is ever overwritten.

    A tenant that was only half made is completed.

    Raises:
        AccessError: the name cannot be that of a tenant.
        WorkspaceError: its folder or database cannot be made.
    """
    if not _NAME.fullmatch(name):
        remedy = "Use at most 63 small letters, digits and hyphens, a letter first."
        raise AccessError(f"{name[:80]!r} cannot be the name of a tenant.", where="tenant", remedy=remedy)
    made = name not in tenant_names(home)
    make_store(Workspace.init(_root(home, name)) if name != MAIN else home)
    return made


def _root(home: Workspace, name: str) -> Path:
    return home.root / "tenants" / name

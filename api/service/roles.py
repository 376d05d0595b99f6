"""Who may do what. A role is a set of routes; every route names the roles that may call it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Role: TypeAlias = Literal["manager", "analyst", "ingest", "approver", "admin", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
READERS: tuple[Role, ...] = ("manager", "analyst", "approver", "auditor")
"""Who may look at campaigns, allocations and decisions; an admin may do everything."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a key or a person, in one tenant."""

    id: str
    tenant: str
    roles: frozenset[str]
    kind: Literal["key", "jwt"]

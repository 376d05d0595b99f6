"""What routes ask for: who is calling, in which tenant, and whether they may."""

import asyncio
from typing import Annotated, Any, final

from fastapi import Depends, Request

from allot import NotFoundError
from api.service.problems import Problem
from api.service.roles import Principal, Role
from api.service.state import Service, Tenant


async def principal(request: Request) -> Principal:
    """Who is calling, by the bearer token; within their rate.

    Raises:
        Problem: 401 without a sound token; 429 above the rate, or after too many failures.
    """
    known: Principal | None = request.scope.get("principal")
    if known is None:
        known = await service_of(request).access.admit(request)
        request.scope["principal"] = known
    return known


Caller = Annotated[Principal, Depends(principal)]


async def tenant(request: Request, caller: Caller) -> Tenant:
    """The caller's tenant.

    Raises:
        Problem: 403: the token names a tenant that is not there.
    """
    service = service_of(request)
    found = service.known(caller.tenant)
    if found is None:
        try:
            found = await asyncio.to_thread(service.tenant, caller.tenant)
        except NotFoundError:
            raise Problem(403, "forbidden", "This is not allowed", "The token's tenant is not served here.") from None
    return found


Here = Annotated[Tenant, Depends(tenant)]


@final
class Needs:
    """Lets callers pass that have one of some roles; an admin always."""

    def __init__(self, roles: frozenset[str]) -> None:
        self.roles = roles

    async def __call__(self, caller: Caller) -> None:
        """Let pass, or raise the 403."""
        if self.roles.isdisjoint(caller.roles):
            detail = f"It takes one of the roles {', '.join(sorted(self.roles))}."
            raise Problem(403, "forbidden", "This is not allowed", detail)


def needs(*roles: Role) -> Any:
    """A route's dependency: who may call it. Each route has exactly one of `needs` and `everyone`."""
    return Depends(Needs(frozenset({*roles, "admin"})))


async def _everyone() -> None:
    """Nobody is refused."""


_everyone.public = True  # type: ignore[attr-defined]  # so that the list of who may call what is complete
everyone = Depends(_everyone)
"""A route's dependency: it needs no token."""


def service_of(request: Request) -> Service:
    """The state of this process."""
    service: Service = request.app.state.service
    return service

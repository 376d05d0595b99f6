"""What one process of the service holds: its tenants, each opened once, and what was made for them."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, final

from allot import WorkspaceError
from api.service.access import Access, checker
from api.service.metrics import Metrics
from api.service.pulse import Pulse
from api.service.settings import Settings
from warehouse import GroupCommit, Keys, Workspace, open_store, tenant_workspace

if TYPE_CHECKING:
    from api.service.tokens import WebTokens

T = TypeVar("T")


@final
class Tenant:
    """One workspace, opened by one process. Use `one` for everything of which a tenant needs one per process."""

    def __init__(self, name: str, workspace: Workspace, settings: Settings, metrics: Metrics) -> None:
        self.name = name
        self.workspace = workspace
        self.settings = settings
        self.metrics = metrics
        self.store = open_store(workspace)
        self.writer = GroupCommit(self.store)
        self._made: dict[Callable[[Tenant], Any], Any] = {}
        self._making = threading.RLock()

    def one(self, make: Callable[["Tenant"], T]) -> T:
        """What `make` makes of this tenant, made at the first call; its `close()`, if it has one, ends with the tenant.

        Making may take long: call it in a thread where it does.
        """
        if make not in self._made:
            with self._making:
                if make not in self._made:
                    self._made[make] = make(self)
        made: T = self._made[make]
        return made

    def close(self) -> None:
        """Close what was made, last first; then the writer, which writes what waits, and the store."""
        with self._making:
            for made in reversed(self._made.values()):
                if hasattr(made, "close"):
                    made.close()
            self._made.clear()
            self.writer.close()
            self.store.close()


def _tokens(settings: Settings) -> "WebTokens | None":
    if not settings.jwt_issuer:
        return None
    from api.service.tokens import WebTokens

    return WebTokens(settings)


@final
class Service:
    """The state of one process: `request.app.state.service`."""

    def __init__(self, settings: Settings) -> None:
        """Open what all tenants share.

        Raises:
            WorkspaceError: no workspace, a database out of reach, or an issuer of tokens that cannot be used.
        """
        self.settings = settings
        self.metrics = Metrics()
        self._home = Workspace.open(settings.home)
        self._keys = Keys.open(self._home)
        self.access = Access(settings, checker(self._keys), _tokens(settings))
        self._tenants: dict[str, Tenant] = {}
        self._pulse = Pulse(self.metrics, "web", settings.cpu_hour_price, self._observe)
        self._opening = threading.Lock()

    def known(self, name: str) -> Tenant | None:
        """A tenant that is open already."""
        return self._tenants.get(name)

    def tenant(self, name: str) -> Tenant:
        """A tenant, opened at the first call.

        Raises:
            NotFoundError: there is none of that name.
            WorkspaceError: it cannot be opened.
        """
        with self._opening:
            if name not in self._tenants:
                workspace = tenant_workspace(self._home, name)
                self._tenants[name] = Tenant(name, workspace, self.settings, self.metrics)
            return self._tenants[name]

    def _observe(self) -> None:
        from api.service.lag import Lag
        from engine.budgets import MICROS
        from warehouse.accounts import most_unfunded

        for tenant in tuple(self._tenants.values()):
            self.metrics.queue.labels(tenant.name).set(tenant.writer.waiting)
            with suppress(WorkspaceError):  # out of reach: /readyz says so
                self.metrics.lag.labels(tenant.name).set(tenant.one(Lag).look(time.monotonic()))
                with tenant.store.transaction(write=False) as session:
                    self.metrics.unfunded.labels(tenant.name).set(most_unfunded(session) / MICROS)

    def close(self) -> None:
        """Close every tenant; what waits to be written is written first."""
        self._pulse.close()
        with self._opening:
            for tenant in self._tenants.values():
                tenant.close()
            self._tenants.clear()
            self._keys.close()

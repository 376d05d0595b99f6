"""What one process of the service holds: its tenants, each opened once, and what was made for them."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar, final

from allot import NotFoundError
from api.service.access import Access
from api.service.metrics import Metrics
from api.service.settings import Settings
from warehouse import GroupCommit, Workspace, open_store

MAIN = "main"
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


@final
class Service:
    """The state of one process: `request.app.state.service`."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self.settings = settings
        self.access = access
        self.metrics = Metrics()
        self._tenants: dict[str, Tenant] = {}
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
                root = self.settings.home if name == MAIN else self.settings.home / "tenants" / name
                if name != MAIN and not root.is_dir():
                    raise NotFoundError(f"there is no tenant {name!r}.")
                self._tenants[name] = Tenant(name, Workspace.open(root), self.settings, self.metrics)
            return self._tenants[name]

    def close(self) -> None:
        """Close every tenant; what waits to be written is written first."""
        with self._opening:
            for tenant in self._tenants.values():
                tenant.close()
            self._tenants.clear()

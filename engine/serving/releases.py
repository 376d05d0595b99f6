"""The releases that one process serves: read at the first question, kept up to date, never down."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from allot import AllotError
from engine.serving.budget import Budget, Prices
from engine.serving.decide import Decider
from engine.serving.snapshot import Snapshot, build, last_release, refreshed, without_rules
from warehouse import Store, Workspace
from warehouse.heads import release_head

_FIRST, _LONGEST = 2.0, 60.0  # seconds until what could not be read is tried again


@dataclass(frozen=True, slots=True)
class _Served:
    """A campaign's decider, and when and how long after the next look what is missing of it is looked for."""

    decider: Decider
    retry_at: float = 0.0
    pause: float = _FIRST

    @property
    def whole(self) -> bool:
        return self.decider.snapshot.scoring is not None


@final
class Releases:
    """By campaign. Several threads may ask; one keeps everything up to date.

    Args:
        workspace, store: whose releases.
        budget: the ledger that decisions hold on.
        price: gives a release's newest prices, None for its own.
    """

    def __init__(
        self, workspace: Workspace, store: Store, budget: Budget, price: Callable[[Snapshot], Prices | None]
    ) -> None:
        self._workspace, self._store, self._budget, self._price = workspace, store, budget, price
        self._served: dict[str, _Served] = {}
        self._building = threading.Lock()

    def known(self, campaign: str) -> Decider | None:
        """The decider of a campaign that was asked for before."""
        found = self._served.get(campaign)
        return None if found is None else found.decider

    def open(self, campaign: str) -> Decider:
        """The decider of a campaign; reading a release takes a second or more.

        Raises:
            NotFoundError: nothing of the campaign was released.
            WorkspaceError: the database cannot be read.
        """
        with self._building:
            if campaign not in self._served:
                self._served[campaign] = self._priced(_Served(self._read(campaign)))
            return self._served[campaign].decider

    def refresh(self, now: float) -> tuple[str, ...]:
        """Pick up new posteriors and releases, and what could not be read before. Call it every second or two.

        Args:
            now: seconds of a clock that never goes back.

        Returns:
            in words what could not be read; the campaigns are served as before.
        """
        failed = []
        with self._building:
            for campaign, served in list(self._served.items()):
                try:
                    self._served[campaign] = self._priced(self._renewed(campaign, served, now))
                except AllotError as error:
                    failed.append(f"{campaign}: {error}")
        return tuple(failed)

    def _priced(self, served: _Served) -> _Served:
        decider = served.decider
        prices = self._price(decider.snapshot)
        if prices is None or prices.version == decider.prices.version:
            return served
        return replace(served, decider=replace(decider, prices=prices))

    def _renewed(self, campaign: str, served: _Served, now: float) -> _Served:
        old = served.decider.snapshot
        if not served.whole:
            head = release_head(self._store, campaign)
            if now < served.retry_at and head is not None and head.allocation_id == old.book.release_id:
                return served
        new = refreshed(self._workspace, self._store, old) if served.whole else None
        if new is old:
            return served
        decider = self._read(campaign) if new is None else replace(served.decider, snapshot=new)
        pause = _FIRST if decider.snapshot.scoring is not None else min(2.0 * served.pause, _LONGEST)
        return _Served(decider, now + pause, pause)

    def _read(self, campaign: str) -> Decider:
        release = last_release(self._store, campaign)
        try:
            snapshot = build(self._workspace, self._store, release)
        except AllotError as error:
            release_head(self._store, campaign)  # raises where it is the database that cannot be read
            snapshot = without_rules(release, str(error))
        return Decider.of(snapshot, self._workspace.house_key, self._budget)

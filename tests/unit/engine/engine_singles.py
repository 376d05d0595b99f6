"""A counter of one customer at a time over the lab's workspace, with a ledger in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine.serving.budget import Prices
from engine.serving.customer import from_audience
from engine.serving.decide import Decider
from engine.serving.requests import Decision, Refusal, Request
from engine.serving.snapshot import Snapshot, build, last_release
from warehouse import Store, Workspace, open_store
from warehouse.holds import Claim

PLENTY = 10**15


@dataclass
class Purse:
    """What is left, in micros; a hold takes it away."""

    left: dict[str, int] = field(default_factory=dict)
    held: dict[str, dict[str, int]] = field(default_factory=dict)
    sure: dict[str, dict[str, int]] = field(default_factory=dict)

    def room(self, session: Any, account: str, need: dict[str, int]) -> dict[str, int]:
        return dict(self.left)

    def hold_all(self, session: Any, account: str, claims: Sequence[Claim]) -> None:
        for claim in claims:
            assert claim.decision_id not in self.held
            assert all(0 <= claim.sure[name] <= amount for name, amount in claim.amounts.items())
            self.sure[claim.decision_id] = dict(claim.sure)
            self.held[claim.decision_id] = dict(claim.amounts)
            for name, amount in claim.amounts.items():
                self.left[name] -= amount
                assert self.left[name] >= 0, "more was held than was left"


@dataclass
class Counter:
    """Decides in a campaign's last release."""

    workspace: Workspace
    store: Store
    snapshot: Snapshot
    purse: Purse
    prices: Prices | None = None

    @property
    def decider(self) -> Decider:
        return Decider.of(self.snapshot, self.workspace.house_key, self.purse, self.prices)

    @property
    def opened(self) -> datetime:
        return self.snapshot.book.campaign.as_of + timedelta(hours=1)

    def request(self, decision_id: str, customer_id: str, *, after: timedelta = timedelta()) -> Request:
        return Request(decision_id, self.snapshot.book.campaign.name, customer_id, self.opened + after)

    def decide(self, *requests: Request) -> list[Decision | Refusal]:
        decider = self.decider
        with self.store.transaction() as session:
            people = [from_audience(self.snapshot, request.name) for request in requests]
            return [
                decider.decide(session, request, person)
                for request, person in zip(requests, people, strict=True)
                if person is not None
            ]

    def one(self, decision_id: str, customer_id: str, *, after: timedelta = timedelta()) -> Decision:
        (found,) = self.decide(self.request(decision_id, customer_id, after=after))
        assert isinstance(found, Decision)
        return found

    @property
    def customers(self) -> list[str]:
        """Those who may be addressed with something."""
        book = self.snapshot.book
        free = ~book.held_out & (book.reasons == 0).any(1)
        return [c for c, yes in zip(book.customer_id.to_pylist(), free, strict=True) if yes]


ON_BOTH = pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"], indirect=True)
"""On PostgreSQL in short runs, too."""


@contextmanager
def counter(workspace: Workspace, campaign: str = "spring", **left: int) -> Iterator[Counter]:
    """Over the last release, with plenty of everything that is not said to be scarce."""
    with open_store(workspace) as store:
        snapshot = build(workspace, store, last_release(store, campaign))
        names = Decider.of(snapshot, 0, Purse()).needs.names
        purse = Purse(dict.fromkeys(names, PLENTY) | left)
        yield Counter(workspace, store, snapshot, purse)


def exploring(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The same release with another exploration."""
    campaign = snapshot.book.campaign
    explore = replace(campaign.exploration, **changes)
    return replace(snapshot, book=replace(snapshot.book, campaign=replace(campaign, exploration=explore)))

"""What the rules say now that they could not say when the release was made: dates, contacts since, refusals since."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from engine.serving.customer import Customer
from engine.serving.snapshot import Book
from warehouse.singles import Contact, last_refusal, single_contacts

CONTACTS, QUIET = "contacts", "quiet_period"
"""The rules of a contact policy, by name."""

_DATES = {"offer_started": "starts_on", "offer_ended": "ends_on"}


def as_of_now(book: Book, customer: Customer, at: datetime, session: Session | None) -> NDArray[np.uint64]:
    """The bits (k,) of the rules against each offer at a moment.

    Args:
        book: of the release.
        customer: with the rules' answers as of the release.
        at: now.
        session: where our own decisions are; None: nobody can say, and a contact policy lets nobody through.
    """
    reasons = _dated(book, customer.reasons, at)
    policy = book.campaign.contact
    if policy.most is None and policy.quiet_days is None:
        return reasons
    if session is None:
        return reasons | np.uint64(sum(rule.mask for rule in book.rules if rule.name in (CONTACTS, QUIET)))
    since = at - timedelta(days=max(policy.days, policy.quiet_days or 0))
    made = single_contacts(session, customer.key, since)
    for name, against in (
        (CONTACTS, _often(book, customer, made, at)),
        (QUIET, _refused(book, customer, made, at, session)),
    ):
        if against:
            reasons = reasons | _bit(book, name)
    return reasons


def _dated(book: Book, reasons: NDArray[np.uint64], at: datetime) -> NDArray[np.uint64]:
    """With the offers' dates as of now in the place of those as of the release."""
    today = np.datetime64(at.date(), "D")
    for name, column in _DATES.items():
        days = book.dates.get(column)
        if days is not None:
            wrong = days > today if column == "starts_on" else days < today  # an empty date compares false
            bit = _bit(book, name)
            reasons = np.where(wrong, reasons | bit, reasons & ~bit)
    return reasons


def _bit(book: Book, name: str) -> np.uint64:
    return np.uint64(next((rule.mask for rule in book.rules if rule.name == name), 0))


def _often(book: Book, customer: Customer, made: Sequence[Contact], at: datetime) -> bool:
    """Whether the policy's contacts are used up. Those of the release's past count until there is a new release."""
    policy = book.campaign.contact
    if policy.most is None:
        return False
    first, counted = at - timedelta(days=policy.days), set(book.stamp.past.allocations)
    new = sum(contact.at > first and contact.sealed_in not in counted for contact in made)
    return customer.contacts + new >= policy.most


def _refused(book: Book, customer: Customer, made: Sequence[Contact], at: datetime, session: Session) -> bool:
    """Whether an offer of ours was refused within the quiet days, single or not."""
    policy = book.campaign.contact
    if policy.quiet_days is None:
        return False
    batches = (*book.stamp.past.allocations, *book.reached.allocations)
    named = [contact.decision_id for contact in made] + [f"{a}-{customer.key:016x}" for a in batches]
    refused = last_refusal(session, named)
    return refused is not None and refused > at - timedelta(days=policy.quiet_days)

"""Releases: what a second person has to do with them, and what they replace."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from allot import CampaignError, NotFoundError
from engine.approval import APPROVED, DRAFT, RELEASED, SUPERSEDED, approve, release
from engine.campaign import read_campaign
from warehouse import Releases, StoredAllocation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keep(store, name, status=DRAFT, *, as_of=NOW, asked_by="ada"):
    """An allocation as it is recorded before its release."""
    digest = store.put_campaign("spring", {"name": "spring"}, digest="d", at=NOW).digest
    summary = {"status": status, "audience": 3, "limits": [], "document": {"name": "spring", "as_of": NOW.isoformat()}}
    row = StoredAllocation(name, "spring", digest, status, as_of, {}, summary, NOW, "x", "abc")
    with store.transaction():
        store.put_allocation(row)
        Releases(store).ask(name, by=asked_by, now=NOW)


def status(store, name):
    stored = store.allocation(name)
    return stored.status


def test_who_asked_cannot_approve_and_nobody_releases_a_draft(store):
    keep(store, "alloc-1")
    with pytest.raises(CampaignError, match="cannot approve"):
        approve(store, "alloc-1", by="ada", now=NOW)
    with pytest.raises(CampaignError, match="is draft"):
        release(store, "alloc-1", by="grace", now=NOW)
    assert status(store, "alloc-1") == DRAFT
    assert approve(store, "alloc-1", by="grace", now=NOW).summary["status"] == APPROVED
    assert release(store, "alloc-1", by="ada", now=NOW).summary["status"] == RELEASED
    hands = Releases(store).get("alloc-1")
    assert (hands.asked_by, hands.approved_by, hands.released_by) == ("ada", "grace", "ada")


def test_approving_and_releasing_again_changes_nothing(store):
    keep(store, "alloc-1")
    for by in ("grace", "alan"):
        approve(store, "alloc-1", by=by, now=NOW)
    for hours in range(3):
        release(store, "alloc-1", by="ada", now=NOW + timedelta(hours=hours))
    hands = Releases(store).get("alloc-1")
    assert (hands.approved_by, hands.released_at) == ("grace", NOW)
    assert [entry.action for entry in store.audit_trail()] == ["approve", "release"]


def test_what_is_not_a_draft_cannot_be_approved(store):
    keep(store, "alloc-1", "headroom_too_small")
    for act in (approve, release):
        with pytest.raises(CampaignError, match="is headroom_too_small"):
            act(store, "alloc-1", by="grace", now=NOW)
        with pytest.raises(NotFoundError):
            act(store, "alloc-2", by="grace", now=NOW)


def test_a_release_replaces_those_of_its_moment_only(store):
    keep(store, "alloc-1", APPROVED)
    keep(store, "alloc-2", APPROVED, as_of=NOW + timedelta(days=1))
    keep(store, "alloc-3", APPROVED)
    for name in ("alloc-1", "alloc-2", "alloc-3"):
        release(store, name, by="ada", now=NOW)
    assert [status(store, f"alloc-{i}") for i in (1, 2, 3)] == [SUPERSEDED, RELEASED, RELEASED]


def test_of_releases_at_the_same_time_one_counts(store):
    names = [f"alloc-{i}" for i in range(6)]
    for name in names:
        keep(store, name, APPROVED)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: release(store, name, by="ada", now=NOW), names))
    assert sorted(status(store, name) for name in names) == [RELEASED] + [SUPERSEDED] * 5


def test_a_campaign_without_approval_keeps_the_digest_that_it_had_before_there_was_one():
    plain = read_campaign({"name": "spring", "as_of": "2026-03-01"})
    assert "approval" not in plain.to_document()
    assert plain.digest == read_campaign({"name": "spring", "as_of": "2026-03-01", "approval": "none"}).digest
    asked = replace(plain, approval="second_person")
    assert asked.digest != plain.digest
    assert read_campaign(asked.to_document()) == asked
    with pytest.raises(CampaignError, match="second_person"):
        read_campaign({"name": "spring", "as_of": "2026-03-01", "approval": "third_person"})

"""Which release counts, and whether there is another one than before."""

from datetime import UTC, datetime, timedelta

import pytest

from warehouse import Releases, StoredAllocation
from warehouse.heads import release_head, release_heads, release_mark

NOW, HOUR = datetime(2026, 3, 1, tzinfo=UTC), timedelta(hours=1)


@pytest.fixture
def put(store):
    """Stores an allocation of a campaign; one that is released, as releases are."""

    def stored(allocation_id, hours, *, campaign="spring", status="released"):
        at = NOW + hours * HOUR
        store.put_campaign(campaign, {}, digest="d", at=NOW)
        store.put_allocation(StoredAllocation(allocation_id, campaign, "d", status, NOW, {}, {}, at))
        Releases(store).ask(allocation_id, by="ada", now=at)
        if status == "released":
            Releases(store).release(allocation_id, by="ada", now=at)

    return stored


def test_the_newest_release_of_a_campaign_is_no_draft_and_not_what_single_decisions_were_sealed_into(store, put):
    assert release_head(store, "spring") is None
    put("alloc-1", 1)
    put("alloc-2", 2)
    put("alloc-other", 3, campaign="autumn")
    put("alloc-draft", 4, status="draft")
    put("single-1", 5)
    assert release_head(store, "spring").allocation_id == "alloc-2"
    assert release_head(store, "autumn").allocation_id == "alloc-other"
    assert [head.allocation_id for head in release_heads(store)] == ["alloc-other", "alloc-2", "alloc-1"]


def test_the_mark_moves_with_every_release_also_of_what_was_released_before(store, put):
    marks = [release_mark(store)]
    for what, hours in (("alloc-1", 1), ("alloc-2", 2), ("alloc-1", 3)):
        put(what, hours)
        marks.append(release_mark(store))
    put("alloc-3", 4, status="draft")
    assert len(set(marks)) == 4
    assert release_mark(store) == marks[-1]
    assert (marks[-1].count, marks[-1].latest) == (2, NOW + 3 * HOUR)

"""Deliveries: where they may go, how they are signed, how long they are tried."""

import hmac
import ipaddress
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from allot import DataError, NotFoundError
from api.service import webhooks
from api.service.webhooks import MOST_ATTEMPTS, check_url, deliver_due, pause_after, signature
from engine.approval import RELEASED, put_released
from warehouse import Releases, StoredAllocation, Webhook

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUSE = (ipaddress.ip_network("127.0.0.0/8"),)


def leading_to(*addresses):
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "::1",
        "169.254.169.254",
        "fe80::1%eth0",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_no_delivery_leads_into_the_house_or_to_a_clouds_credentials(address):
    with pytest.raises(DataError, match="may not be spoken to"):
        check_url("https://partner.example/in", resolve=leading_to(address))
    with pytest.raises(DataError, match="may not be spoken to"):
        check_url("https://partner.example/in", resolve=leading_to("93.184.216.34", address))


def test_the_address_that_was_checked_is_the_one_that_is_spoken_to():
    found = check_url("https://partner.example/in", resolve=leading_to("93.184.216.34", "10.1.2.3"))
    assert found == ("partner.example", "93.184.216.34")
    assert check_url("http://localhost:1/x", allowed=HOUSE, resolve=leading_to("127.0.0.1")) == (
        "localhost",
        "127.0.0.1",
    )


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "gopher://a/",
        "partner.example/in",
        "http://",
        "https://me:secret@a/",
        "http://a:port/",
        "",
    ],
)
def test_only_plain_web_addresses_are_taken(url):
    with pytest.raises(DataError):
        check_url(url, resolve=leading_to("93.184.216.34"))


def test_a_name_that_is_not_found_is_said_in_words():
    def lost(host, port):
        raise OSError("Name or service not known")

    with pytest.raises(DataError, match="not found"):
        check_url("https://nowhere.example/", resolve=lost)


def test_a_signature_is_over_the_time_and_the_body():
    said = signature("key", "body", NOW)
    assert said == f"t=1772366400,v1={hmac.new(b'key', b'1772366400.body', sha256).hexdigest()}"
    others = {
        signature("other", "body", NOW),
        signature("key", "Body", NOW),
        signature("key", "body", NOW.replace(hour=13)),
    }
    assert said.split("v1=")[1] not in {other.split("v1=")[1] for other in others}


def test_pauses_double_up_to_an_hour_spread_by_a_quarter_and_end():
    pauses = [pause_after(attempt, "delivery-1") for attempt in range(1, MOST_ATTEMPTS)]
    for attempt, pause in enumerate(pauses):
        plain = min(timedelta(seconds=5) * 2**attempt, timedelta(hours=1))
        assert plain <= pause <= 1.25 * plain
    assert pause_after(MOST_ATTEMPTS, "delivery-1") is None
    assert len({pause_after(3, f"delivery-{i}") for i in range(100)}) == 100
    assert timedelta(hours=1) < sum(pauses, timedelta()) < timedelta(hours=12)


@pytest.fixture
def released(store):
    """A release with one address; what is sent goes to the list that the fixture gives."""
    digest = store.put_campaign("spring", {"name": "spring"}, digest="d", at=NOW).digest
    summary = {"audience": 3, "limits": [], "document": {"name": "spring", "as_of": NOW.isoformat()}}
    row = StoredAllocation("alloc-1", "spring", digest, RELEASED, NOW, {}, summary, NOW, "x", "abc")
    with store.transaction():
        store.put_allocation(row)
        Releases(store).put_webhook(Webhook("webhook-1", "https://partner.example/", "key", "ada", NOW))
        Releases(store).ask("alloc-1", by="ada", now=NOW)
        put_released(store, row, by="ada", now=NOW)
    return Releases(store)


def only(releases):
    found = releases.deliveries(allocation_id="alloc-1")
    assert len(found) == 1
    return found[0]


def test_a_delivery_is_tried_until_it_is_dead_and_can_be_sent_again_under_its_id(store, released, monkeypatch):
    sent = []
    monkeypatch.setattr(
        webhooks, "_send", lambda webhook, delivery, now: sent.append(delivery.delivery_id) or "no answer"
    )
    at, first = NOW, only(released)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        state = "dead" if attempt == MOST_ATTEMPTS else "waiting"
        assert deliver_due(store, at) == {state: 1}
        assert deliver_due(store, at) == {}
        assert (only(released).attempts, only(released).last_error) == (attempt, "no answer")
        at = only(released).next_at
    assert only(released).state == "dead"
    assert deliver_due(store, at + timedelta(days=9)) == {}
    again = released.resend(first.delivery_id, now=at)
    assert (again.state, again.attempts, again.body) == ("waiting", 0, first.body)
    monkeypatch.setattr(webhooks, "_send", lambda *_: "")
    assert deliver_due(store, at) == {"delivered": 1}
    assert set(sent) == {first.delivery_id}


def test_an_attempt_is_one_workers_and_one_that_died_in_it_has_tried(store, released):
    delivery = only(released)
    assert released.take(delivery, until=NOW + timedelta(seconds=9))
    assert not released.take(delivery, until=NOW + timedelta(seconds=9))
    assert released.due(now=NOW + timedelta(seconds=8), most=10) == ()
    assert released.due(now=NOW + timedelta(seconds=9), most=10)[0].attempts == 1


def test_an_address_off_the_list_is_sent_nothing_more(store, released):
    released.end_webhook("webhook-1", now=NOW)
    assert deliver_due(store, NOW) == {}
    assert only(released).state == "dead"
    with pytest.raises(NotFoundError, match="off the list"):
        released.resend(only(released).delivery_id, now=NOW)
    with pytest.raises(NotFoundError):
        released.end_webhook("webhook-2", now=NOW)
    assert released.webhooks() == ()


def test_a_failed_release_is_announced_to_nobody(store, released):
    row = store.allocation("alloc-1")
    with pytest.raises(ZeroDivisionError), store.transaction():
        put_released(store, row, by="ada", now=NOW + timedelta(days=1))
        raise ZeroDivisionError
    assert only(released).created_at == NOW

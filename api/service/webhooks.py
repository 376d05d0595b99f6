"""Delivering releases: signed, tried again with growing pauses, and never to an address inside the house by mistake."""

import hmac
import ipaddress
import os
import socket
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import structlog

from allot import DataError
from warehouse import Delivery, Releases, Store, Webhook

MOST_ATTEMPTS = 12
"""Then a delivery is dead: with pauses of 5 s that double up to an hour, after some three hours."""

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=1)
_TIMEOUT_SECONDS = 10.0
_AT_ONCE = 20
_METADATA = {ipaddress.ip_address(text) for text in ("100.100.100.200", "fd00:ec2::254", "168.63.129.16")}
"""Where clouds hand out credentials outside the link-local networks: Alibaba, Amazon over IPv6, Azure."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
_log = structlog.get_logger()


def signature(signing_key: str, body: str, at: datetime) -> str:
    """`t=<unix seconds>,v1=<hex>`: HMAC-SHA256 over the seconds, a dot and the body."""
    seconds = int(at.timestamp())
    signed = hmac.new(signing_key.encode(), f"{seconds}.{body}".encode(), sha256).hexdigest()
    return f"t={seconds},v1={signed}"


def pause_after(attempts: int, delivery_id: str) -> timedelta | None:
    """How long to wait after so many attempts have failed; None: no longer.

    Doubles, and is spread by up to a quarter so that a receiver that comes back is not met by all at once; the spread
    is a hash of delivery and attempt.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    pause = min(_FIRST_PAUSE * 2 ** (attempts - 1), _LONGEST_PAUSE)
    spread = int.from_bytes(sha256(f"{delivery_id} {attempts}".encode()).digest()[:4], "big") / 2**32
    return timedelta(seconds=pause.total_seconds() * (1.0 + 0.25 * spread))


def check_url(url: str, *, allowed: Sequence[Network] = (), resolve: Resolve | None = None) -> tuple[str, str]:
    """The host of a URL and the one address that may be spoken to.

    Loopback, link-local, multicast, unspecified and metadata addresses are refused unless a network in `allowed` holds
    them; so are hosts of which any address is refused, for the name could lead there the next time.

    Raises:
        DataError: it is no http(s) URL, holds credentials, is not found, or leads to such an address.
    """
    where = "webhook url"
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise DataError("has a port that is no number.", where=where, remedy="Mend it.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise DataError("is not http(s)://host/path without credentials.", where=where, remedy="Give such a URL.")
    try:
        found = (resolve or _resolved)(parts.hostname, port)
    except (OSError, UnicodeError) as error:
        raise DataError(f"names a host that is not found ({error}).", where=where, remedy="Check the name.") from error
    for text in found:
        address = _plain(ipaddress.ip_address(text.partition("%")[0]))
        if _inside(address) and not any(address in network for network in allowed):
            remedy = "Give another, or allow the network with ALLOT_WEBHOOK_NETWORKS."
            raise DataError(f"leads to {address}, which may not be spoken to.", where=where, remedy=remedy)
    return parts.hostname, found[0]


def _resolved(host: str, port: int) -> list[str]:
    return [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _plain(address: Address) -> Address:
    """An IPv4 address that is written as IPv6 is judged as what it is."""
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _inside(address: Address) -> bool:
    local = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return local or address in _METADATA


def allowed_networks() -> tuple[Network, ...]:
    """Networks that webhooks may lead to although they are local: ALLOT_WEBHOOK_NETWORKS, separated by commas.

    Raises:
        DataError: one of them is no network.
    """
    given = os.environ.get("ALLOT_WEBHOOK_NETWORKS", "")
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in given.split(",") if part.strip())
    except ValueError as error:
        raise DataError(f"{error}.", where="ALLOT_WEBHOOK_NETWORKS", remedy="Write 10.0.0.0/8,fd00::/8.") from None


def deliver_due(store: Store, now: datetime) -> dict[str, int]:
    """Try every delivery that is due once.

    An attempt is taken in the database before it is made: of two workers one tries, and a worker that dies has tried.

    Returns:
        how many were delivered, are to be tried again, and are dead; empty where none was due.
    """
    releases = Releases(store)
    done: dict[str, int] = {}
    for delivery in releases.due(now=now, most=_AT_ONCE):
        pause = pause_after(delivery.attempts + 1, delivery.delivery_id)
        if not releases.take(delivery, until=now + (pause or _LONGEST_PAUSE)):
            continue
        error = _send(releases.webhook(delivery.webhook_id), delivery, now)
        again = None if pause is None else now + pause
        releases.settle(delivery.delivery_id, delivered=not error, error=error, next_at=again, now=now)
        state = "delivered" if not error else "dead" if again is None else "waiting"
        done[state] = done.get(state, 0) + 1
        _log.info("delivery", delivery_id=delivery.delivery_id, attempt=delivery.attempts + 1, state=state, error=error)
    return done


def _send(webhook: Webhook, delivery: Delivery, now: datetime) -> str:
    """Post it to the address that was checked, whatever the name says a moment later; why it failed, or nothing."""
    import httpx

    try:
        host, address = check_url(webhook.url, allowed=allowed_networks())
    except DataError as error:
        return str(error)
    parts = urlsplit(webhook.url)
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Allot-Delivery": delivery.delivery_id,
        "Allot-Signature": signature(webhook.signing_key, delivery.body, now),
    }
    numeric = httpx.URL(webhook.url).copy_with(host=address)
    secure: dict[str, Any] = {"sni_hostname": host} if parts.scheme == "https" else {}
    try:
        with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
            request = client.build_request("POST", numeric, content=delivery.body.encode(), headers=headers)
            request.extensions |= secure
            answer = client.send(request, stream=True)
            answer.close()
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "" if answer.is_success else f"the receiver answered {answer.status_code}"

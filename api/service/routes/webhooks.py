"""Webhooks: where releases are delivered to, and what became of each delivery."""

import asyncio
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.service.answers import Answer
from api.service.dependencies import Caller, Here, needs
from api.service.roles import READERS
from api.service.strict_json import model_body
from api.service.webhooks import allowed_networks, check_url
from warehouse import AuditEntry, Delivery, Releases, Webhook

router = APIRouter(tags=["webhooks"])


class WebhookBody(BaseModel):
    """An address that releases are delivered to."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(min_length=1, max_length=2_000)]


@router.post("/v1/webhooks", dependencies=[needs("admin")], status_code=201)
async def post_webhook(here: Here, caller: Caller, body: Annotated[WebhookBody, model_body(WebhookBody)]) -> Answer:
    """Deliver every release to an address from now on. The signing key is shown this once."""
    await asyncio.to_thread(check_url, body.url, allowed=allowed_networks())
    now = datetime.now(UTC)
    made = Webhook(f"webhook-{secrets.token_hex(8)}", body.url, secrets.token_urlsafe(32), caller.id, now)

    def write() -> None:
        with here.store.transaction():
            Releases(here.store).put_webhook(made)
            here.store.audit(AuditEntry(now, caller.id, "make webhook", made.webhook_id, {"url": made.url}))

    await asyncio.to_thread(write)
    return Answer({**_shown(made), "signing_key": made.signing_key}, 201)


@router.get("/v1/webhooks", dependencies=[needs(*READERS)])
async def get_webhooks(here: Here) -> Answer:
    """The addresses that releases are delivered to."""
    found = await asyncio.to_thread(Releases(here.store).webhooks)
    return Answer({"items": [_shown(each) for each in found]})


@router.delete("/v1/webhooks/{webhook_id}", dependencies=[needs("admin")])
async def delete_webhook(here: Here, caller: Caller, webhook_id: str) -> Answer:
    """Deliver nothing to an address from now on, what waits included."""
    now = datetime.now(UTC)

    def write() -> None:
        with here.store.transaction():
            Releases(here.store).end_webhook(webhook_id, now=now)
            here.store.audit(AuditEntry(now, caller.id, "end webhook", webhook_id))

    await asyncio.to_thread(write)
    return Answer({"webhook_id": webhook_id, "ended_at": now.isoformat()})


@router.post("/v1/deliveries/{delivery_id}/resend", dependencies=[needs("admin", "manager")])
async def post_resend(here: Here, delivery_id: str) -> Answer:
    """Try a delivery again from the start, under the same id."""
    now = datetime.now(UTC)
    return Answer(delivered(await asyncio.to_thread(lambda: Releases(here.store).resend(delivery_id, now=now))))


def delivered(delivery: Delivery) -> dict[str, Any]:
    """What is told of a delivery."""
    names = ("delivery_id", "webhook_id", "allocation_id", "state", "attempts", "last_error")
    times = ("created_at", "next_at", "ended_at")
    moments = {name: getattr(delivery, name) for name in times}
    told = {name: None if at is None else at.isoformat() for name, at in moments.items()}
    return {name: getattr(delivery, name) for name in names} | told


def _shown(webhook: Webhook) -> dict[str, Any]:
    return {"webhook_id": webhook.webhook_id, "url": webhook.url, "created_at": webhook.created_at.isoformat()}

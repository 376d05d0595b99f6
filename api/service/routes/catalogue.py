"""What decisions are made of: offers, rules of the house, campaigns, the tables behind them. Nothing is overwritten."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from api.service.answers import Answer
from api.service.campaign_schema import CAMPAIGN
from api.service.dependencies import Caller, Here, needs
from api.service.roles import READERS
from api.service.strict_json import document_body, model_body
from api.service.upload import FORMATS, folder_of_ours, uploaded

router = APIRouter(tags=["catalogue"])
Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = bool | int | float | str | None
_FILE = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS},
    }
}
TABLE = Literal["customers", "offers", "exposures", "events"]


class RuleBody(BaseModel):
    """A rule of the house: it holds in every campaign from the next allocation on."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    predicate: Annotated[str, Field(min_length=1, max_length=10_000)]
    active: bool = True


class OffersBody(BaseModel):
    """Offers by their columns: `offer_id` and `margin` at least. A known id takes the place of the known offer."""

    model_config = ConfigDict(extra="forbid")
    offers: Annotated[list[dict[Name, Value]], Field(min_length=1, max_length=10_000)]


@router.get("/v1/offers", dependencies=[needs(*READERS)])
async def offers(here: Here, version: Annotated[str | None, Query(max_length=64)] = None) -> Answer:
    """The offers of a data version, of the current one by default."""
    from engine.offers import offers_of

    found, rows = await asyncio.to_thread(offers_of, here.workspace, version)
    return Answer({"version": found, "offers": rows})


@router.post("/v1/offers", dependencies=[needs("manager")], status_code=201)
async def post_offers(here: Here, body: Annotated[OffersBody, model_body(OffersBody)]) -> Answer:
    """Add or replace offers: a new version of the data. Their rules are checked; a breach changes nothing."""
    from engine.offers import put_offers

    def write() -> dict[str, Any]:
        with folder_of_ours(here.workspace) as folder:
            return put_offers(here.workspace, body.offers, folder)

    return Answer(await asyncio.to_thread(write), 201)


@router.get("/v1/rules", dependencies=[needs(*READERS)])
async def rules(here: Here) -> Answer:
    """The newest version of every rule of the house."""
    from warehouse import newest_house_rules

    found = await asyncio.to_thread(newest_house_rules, here.store)
    return Answer({"rules": [_dated(rule) for rule in found]})


@router.get("/v1/rules/{name}", dependencies=[needs(*READERS)])
async def rule(here: Here, name: str) -> Answer:
    """Every version of one rule, the newest first."""
    from warehouse import house_rule_versions

    found = await asyncio.to_thread(house_rule_versions, here.store, name)
    return Answer({"name": name, "versions": [_dated(each) for each in found]})


@router.post("/v1/rules", dependencies=[needs("manager")], status_code=201)
async def post_rule(here: Here, caller: Caller, body: Annotated[RuleBody, model_body(RuleBody)]) -> Answer:
    """Write a rule of the house, or its next version. It is compiled first: what is wrong is said with its place."""
    from engine.house import set_house_rule
    from warehouse import RuleText

    text = RuleText(body.name, body.reason, body.predicate, body.active)
    now = datetime.now(UTC)
    found, new = await asyncio.to_thread(set_house_rule, here.workspace, here.store, text, by=caller.id, at=now)
    return Answer(_dated(found), 201 if new else 200)


@router.get("/v1/campaigns", dependencies=[needs(*READERS)])
async def campaigns(here: Here) -> Answer:
    """The newest version of every campaign."""
    found = await asyncio.to_thread(here.store.campaigns)
    return Answer({"campaigns": [_dated(each) for each in found]})


@router.get("/v1/campaigns/{name}", dependencies=[needs(*READERS)])
async def campaign(here: Here, name: str) -> Answer:
    """Every version of one campaign, the newest first."""
    found = await asyncio.to_thread(here.store.campaign_versions, name)
    return Answer({"name": name, "versions": [_dated(each) for each in found]})


@router.post("/v1/campaigns", dependencies=[needs("manager")], status_code=201)
async def post_campaign(here: Here, document: Annotated[dict[str, Any], document_body(CAMPAIGN)]) -> Answer:
    """Check a campaign and keep it as its next version; the same document again is the version that it was (200)."""
    from engine.campaign import read_campaign
    from engine.house import check_rules

    def write() -> tuple[Any, bool]:
        read = read_campaign(document)
        check_rules(here.workspace, read.rules)
        known = {each.digest for each in here.store.campaigns() if each.name == read.name}
        now = datetime.now(UTC)
        kept = here.store.put_campaign(read.name, read.to_document(), digest=read.digest, at=now)
        return kept, kept.digest not in known

    kept, new = await asyncio.to_thread(write)
    return Answer(_dated(kept), 201 if new else 200)


@router.get("/v1/tables", dependencies=[needs(*READERS)])
async def tables(here: Here) -> Answer:
    """What is loaded: the data version, and rows and columns of each table."""
    from warehouse import current_version

    version = await asyncio.to_thread(current_version, here.workspace)
    shown = {name: {"rows": table.rows, "columns": table.columns} for name, table in version.tables.items()}
    return Answer({"version": version.id, "tables": shown})


@router.post("/v1/tables/{table}", dependencies=[needs("ingest", "manager")], status_code=201, openapi_extra=_FILE)
async def post_table(here: Here, request: Request, table: TABLE, append: bool = False) -> Answer:
    """Load a whole table from Parquet, NDJSON or CSV, or append exposures or events. A breach loads nothing."""
    from engine.workspaces import load

    async with uploaded(request, here.workspace, table) as path:
        document = await asyncio.to_thread(load, here.workspace, {table: path}, append=append)
    return Answer(document, 201)


def _dated(record: Any) -> dict[str, Any]:
    """A stored record as a document."""
    return {**asdict(record), "created_at": record.created_at.isoformat()}

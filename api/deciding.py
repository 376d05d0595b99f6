"""`allot decide`: one customer now, by a running service."""

import json
from typing import Annotated, Any

import typer

from allot import DataError
from api import remote
from api.console import number, safe, say, table
from api.options import Format, Output, answer


def decide(
    campaign: Annotated[str, typer.Argument(help="Name of the campaign whose last release decides.")],
    customer: Annotated[str | None, typer.Argument(help="customer_id")] = None,
    features: Annotated[str | None, typer.Option(help="A JSON object of customer columns as they are now.")] = None,
    decision: Annotated[str | None, typer.Option(help="An id of yours: the same request has the same answer.")] = None,
    output: Format = Output.TABLE,
) -> None:
    """Which offer, if any, one customer gets now: `allot --server URL decide CAMPAIGN CUSTOMER`."""
    if not remote.chosen():
        remedy = "Write `allot --server URL decide ...`; `allot serve` starts one."
        raise DataError("a single decision needs a running service.", where="allot decide", remedy=remedy)
    with remote.service() as service:
        read = _object(features)
        document = service.decide(campaign, customer_id=customer, features=read, decision_id=decision)
    answer(document, output, decided)


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise DataError("is no JSON object.", where="--features", remedy="""Write '{"age": 40}'.""")
    return read


def decided(d: dict[str, Any]) -> None:
    """A single decision."""
    offer = "no offer" if d.get("offer_id") is None else f"offer [bold]{safe(d['offer_id'])}[/]"
    say(f"{offer}, propensity {number(d['propensity'])}, mode {d['mode']}.")
    plain = {name: value for name, value in d.items() if isinstance(value, str | int | float) or value is None}
    table("Decision", ("", "value"), [(name, "-" if value is None else value) for name, value in plain.items()])
